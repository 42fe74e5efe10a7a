"""A network of a finished run, opened for prediction.

Imports neither Grain nor TFDS nor CLU, as what trains and tests does: they would be most of the time
to the first result.
"""

import json
from pathlib import Path
from typing import Any

from rgb2ir_jax.prediction.description import StudentDescription
from rgb2ir_jax.prediction.scoring import Score, network_score
from rgb2ir_jax.training.saving.files import RESULT_FILE

_NAMES = ("student", "teacher")
_SPATIAL_STREAM = "frame"
_CONFIG_FILE = "config.json"
_NETWORK_FILE = "network.json"
_MOST_BYTES = 64 * 2**20


def open_run(run: Path, name: str | None) -> tuple[StudentDescription, Score]:
    """Loads a network of a run.

    Args:
        run: the work directory, or one network's folder in it.
        name: "student" or "teacher"; None takes the student where there is one.

    Raises:
        ValueError: there is no such network, its training did not end, or a file is not what it has
            to be.
    """
    folder = _phase_folder(run, name)
    phase = _read_json(folder / RESULT_FILE, "the training of this network did not end")
    config = _read_json(folder.parent / _CONFIG_FILE, "it is no run's folder")

    import jax
    import jax.numpy as jnp

    from rgb2ir_jax.models.streams import check_sees_frames
    from rgb2ir_jax.training.checkpoints import load_network
    from rgb2ir_jax.training.sharding import make_mesh, replicated
    from rgb2ir_jax.training.state import merge

    wanted = config.get("compute_dtype", "float32")
    if wanted == "auto":  # As `training.experiment.compute_dtype`.
        wanted = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    try:
        dtype = jnp.dtype(wanted)
    except TypeError as error:
        raise ValueError(f"{folder.parent / _CONFIG_FILE}: compute_dtype is {wanted!r}") from error
    spec, split, _ = load_network(folder, replicated(make_mesh()), dtype)
    check_sees_frames(spec.stream, "a prediction")
    try:
        description = StudentDescription.of_run(spec, config, phase)
    except ValueError as error:
        raise ValueError(f"{folder.parent} does not hold a run: {error}") from error
    network = merge(split.graph, split.variables)
    return description, network_score(network, spec, description, dtype)


def _phase_folder(run: Path, name: str | None) -> Path:
    if (run / _NETWORK_FILE).is_file():
        if name not in (None, run.name):
            raise ValueError(f"{run} holds one network; leave the choice of {name!r} out")
        return run
    for candidate in (name,) if name else _NAMES:
        if (run / candidate / _NETWORK_FILE).is_file():
            return run / candidate
    if not run.is_dir():
        raise ValueError(f"there is no folder {run}; expected the --workdir of a run")
    if (run / _SPATIAL_STREAM / _NETWORK_FILE).is_file():
        raise ValueError(
            f"{run} holds a network for each of TSTDDs' streams, and predictions are made by one that sees "
            f"frames: name {run / _SPATIAL_STREAM}"
        )
    raise ValueError(
        f"{run} holds no trained {name or 'network'}: expected {' or '.join(_NAMES)} in it, each with "
        f"{_NETWORK_FILE}, or what the export command wrote; name the --workdir of a run"
    )


def _read_json(path: Path, otherwise: str) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"there is no {path}: {otherwise}")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path} is larger than {_MOST_BYTES} bytes; no run writes such a file")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object")
    return content
