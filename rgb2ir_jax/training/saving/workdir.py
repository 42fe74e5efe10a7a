"""A work directory belongs to one config and one data set: noted there, and held against it later."""

import hashlib
import json
from pathlib import Path
from typing import Any

import ml_collections

from rgb2ir_jax.data.source import DatasetDescription
from rgb2ir_jax.training.saving.files import write_json
from rgb2ir_jax.training.validation import flatten

CONFIG_FILE = "config.json"
DATA_FILE = "data_set.json"

# What may change between two starts of one run: no number depends on it.
FREE_FIELDS = {
    "checkpoint.every_epochs",
    "checkpoint.every_minutes",
    "checkpoint.every_steps",
    "checkpoint.keep",
    "checkpoint.keep_best",
    "data.cache",
    "data.dir",
    "data.on_device",
    "data.prefetch",
    "data.threads",
    "data.workers",
    "figures.activations",
    "figures.inputs",
    "profile",
    # As the number of devices may.
    "mesh.model",
}

# What runs did before there was a field for it.
_UNTOLD = {"student.stream": "frame", "student.stream_length": 5, "student.global_frames": 16}

# Of these, what may differ between the processes of one run.
_OF_A_HOST = {"data.cache", "data.dir", "data.prefetch", "data.threads", "data.workers"}


def claim(workdir: Path, config: ml_collections.ConfigDict, data_set: DatasetDescription) -> None:
    """Notes config and data set in the work directory, or checks that they are those noted there.

    Raises:
        ValueError: it belongs to another run; names the fields that differ.
    """
    footage = _footage(data_set)
    noted = workdir / DATA_FILE
    if noted.is_file() and json.loads(noted.read_text()) != footage:
        raise ValueError(
            f"{workdir} holds a run on other records than config.data names now ({footage['clips']} "
            "clips): the data set was built anew since. Choose another --workdir, or remove this one"
        )
    wanted = json.loads(json.dumps(config.to_dict()))
    path = workdir / CONFIG_FILE
    if path.is_file():
        try:
            found = flatten(json.loads(path.read_text()))
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{path} is not the config of a run: {error}") from error
        now = flatten(wanted)
        differing = [
            f"config.{field} is {now.get(field)!r}, the run's is {found.get(field)!r}"
            for field in sorted({*found, *now})
            if found.get(field, _UNTOLD.get(field)) != now.get(field, _UNTOLD.get(field))
            and field not in FREE_FIELDS
            and not (field.startswith("tstdd.") and config.variant != "tstdd")
        ]
        if differing:
            raise ValueError(
                f"{workdir} holds a run with another config: {'; '.join(differing)}. "
                "Choose another --workdir, or the same settings to go on with that run"
            )
    else:
        workdir.mkdir(parents=True, exist_ok=True)
        write_json(path, wanted)
    write_json(noted, footage)


def facts(config: ml_collections.ConfigDict, data_set: DatasetDescription) -> dict[str, str]:
    """What all processes of a run must have alike: the config but for a host's own, the records."""
    fields = {
        f"config.{field}": repr(value)
        for field, value in flatten(config).items()
        if field not in _OF_A_HOST
    }
    return fields | {name: str(value) for name, value in _footage(data_set).items()}


def _footage(data_set: DatasetDescription) -> dict[str, Any]:
    records = (data_set.directory / "dataset_info.json").read_bytes()
    return {
        "data_set": f"{data_set.name}/{data_set.config}/{data_set.version}",
        "clips": data_set.num_clips,
        "digest": hashlib.sha256(records).hexdigest(),
    }
