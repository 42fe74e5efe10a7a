"""What the tests of the synthetic world share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest


def _luma(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack(
            [f.to_ndarray(format="gray") for f in container.decode(video=0)], dtype=float
        )


def _same_film(one: Path, other: Path) -> bool:
    first, second = _luma(one), _luma(other)
    if first.shape != second.shape:
        return False
    return bool(np.abs(first - second).mean() < 2)


@pytest.fixture
def same_film() -> Callable[[Path, Path], bool]:
    """Whether two video files show the same pictures, up to what coding changes.

    Not their bytes, and not each picture: from equal ones x264 (its macroblock tree) codes some
    blocks in another way now and then, and pictures this small have few blocks. Tests of equality
    to the bit look at the pictures before they are coded.
    """
    return _same_film
