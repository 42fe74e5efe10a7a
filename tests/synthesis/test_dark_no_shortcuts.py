"""In dark clips the class follows from nothing but the action.

The quick tests look at what is drawn before anyone acts, and at the first picture. The slow one
films a set through the command's own code and looks at the files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from rgb2ir_jax.synthesis.dark.clips import DARK_CLASS_NAMES, choose_clips
from rgb2ir_jax.synthesis.dark.dataset import film_dark_dataset
from rgb2ir_jax.synthesis.dark.layout import clip_path
from tests.synthesis.first_pictures import first_pictures
from tests.synthesis.shortcuts import accuracies, chance_bound

CLASSES = len(DARK_CLASS_NAMES)
CLIPS, HEIGHT, SEED = 16 * CLASSES, 40, 11
# Whole films take longer than their first pictures.
FILMED = 8 * CLASSES
STAND = DARK_CLASS_NAMES.index("Stand")


@dataclass
class Properties:
    """What a shortcut could be made of, one row a clip."""

    label: np.ndarray
    single: dict[str, np.ndarray]
    first_frame: np.ndarray


def _one_hot(numbers: np.ndarray) -> np.ndarray:
    return (numbers[:, None] == np.unique(numbers)).astype(float)


@pytest.fixture(scope="module")
def footage() -> Properties:
    clips = choose_clips(CLIPS, SEED)
    rows: dict[str, list[np.ndarray]] = {
        key: [] for key in ("length", "start", "mean colour", "background strip")
    }
    firsts = []
    for begun in first_pictures(clips, SEED, HEIGHT):
        picture = begun.picture.astype(np.float32)
        rows["length"].append(np.array([begun.frames]))
        rows["start"].append(begun.start)
        rows["mean colour"].append(picture.mean(axis=(0, 1)))
        strip = cv2.resize(picture[:, :6], (2, 12), interpolation=cv2.INTER_AREA)
        rows["background strip"].append(strip.ravel())
        small = cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA)
        firsts.append(small.ravel() / small.mean())  # brightness is looked at above
    single = {key: np.stack(value) for key, value in rows.items()}
    single["group"] = _one_hot(np.array([clip.group for clip in clips]))
    single["performer"] = _one_hot(np.array([clip.performer for clip in clips]))
    return Properties(np.array([clip.label for clip in clips]), single, np.stack(firsts))


@pytest.mark.parametrize(
    "what", ["length", "start", "mean colour", "background strip", "group", "performer"]
)
def test_no_single_property_tells_the_class(footage: Properties, what: str) -> None:
    bound = chance_bound(CLIPS, CLASSES)
    assert bound < 0.18  # the test has teeth
    for model, accuracy in accuracies(footage.single[what], footage.label).items():
        assert accuracy <= bound, f"{what} tells the class: {model} reaches {accuracy:.3f}"


def test_the_first_frame_does_not_tell_the_class(footage: Properties) -> None:
    """But for standing up, which alone begins seated."""
    others = footage.label != STAND
    features, labels = footage.first_frame[others], footage.label[others]
    for model, accuracy in accuracies(features, labels).items():
        assert accuracy <= chance_bound(len(labels), CLASSES - 1), f"{model}: {accuracy:.3f}"


def test_the_bound_would_catch_a_leak(footage: Properties) -> None:
    """A property that follows the class in one clip of four is found by the same classifiers."""
    rng = np.random.default_rng(0)
    leak = np.where(rng.random(CLIPS) < 0.25, footage.label, rng.integers(0, CLASSES, CLIPS))
    found = accuracies(_one_hot(leak), footage.label)
    assert max(found.values()) > chance_bound(CLIPS, CLASSES)


@pytest.mark.slow
def test_no_file_tells_the_class(tmp_path: Path, decode: Callable[[Path], np.ndarray]) -> None:
    """Size, brightness and noise of whole films, which move as their actions do."""
    film_dark_dataset(tmp_path, FILMED, HEIGHT, SEED, 2, progress=False)
    clips = choose_clips(FILMED, SEED)
    rows: dict[str, list[np.ndarray]] = {"file size": [], "bytes a frame": [], "mean colour": []}
    for clip in clips:
        path = clip_path(tmp_path, clip)
        film = decode(path)
        rows["file size"].append(np.array([path.stat().st_size]))
        rows["bytes a frame"].append(np.array([path.stat().st_size / len(film)]))
        rows["mean colour"].append(film.mean(axis=(0, 1, 2)))
    labels = np.array([clip.label for clip in clips])
    assert chance_bound(FILMED, CLASSES) < 0.21  # finds a leak in one clip of seven
    for what, values in rows.items():
        for model, accuracy in accuracies(np.stack(values), labels).items():
            assert accuracy <= chance_bound(FILMED, CLASSES), f"{what}: {model} {accuracy:.3f}"
