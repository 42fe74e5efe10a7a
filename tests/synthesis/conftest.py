"""What the tests of the synthetic world share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest


def _same_film(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


@pytest.fixture
def same_film() -> Callable[[Path, Path], bool]:
    """Whether two video files are the same, byte for byte."""
    return _same_film


def _decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.fixture(scope="session")
def decode() -> Callable[[Path], np.ndarray]:
    """All frames of a video file, (frame, height, width, 3)."""
    return _decode
