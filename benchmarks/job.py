"""What both sides of `benchmarks/step.py` compute, and the files through which they share arrays."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LEARNER, FOLDED = "learner", "teacher"
CLASSES = 10


class Job(NamedTuple):
    """One kind of training step.

    Attributes:
        name: "teacher", "student", or methods joined by "+".
        depth: of the network that learns.
        modality: that it sees.
        distill: the methods' sections; empty: cross-entropy alone, no teacher.
        batch: clips.
        segments: frames of a clip.
        size: of the square frames.
        width: base width of both networks.
        dtype: compute dtype, by name.
        mean: of the normalisation, for all channels.
        std: likewise.
        learning_rate: of SGD with momentum 0.9.
        weight_decay: added to the gradient.
        checked_steps: whose losses must agree before anything is timed.
    """

    name: str
    depth: int
    modality: str
    distill: Mapping[str, Mapping[str, Any]]
    batch: int
    segments: int
    size: int
    width: int
    dtype: str
    mean: float = 0.449
    std: float = 0.226
    learning_rate: float = 0.001
    weight_decay: float = 5e-4
    checked_steps: int = 3


def make_job(
    name: str,
    distill: Mapping[str, Mapping[str, Any]],
    *,
    batch: int,
    segments: int,
    size: int,
    width: int,
    dtype: str,
) -> Job:
    """The job of a name: the teacher is a ResNet50 on colour, all else a ResNet18 on infrared."""
    depth, modality = (50, "rgb") if name == "teacher" else (18, "ir")
    # Long steps through an untrained network would end where rounding decides; these change the loss by a
    # hundredth. The ResNet50's gradient is twenty times as large.
    rate = 1e-7 if name == "teacher" else 1e-4
    return Job(
        name, depth, modality, distill, batch, segments, size, width, dtype, learning_rate=rate
    )


def write_arrays(folder: Path, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays for the other side."""
    np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]


def read_arrays(folder: Path, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Reads what the other side wrote."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        yield from ((key, arrays[key]) for key in arrays.files)
