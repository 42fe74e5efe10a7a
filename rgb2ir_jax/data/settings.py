"""The data section of a config, checked before any work."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from rgb2ir_jax.data.sampling import SAMPLINGS, SNIPPETS


class _Field(NamedTuple):
    expected: str
    holds: Callable[[Any], bool]


def _is_int(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: Any, least: float | int, most: float | int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _is_jitter(value: Any) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(_is_number(s, 0, 0.99) for s in value)
    )


def _is_scales(value: Any) -> bool:
    return (
        isinstance(value, tuple | list)
        and bool(value)
        and all(_is_number(s, 0.05, 1) for s in value)
    )


_TEXT = _Field("a name, not empty", lambda value: isinstance(value, str) and bool(value))
_JITTER = _Field("two strengths (brightness, contrast), each from 0 (off) to 0.99", _is_jitter)
_COUNT = _Field("an integer, 0 or more", lambda value: _is_int(value, 0))
_SIDE = _Field("a number of pixels, 8 or more", lambda value: _is_int(value, 8))
_FIELDS = {
    "name": _TEXT,
    "config": _TEXT,
    "dir": _TEXT,
    "train_split": _TEXT,
    "test_split": _TEXT,
    "segments": _Field("an integer, 1 or more", lambda value: _is_int(value, 1)),
    "resize": _SIDE,
    "crop": _SIDE,
    "train_reach": _Field("a share from 0 to 1", lambda value: _is_number(value, 0, 1)),
    "train_scales": _Field("one or more shares of the short side, each from 0.05 to 1", _is_scales),
    "flip_probability": _Field("a probability, 0 to 1", lambda value: _is_number(value, 0, 1)),
    "rgb_jitter": _JITTER,
    "ir_jitter": _JITTER,
    "cache": _Field('a folder, or "" for none', lambda value: isinstance(value, str)),
    "workers": _COUNT,
    "threads": _COUNT,
    "prefetch": _Field("an integer, 1 or more", lambda value: _is_int(value, 1)),
}
# What configs of earlier versions do not have, and mean by that.
_OPTIONAL = {
    "sampling": _Field(
        f"one of {', '.join(map(repr, SAMPLINGS))}",
        lambda value: value in (*SAMPLINGS, SNIPPETS),
    ),
    "frame_stride": _Field("an integer, 1 or more", lambda value: _is_int(value, 1)),
    "on_device": _Field("True or False", lambda value: isinstance(value, bool)),
    # Of no config, but of what a network's stream makes of one (models.streams).
    "snippet": _Field("an integer, 2 or more", lambda value: _is_int(value, 2)),
    "flow": _Field("True or False", lambda value: isinstance(value, bool)),
}


def validate(data: ConfigDict) -> None:
    """Checks the data section of a config, all fields at once.

    The fields:
        name: TFDS name of the data set ("ntu_rgbd_ir").
        config: Builder config ("ten_class_xsub", "ten_class_xview", "all_xsub", "all_xview").
        dir: The folder that was `tfds build`'s --data_dir.
        train_split: Split that is trained on; slices such as "train[:25%]" are allowed.
        test_split: Split that is tested on.
        segments: Frames read of each clip, T, one a segment (>= 1).
        sampling: "segments" (the default), or "dense": T frames in a row; see `sampling`.
        frame_stride: Of dense sampling: reads every so many-th frame (>= 1, the default).
        resize: Short side in pixels to which test frames are scaled before the centre crop (>=
            crop).
        crop: Side of the square network input in pixels (>= 8).
        train_reach: How far training crops go to the sides: 1 to the picture's edges, 0 not at all.
        train_scales: Sides of the training crop to choose from, shares of the short side (0.05-1
            each).
        flip_probability: Chance of a horizontal flip in training (0-1).
        rgb_jitter: Strengths of training's random brightness and contrast for RGB (each 0-0.99).
        ir_jitter: The same for infrared, drawn independently.
        cache: Folder for the decoded frames of the data set, memory-mapped instead of decoded anew in
            each epoch; made when it is first needed. "" decodes what is sampled. Changes no number.
        on_device: Whether training's decoded frames lie on the devices and are cut out there (False is
            the default), see `validate_on_device`. Changes no number.
        snippet: Of the sampling "snippets", which no config asks for by name: frames of each segment.
        flow: Whether networks get the optical flow within each snippet instead of its frames, see
            `flow.flow_stacks`.
        workers: Processes that prepare batches; 0 prepares them in the main process.
        threads: Threads that prepare batches, in each process; 0 prepares a batch when it is asked
            for.
        prefetch: Batches that each process holds ready (>= 1).

    Args:
        data: `config.data`.

    Raises:
        ValueError: fields are missing or out of range; the message names each with its value.
    """
    problems = []
    present = {name: field for name, field in _OPTIONAL.items() if name in data}
    for name, field in (_FIELDS | present).items():
        if name not in data:
            problems.append(f"config.data.{name} is missing; expected {field.expected}")
        elif not field.holds(data[name]):
            problems.append(f"config.data.{name} is {data[name]!r}; expected {field.expected}")
    if not problems and data.crop > data.resize:
        problems.append(
            f"config.data.crop is {data.crop} and config.data.resize {data.resize}; test frames "
            "are scaled to a short side of `resize` before the centre crop, so resize must "
            "be at least crop"
        )
    if not problems and (data.get("sampling") == SNIPPETS) != ("snippet" in data):
        problems.append(
            f"config.data.sampling is {data.get('sampling')!r}; expected one of "
            f"{', '.join(map(repr, SAMPLINGS))}: snippets are read where a network's stream asks for them, "
            "such as --config.student.stream=differences"
        )
    if problems:
        raise ValueError("\n".join(problems))


def validate_on_device(data: ConfigDict) -> None:
    """Checks what frames on the devices need, where `config.data.on_device` asks for them.

    Apart from `validate`, because who only tests does not read from there.

    Args:
        data: The checked `config.data`.

    Raises:
        ValueError: there is no cache whose frames could be put there, or frames are to be changed in a
            way that is done on the host alone.
    """
    if not data.get("on_device", False):
        return
    problems = []
    if not data.cache:
        problems.append(
            "it puts the cache of decoded frames on the devices, and config.data.cache is empty; name a "
            "folder for it: --config.data.cache=FOLDER"
        )
    problems.extend(
        f"config.data.{name} is {tuple(data[name])}, and light is changed on the host alone; expected "
        "(0.0, 0.0)"
        for name in ("rgb_jitter", "ir_jitter")
        if any(data[name])
    )
    if data.get("flow", False):
        problems.append("optical flow is computed on the host alone")
    if problems:
        raise ValueError(
            f"config.data.on_device is True, but {'; and '.join(problems)}. Or do without: "
            "--config.data.on_device=False"
        )
