"""What the tests of the synthetic world share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def _same_film(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


@pytest.fixture
def same_film() -> Callable[[Path, Path], bool]:
    """Whether two video files are the same, byte for byte."""
    return _same_film
