"""What the losses refuse: shapes that make no sense and options out of range, each in one clear line."""

import math
from collections.abc import Sequence
from typing import Any

from jaxtyping import Array


def check_logits(student_logits: Array, teacher_logits: Array) -> None:
    """Raises ValueError unless both are (B, C) of one and the same shape with B >= 1 and C >= 2."""
    if student_logits.shape != teacher_logits.shape or student_logits.ndim != 2:
        raise ValueError(
            f"student logits {student_logits.shape} and teacher logits {teacher_logits.shape} must have "
            "one and the same shape (clips, classes)"
        )
    if student_logits.shape[0] < 1 or student_logits.shape[1] < 2:
        raise ValueError(
            f"logits of shape {student_logits.shape}: expected at least one clip and two classes"
        )


def check_labels(labels: Array, logits: Array) -> None:
    """Raises ValueError unless there is one label for each row of the (B, C) logits."""
    if labels.shape != logits.shape[:1]:
        raise ValueError(
            f"labels have shape {labels.shape}, expected {logits.shape[:1]}: one a clip"
        )


def check_maps(student_maps: Sequence[Array], teacher_maps: Sequence[Array]) -> None:
    """Raises ValueError unless both are equally many (N, H, W, C) maps of one and the same N > 0."""
    if len(student_maps) != len(teacher_maps) or len(student_maps) == 0:
        raise ValueError(
            f"found {len(student_maps)} student maps and {len(teacher_maps)} teacher maps; expected one "
            "map per stage from each network, equally many of them and at least one"
        )
    maps = [*student_maps, *teacher_maps]
    shapes = [tuple(m.shape) for m in maps]
    if any(len(shape) != 4 or 0 in shape for shape in shapes):
        raise ValueError(f"maps must be non-empty (N, H, W, C) arrays, found shapes {shapes}")
    if len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"all maps must come from the same N clips, found shapes {shapes}")


def check_same_channels(student_map: Array, teacher_map: Array) -> None:
    """Raises ValueError unless both (N, H, W, C) maps are from the same N clips and have the same C."""
    check_maps([student_map], [teacher_map])
    if student_map.shape[-1] != teacher_map.shape[-1]:
        raise ValueError(
            f"the student's map has {student_map.shape[-1]} channels and the teacher's "
            f"{teacher_map.shape[-1]}; expected the student's after a connector to the teacher's channels"
        )


def check_features(student_features: Array, teacher_features: Array) -> None:
    """Raises ValueError unless both are (N, D) with one and the same N > 0; D may differ."""
    shapes = [tuple(student_features.shape), tuple(teacher_features.shape)]
    if any(len(shape) != 2 or 0 in shape for shape in shapes):
        raise ValueError(f"features must be non-empty (N, D) arrays, found shapes {shapes}")
    if shapes[0][0] != shapes[1][0]:
        raise ValueError(f"features must come from the same N clips, found shapes {shapes}")


def check_positive(name: str, value: float) -> None:
    """Raises ValueError unless the option is a finite number above 0."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}, expected a finite positive number")


def check_not_negative(**options: float) -> None:
    """Raises ValueError unless every option is a finite number of 0 or more."""
    for name, value in options.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}, expected a finite number of 0 or more")


def check_whole(name: str, value: int, least: int) -> None:
    """Raises ValueError unless the option is a whole number of at least `least`."""
    if value != int(value) or value < least:
        raise ValueError(f"{name} is {value}, expected a whole number of at least {least}")


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raises ValueError unless the option is one of the known values."""
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not known; expected one of {', '.join(choices)}")
