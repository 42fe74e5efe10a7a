"""Algorithm 1 of the paper as one function: teacher, student, test."""

import importlib.metadata
import json
import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jax.typing import DTypeLike

from rgb2ir_jax.data.settings import validate as validate_data
from rgb2ir_jax.data.source import describe, open_split
from rgb2ir_jax.training.checkpoints import find_teacher, write_json
from rgb2ir_jax.training.phase import RESULT_FILE, Teacher, load_teacher, run_phase
from rgb2ir_jax.training.sharding import make_mesh
from rgb2ir_jax.training.validation import apply_smoke, flatten, validate

CONFIG_FILE = "config.json"

# What may change between two starts of one run: no number depends on it.
_FREE_FIELDS = {"data.dir", "data.workers", "data.threads", "data.prefetch", "keep_checkpoints"}

_log = logging.getLogger(__name__)
_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "tensorflow-datasets",
    "numpy",
)


class Experiment:
    """A checked config in its work directory, ready to run.

    Args:
        config: see configs/ntu.py.
        workdir: gets `config.json`, `teacher/`, `student/` and `result.json`. One that holds an
            unfinished run of the same config is gone on with.

    Raises:
        ValueError: the config, the data set, the teacher or the work directory is not what it has
            to be.
    """

    def __init__(self, config: ml_collections.ConfigDict, workdir: Path):
        self.config = apply_smoke(config)
        validate(self.config)
        validate_data(self.config.data)
        self.class_names = tuple(describe(self.config.data).class_names)
        self._check_clips()
        self.workdir = workdir
        self.mesh = make_mesh()
        self.dtype = compute_dtype(self.config.compute_dtype)
        self._given_teacher: Teacher | None = None
        if self.config.teacher.checkpoint and self.config.distill:
            folder = find_teacher(Path(self.config.teacher.checkpoint).expanduser())
            self._given_teacher = load_teacher(
                folder, self.class_names, mesh=self.mesh, dtype=self.dtype
            )
        self._claim_workdir()

    def _check_clips(self) -> None:
        """Both splits must be there, with a batch for every phase, before the first phase takes its hours."""
        data = self.config.data
        open_split(data, data.test_split)
        clips = len(open_split(data, data.train_split))
        for name in self._phases():
            batch_size = self.config[name].batch_size
            if clips < batch_size:
                raise ValueError(
                    f"config.{name}.batch_size is {batch_size}, but the split {data.train_split!r} of "
                    f"{data.name}/{data.config} has {clips} clips; lower it, or build more footage"
                )

    def _phases(self) -> list[str]:
        """The networks that this run trains, in their order."""
        if not self.config.distill:
            return [self.config.variant]
        return ["student"] if self.config.teacher.checkpoint else ["teacher", "student"]

    def _claim_workdir(self) -> None:
        """Notes the config in the work directory, or checks that it is the one noted there."""
        wanted = json.loads(json.dumps(self.config.to_dict()))
        path = self.workdir / CONFIG_FILE
        if path.is_file():
            try:
                found = flatten(json.loads(path.read_text()))
            except (ValueError, AttributeError) as error:
                raise ValueError(f"{path} is not the config of a run: {error}") from error
            now = flatten(wanted)
            differing = [
                f"config.{field} is {now.get(field)!r}, the run's is {found.get(field)!r}"
                for field in sorted({*found, *now})
                if found.get(field) != now.get(field) and field not in _FREE_FIELDS
            ]
            if differing:
                raise ValueError(
                    f"{self.workdir} holds a run with another config: {'; '.join(differing)}. "
                    "Choose another --workdir, or the same settings to go on with that run"
                )
        else:
            self.workdir.mkdir(parents=True, exist_ok=True)
            write_json(path, wanted)

    def run(self) -> dict[str, Any]:
        """Trains what is not trained yet, tests it, and writes and returns the result.

        Without a given teacher, a run that distils trains one first. The variant "student" has no
        teacher; "teacher" has nothing else.
        """
        config = self.config
        devices = jax.devices()
        _log.info(
            "%d device(s): %s, computing in %s", len(devices), devices[0].device_kind, self.dtype
        )
        networks = []
        teacher = self._given_teacher
        for name in self._phases():
            if name == "student" and config.distill and teacher is None:
                teacher = load_teacher(
                    self.workdir / "teacher", self.class_names, mesh=self.mesh, dtype=self.dtype
                )
            networks.append(self._phase(name, teacher if name == "student" else None))
        result = {
            "config_name": config.name,
            "variant": config.variant,
            "methods": {name: section.weight for name, section in config.distill.items()},
            "data_set": f"{config.data.name}/{config.data.config}",
            "seed": config.seed,
            # A run that was cut short must not pass for a real one.
            "limited": bool(config.limit_train_steps or config.limit_test_clips),
            "networks": networks,
            "devices": sorted({device.device_kind for device in devices}),
            "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
            "config": json.loads(json.dumps(config.to_dict())),
        }
        write_json(self.workdir / RESULT_FILE, result)
        return result

    def _phase(self, name: str, teacher: Teacher | None) -> dict[str, Any]:
        return run_phase(
            name,
            self.config,
            self.workdir / name,
            self.class_names,
            teacher,
            mesh=self.mesh,
            dtype=self.dtype,
        )


def compute_dtype(name: str) -> DTypeLike:
    """The dtype that `config.compute_dtype` means here: bfloat16 pays on accelerators alone."""
    if name == "auto":
        name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jnp.dtype(name)
