"""Networks that the export command wrote, opened for prediction."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rgb2ir_jax.prediction.description import KEY, StudentDescription
from rgb2ir_jax.prediction.scoring import Score, network_score, program_score

_FILES = ("model.safetensors", "model.stablehlo", "model.onnx")
SUFFIXES = tuple(Path(name).suffix for name in _FILES)
_MOST_BYTES = 2**31
_DESCRIPTION_FILE = "student.json"

Opened = tuple[StudentDescription, Score]


def find_program(path: Path) -> Path | None:
    """The main file of an exported network, or None where `path` is none.

    Raises:
        ValueError: it is named like one, and is not there or too large.
    """
    if path.is_dir():
        found = [path / name for name in _FILES if (path / name).is_file()]
        return found[0] if found else None
    if path.suffix not in SUFFIXES:
        return None
    if not path.is_file():
        raise ValueError(f"there is no file {path}; expected what the export command wrote")
    if not 0 < path.stat().st_size < _MOST_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; expected a network's")
    return path


def open_program(program: Path) -> Opened:
    """Loads an exported network.

    Raises:
        ValueError: the file is damaged, or a package is missing that it takes to run it.
    """
    return _OPENERS[program.suffix](program)


def _open_tensors(path: Path) -> Opened:
    import jax.numpy as jnp
    import safetensors

    from rgb2ir_jax.models.pretrained.initialise import NETWORK_FILE, TENSORS_FILE, read_network

    whole = path.name == TENSORS_FILE and path.with_name(NETWORK_FILE).is_file()
    spec, network = read_network(path.parent if whole else path)
    with safetensors.safe_open(path, "np") as opened:
        metadata = opened.metadata() or {}
    if KEY not in metadata:
        raise ValueError(
            f"{path} does not tell which frames and crops its network was tested with (an earlier "
            "version exported it): export it again, or name the run"
        )
    description = StudentDescription.from_json(metadata[KEY], path)
    if (spec.num_classes, spec.modality) != (len(description.class_names), description.modality):
        raise ValueError(f"{path} and its description beside it are of two networks")
    return description, network_score(network, spec, description, jnp.float32)


def _open_stablehlo(path: Path) -> Opened:
    from rgb2ir_jax.exporting.stablehlo_program import check_flatbuffers

    check_flatbuffers()
    import jax

    description = _description_beside(path)
    try:
        exported = jax.export.deserialize(bytearray(path.read_bytes()))
    # What broken bytes make flatbuffers raise is without bounds.
    except Exception as error:
        raise ValueError(f"{path} is no exported JAX program, or damaged: {error}") from error
    _check_interface(path, [tuple(aval.shape) for aval in exported.in_avals], description)
    call: Callable[[np.ndarray], Any] = jax.jit(exported.call)
    return description, program_score(lambda frames: np.asarray(call(frames)), description)


def _open_onnx(path: Path) -> Opened:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(
            f"{path} needs the package onnxruntime, which is not installed: pip install onnxruntime"
        ) from error
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    # It raises classes of its own, all of them straight from Exception.
    except Exception as error:
        raise ValueError(f"{path} cannot be loaded by onnxruntime: {error}") from error
    properties = session.get_modelmeta().custom_metadata_map
    if KEY not in properties:
        raise ValueError(
            f"{path} does not describe its network; expected what `python -m rgb2ir_jax.export` wrote"
        )
    description = StudentDescription.from_json(properties[KEY], path)
    _check_interface(path, [tuple(given.shape) for given in session.get_inputs()], description)
    name = session.get_inputs()[0].name
    return description, program_score(
        lambda frames: session.run(None, {name: frames})[0], description
    )


def _description_beside(program: Path) -> StudentDescription:
    for path in (program.with_suffix(".json"), program.with_name(_DESCRIPTION_FILE)):
        if path.is_file():
            return StudentDescription.from_json(path.read_text(), path)
    raise ValueError(
        f"beside {program} there is neither {program.stem}.json nor {_DESCRIPTION_FILE}, which tell "
        "what it takes; copy the files of an export together"
    )


def _check_interface(
    path: Path, shapes: list[tuple[Any, ...]], description: StudentDescription
) -> None:
    if len(shapes) != 1:
        raise ValueError(f"{path} takes {len(shapes)} inputs; an exported network takes one")
    (shape,) = shapes
    side = description.crop
    channels = description.channels if description.preprocessing else description.in_channels
    if tuple(shape[2:]) != (side, side, channels):
        raise ValueError(
            f"{path} takes frames of {' x '.join(map(str, shape[2:]))}, its description says "
            f"{side} x {side} x {channels}; copy the files of an export together"
        )


_OPENERS: dict[str, Callable[[Path], Opened]] = {
    ".safetensors": _open_tensors,
    ".stablehlo": _open_stablehlo,
    ".onnx": _open_onnx,
}
