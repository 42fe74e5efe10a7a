"""The class must follow from nothing but the action.

120 pairs are filmed at a tiny size through the command's own code and read back from
their files. Simple classifiers are then given one property of a clip each, none of which may tell
the class better than chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rgb2ir_jax.synthesis.casting import choose_samples
from rgb2ir_jax.synthesis.dataset import film_dataset
from rgb2ir_jax.synthesis.film import pair_paths
from tests.synthesis.shortcuts import accuracies, chance_bound

CLIPS = 120
HEIGHT = 48
STAND_UP = 9

pytestmark = pytest.mark.slow


@dataclass
class Properties:
    """What a shortcut could be made of, one row a clip."""

    action: np.ndarray
    single: dict[str, np.ndarray]
    first_frame: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Properties:
    folder: Path = tmp_path_factory.mktemp("footage")
    film_dataset(folder, CLIPS, HEIGHT, seed=11, workers=2, progress=False)
    names = choose_samples(CLIPS, 11)
    rows: dict[str, list[np.ndarray]] = {
        key: []
        for key in (
            "length",
            "rgb file size",
            "ir file size",
            "rgb bytes a frame",
            "mean colour",
            "mean infrared",
            "background strip",
        )
    }
    firsts: dict[str, list[np.ndarray]] = {"rgb": [], "ir": []}
    for name in names:
        rgb_path, ir_path = pair_paths(folder, name)
        rgb, ir = (_decode(path) for path in (rgb_path, ir_path))
        rows["length"].append(np.array([len(rgb), len(ir), len(rgb) - len(ir)]))
        rows["rgb file size"].append(np.array([rgb_path.stat().st_size]))
        rows["ir file size"].append(np.array([ir_path.stat().st_size]))
        rows["rgb bytes a frame"].append(np.array([rgb_path.stat().st_size / len(rgb)]))
        rows["mean colour"].append(rgb.mean(axis=(0, 1, 2)))
        rows["mean infrared"].append(ir.mean(axis=(0, 1, 2))[:1])
        strip = rgb[:, :, :8].mean(axis=0)  # the left edge, where nobody acts
        rows["background strip"].append(
            cv2.resize(strip, (2, 12), interpolation=cv2.INTER_AREA).ravel()
        )
        for key, clip in (("rgb", rgb), ("ir", ir[..., :1])):
            small = cv2.resize(clip[0].astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA)
            firsts[key].append(small.ravel())
    single = {key: np.stack(value) for key, value in rows.items()}
    for key in ("performer", "camera", "setup", "replication"):
        numbers = np.array([getattr(name, key) for name in names])
        single[key] = (numbers[:, None] == np.unique(numbers)).astype(float)
    return Properties(
        np.array([name.action for name in names]),
        single,
        {key: np.stack(value) for key, value in firsts.items()},
    )


def _decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.mark.parametrize(
    "what",
    [
        "length",
        "rgb file size",
        "ir file size",
        "rgb bytes a frame",
        "mean colour",
        "mean infrared",
        "background strip",
        "performer",
        "camera",
        "setup",
        "replication",
    ],
)
def test_no_single_property_tells_the_class(footage: Properties, what: str) -> None:
    bound = chance_bound(CLIPS, 10)
    assert bound < 0.21  # the test has teeth
    for model, accuracy in accuracies(footage.single[what], footage.action).items():
        assert accuracy <= bound, f"{what} tells the class: {model} reaches {accuracy:.3f}"


@pytest.mark.parametrize("modality", ["rgb", "ir"])
def test_the_first_frame_does_not_tell_the_class(footage: Properties, modality: str) -> None:
    """But for standing up, which alone begins seated."""
    others = footage.action != STAND_UP
    features, labels = footage.first_frame[modality][others], footage.action[others]
    for model, accuracy in accuracies(features, labels).items():
        assert accuracy <= chance_bound(len(labels), 9), f"{model} reaches {accuracy:.3f}"


def test_the_bound_would_catch_a_leak(footage: Properties) -> None:
    """A property that follows the class in one clip of four is found by the same classifiers."""
    rng = np.random.default_rng(0)
    leak = np.where(rng.random(CLIPS) < 0.25, footage.action, rng.integers(1, 11, CLIPS))
    found = accuracies((leak[:, None] == np.arange(1, 11)).astype(float), footage.action)
    assert max(found.values()) > chance_bound(CLIPS, 10)
