"""Refuses a config whose networks cannot see the streams that it asks for."""

from typing import Any

from ml_collections import ConfigDict

from rgb2ir_jax.data.flow import SMALLEST_SIDE
from rgb2ir_jax.evaluation.fusion import FUSIONS, check_weights
from rgb2ir_jax.models.network import BACKBONES
from rgb2ir_jax.models.streams import GLOBAL_FRAMES, LENGTH, LENGTHS, STREAMS
from rgb2ir_jax.training.phases import TSTDD, streams_of

_LOCAL = ("differences", "flow")


def check_streams(config: ConfigDict) -> None:
    """Checks `stream`, `stream_length` and `global_frames` of `config.student`, and `config.tstdd`.

    Configs of earlier versions have none of them, and see frames.

    Raises:
        ValueError: names the field, what was found and what was expected.
    """
    student = config.student
    _one_of("student.stream", student.get("stream", "frame"), STREAMS)
    _length("student.stream_length", student.get("stream_length", LENGTH), "differences")
    _length("student.global_frames", student.get("global_frames", GLOBAL_FRAMES), "global_image")
    if "tstdd" in config or config.variant == TSTDD:
        _check_tstdd(config)
    if config.variant != "teacher":
        _check_sight(config)


def _check_tstdd(config: ConfigDict) -> None:
    section = config.get("tstdd", {})
    for field in ("local", "weights", "fusion"):
        if field not in section:
            raise ValueError(f"config.tstdd.{field} is missing, see configs/ntu.py")
    _one_of("tstdd.local", section.local, _LOCAL)
    _one_of("tstdd.fusion", section.fusion, FUSIONS)
    if not isinstance(section.weights, tuple | list) or len(section.weights) != 3:
        raise ValueError(
            f"config.tstdd.weights is {section.weights!r}, expected three numbers, of the streams "
            f"{', '.join(streams_of(config))}"
        )
    try:
        check_weights(section.weights)
    except ValueError as error:
        raise ValueError(f"config.tstdd.{error}") from error


def _check_sight(config: ConfigDict) -> None:
    """The student that is trained, or the three of them, must be able to see what they are to see."""
    student, asked = config.student, config.student.get("stream", "frame")
    seen = streams_of(config) if config.variant == TSTDD else (asked,)
    told = f"config.student.stream is {asked!r}"
    if config.variant == TSTDD:
        if asked != "frame":
            raise ValueError(
                f"{told}, but the variant {TSTDD!r} trains a student of each stream, "
                f"{', '.join(seen)}; leave it out, or choose the variant 'student' for one stream alone"
            )
        told = f"the variant {TSTDD!r} trains students of the streams {', '.join(seen)}"
    others = [stream for stream in seen if stream != "frame"]
    if not others:
        return
    if config.distill:
        raise ValueError(
            f"{told}, but the variant {config.variant!r} distils: its methods compare what teacher and "
            "student make of the same frames; expected 'frame', or the variant 'student'"
        )
    backbone = student.get("backbone", "")
    if backbone and backbone.startswith("r2plus1d"):
        resnets = ", ".join(repr(name) for name in BACKBONES if not name.startswith("r2plus1d"))
        raise ValueError(
            f"{told}, but config.student.backbone is {backbone!r}, which looks for motion in frames itself; "
            f"expected '' or one of {resnets}"
        )
    if student.temporal_shift:
        raise ValueError(
            f"{told}, but config.student.temporal_shift is True, which looks for motion in frames itself; "
            "leave one out"
        )
    if student.get("enhance"):
        raise ValueError(
            f"{told}, but config.student.enhance is {student.enhance!r}, which is for frames; leave one out"
        )
    if config.data.get("sampling", "segments") != "segments":
        raise ValueError(
            f"{told}, which chooses frames in its own way, but config.data.sampling is "
            f"{config.data.sampling!r}; expected 'segments'"
        )
    if seen == ("global_image",) and config.evaluation.segments:
        raise ValueError(
            f"{told}, one picture of the whole clip, but config.evaluation.segments is "
            f"{config.evaluation.segments}; expected 0"
        )
    if "flow" in seen:
        if config.data.get("on_device", False):
            raise ValueError(
                f"{told}, but config.data.on_device is True, and optical flow is computed on the host alone; "
                "expected False, or 'differences'"
            )
        if config.data.crop < SMALLEST_SIDE:
            raise ValueError(
                f"{told}, but config.data.crop is {config.data.crop}, and optical flow needs at least "
                f"{SMALLEST_SIDE} pixels"
            )


def _one_of(field: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"config.{field} is {value!r}, expected one of {listed}")


def _length(field: str, value: Any, stream: str) -> None:
    least, most = LENGTHS[stream]
    if type(value) is not int or not least <= value <= most:
        raise ValueError(
            f"config.{field} is {value!r}, expected a whole number from {least} to {most}"
        )
