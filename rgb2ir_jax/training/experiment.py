"""Algorithm 1 of the paper as one function: teacher, student, test."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections

from rgb2ir_jax.data.frame_cache import prepare
from rgb2ir_jax.data.settings import validate as validate_data
from rgb2ir_jax.data.settings import validate_on_device
from rgb2ir_jax.data.source import describe, open_split
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.checkpoints import find_teacher
from rgb2ir_jax.training.determinism import deterministic_kernels, use_deterministic_kernels
from rgb2ir_jax.training.distributed import (
    any_process,
    check_alike,
    check_processes,
    check_shared,
    failing_together,
    is_main,
)
from rgb2ir_jax.training.environment import (
    check_devices,
    check_disk,
    check_writable,
    compute_dtype,
)
from rgb2ir_jax.training.fusing import fuse_streams
from rgb2ir_jax.training.initial_weights import check_initial_weights
from rgb2ir_jax.training.input_checks import check_enhancement, check_sight
from rgb2ir_jax.training.observing.config_text import describe_config
from rgb2ir_jax.training.phase import run_phase
from rgb2ir_jax.training.phases import TSTDD, phase_config, phase_names, with_streams
from rgb2ir_jax.training.resident.frames import check_fits
from rgb2ir_jax.training.saving.files import RESULT_FILE, write_json
from rgb2ir_jax.training.saving.provenance import git_commit, package_versions
from rgb2ir_jax.training.saving.workdir import CONFIG_FILE, claim, facts
from rgb2ir_jax.training.sharding import make_mesh
from rgb2ir_jax.training.signals import Interrupted, StopRequest, stop_on_signals
from rgb2ir_jax.training.teachers import Teacher, load_teacher
from rgb2ir_jax.training.validation import apply_smoke, validate

__all__ = ["CONFIG_FILE", "RESULT_FILE", "Experiment"]

_log = logging.getLogger(__name__)


class Experiment:
    """A checked config in its work directory, ready to run.

    Args:
        config: see configs/ntu.py.
        workdir: gets `config.json`, `teacher/`, `student/` (or a folder for each stream of TSTDDs) and
            `result.json`. One that holds an unfinished run of the same config is gone on with.

    Raises:
        ValueError: the config, the data set, the teacher or the work directory is not what it has
            to be.
    """

    def __init__(self, config: ml_collections.ConfigDict, workdir: Path):
        use_deterministic_kernels(config)
        check_devices()
        check_processes()
        with failing_together():
            self.config = apply_smoke(config)
            validate(self.config)
            self._sections = with_streams(self.config)
            validate_data(self.config.data)
            validate_on_device(self.config.data)
            check_writable(workdir)
            self.data_set = describe(self.config.data)
            self.class_names = tuple(self.data_set.class_names)
            self._check_clips()
            check_sight(self._phase_specs(), self.data_set, self.config.data)
            folders = [self._given_folder(path) for path in self._given_paths()]
        check_alike(facts(self.config, self.data_set) | package_versions())
        self.workdir = workdir
        self.mesh = make_mesh(self.config.mesh.model)
        self.dtype = compute_dtype(self.config.compute_dtype)
        self._given_teachers = [self._load_given(folder) for folder in folders]
        with failing_together():
            given = {
                f"teacher in {f}": t.spec
                for f, t in zip(folders, self._given_teachers, strict=True)
            }
            check_sight(given, self.data_set, self.config.data)
            for name, spec in self._phase_specs().items():
                check_enhancement(name, spec, workdir / name)
        self._check_initial_weights()
        with failing_together():
            check_disk(workdir, self._sections, self._phases(), len(self.class_names), self.dtype)
            self._prepare_cache()
        with failing_together():
            if is_main():
                claim(self.workdir, self.config, self.data_set)
        check_shared(self.workdir)

    def _given_paths(self) -> tuple[str, ...]:
        """The trained teachers that the config names."""
        config = self.config
        if not config.distill:
            return ()
        return tuple(config.teachers) or (config.teacher.checkpoint,) * bool(
            config.teacher.checkpoint
        )

    def _given_folder(self, path: str) -> Path:
        field = "config.teachers" if self.config.teachers else "config.teacher.checkpoint"
        return find_teacher(Path(path).expanduser(), field)

    def _load_given(self, folder: Path) -> Teacher:
        teacher = load_teacher(folder, self.class_names, mesh=self.mesh, dtype=self.dtype)
        self._check_teacher(folder, teacher)
        return teacher

    def _check_teacher(self, folder: Path, teacher: Teacher) -> None:
        """A given teacher must have seen what this run's own would see, and none of the test clips."""
        result = json.loads((folder / RESULT_FILE).read_text())
        limited = bool(self.config.limit_train_steps)
        for what, found, expected in (
            ("sees", teacher.spec.sees, self._spec("teacher").sees),
            ("was trained on", result["data_set"], self._data_set_name()),
            ("tells apart", result["class_names"], list(self.class_names)),
            ("was cut short", result["limited"], result["limited"] and limited),
        ):
            if found != expected:
                raise ValueError(
                    f"the teacher in {folder} {what}: {found}; expected {expected}. Train one for this "
                    "run (leave config.teacher.checkpoint out), or give another"
                )

    def _data_set_name(self) -> str:
        return f"{self.config.data.name}/{self.config.data.config}"

    def _check_clips(self) -> None:
        """Both splits must be there, with a batch for every phase, before the first phase takes its hours."""
        data = self.config.data
        open_split(data, data.test_split)
        clips = len(open_split(data, data.train_split))
        for name in self._phases():
            batch_size = self._sections[name].batch_size
            if clips < batch_size:
                raise ValueError(
                    f"config.{self._field(name)}.batch_size is {batch_size}, but the split {data.train_split!r} of "
                    f"{data.name}/{data.config} has {clips} clips; lower it, or build more footage"
                )

    def _spec(self, name: str) -> NetworkSpec:
        return NetworkSpec.from_config(self._sections[name], len(self.class_names))

    def _field(self, name: str) -> str:
        """The section of the config where a network's fields are the user's."""
        return name if name in self.config else "student"

    def _phase_specs(self) -> dict[str, NetworkSpec]:
        return {name: self._spec(name) for name in self._phases()}

    def _check_initial_weights(self) -> None:
        for name, spec in self._phase_specs().items():
            init = self._sections[name].init
            check_initial_weights(f"{self._field(name)}.init", init, spec, self.workdir / name)

    def _prepare_cache(self) -> None:
        """Decodes what `config.data.cache` asks for, if anything: a full disk shows before any training."""
        data = self.config.data
        if not data.cache:
            return
        tested = {self._sections[name].modality for name in self._phases()}
        trained = tested | {teacher.spec.modality for teacher in self._given_teachers}
        wanted = {data.train_split: trained}
        wanted[data.test_split] = wanted.get(data.test_split, set()) | tested
        clips = prepare(data, {split: sorted(names) for split, names in wanted.items()})
        if data.get("on_device", False):
            check_fits(clips[data.train_split], sorted(trained))

    def _phases(self) -> list[str]:
        """The networks that this run trains, in their order."""
        return phase_names(self.config, given_teacher=bool(self._given_paths()))

    def run(self) -> dict[str, Any]:
        """Trains what is not trained yet, tests it, and writes and returns the result.

        Without a given teacher, a run that distils trains one first. The variant "student" has no
        teacher; "teacher" has nothing else. "tstdd" trains a student of each stream and adds their scores
        up, which is the last network of the result.

        Raises:
            Interrupted: SIGTERM or SIGINT asked the run to end; it is saved.
            DivergedError: the loss or gradient is no number any more.
        """
        with stop_on_signals() as stop:
            return self._run(stop)

    def run_before_others(self) -> dict[str, Any]:
        """`run`, where other experiments would follow, of which none must begin after a signal.

        Raises:
            Interrupted: also if the signal came when there was nothing left to stop: all is written, and
                the same command does what is left, if only to print it.
            DivergedError: see `run`.
        """
        with stop_on_signals() as stop:
            result = self._run(stop)
        if asked := any_process(stop.signal_name):
            raise Interrupted(f"{asked}: stopped after {self.workdir}")
        return result

    def _run(self, stop: StopRequest) -> dict[str, Any]:
        config = self.config
        devices, processes = jax.devices(), jax.process_count()
        _log.info(
            "%d device(s)%s: %s, computing in %s",
            len(devices),
            f" of {processes} processes" if processes > 1 else "",
            devices[0].device_kind,
            self.dtype,
        )
        _log.info("%s", describe_config(config))
        networks = []
        teachers = self._given_teachers
        for name in self._phases():
            if name == "student" and config.distill and not teachers:
                own = self.workdir / "teacher"
                teachers = [load_teacher(own, self.class_names, mesh=self.mesh, dtype=self.dtype)]
            networks.append(self._phase(name, teachers if name == "student" else [], stop))
            if name != self._phases()[-1] and (asked := any_process(stop.signal_name)):
                raise Interrupted(f"{asked}: stopped after the {name}")
        if config.variant == TSTDD:
            networks.append(fuse_streams(config, self.workdir, networks, self.data_set))
        result = {
            "config_name": config.name,
            "variant": config.variant,
            "methods": {name: section.weight for name, section in config.distill.items()},
            "data_set": self._data_set_name(),
            "synthetic": self.data_set.synthetic,
            "seed": config.seed,
            # A run that was cut short must not pass for a real one.
            "limited": bool(config.limit_train_steps or config.limit_test_clips),
            "networks": networks,
            "commit": git_commit(),
            "devices": sorted({device.device_kind for device in devices}),
            "deterministic_kernels": deterministic_kernels(),
            "versions": package_versions(),
            "config": json.loads(json.dumps(config.to_dict())),
        }
        if processes > 1:
            result["processes"] = processes
        write_json(self.workdir / RESULT_FILE, result)
        return result

    def _phase(self, name: str, teachers: Sequence[Teacher], stop: StopRequest) -> dict[str, Any]:
        return run_phase(
            name,
            phase_config(self.config, name),
            self.workdir / name,
            self.data_set,
            teachers,
            mesh=self.mesh,
            dtype=self.dtype,
            stop=stop,
        )
