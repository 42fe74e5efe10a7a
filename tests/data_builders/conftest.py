"""Tiny real footage in NTU RGB+D's layout."""

import numpy as np
import pytest

from rgb2ir_jax.video.encode import write_video

SAMPLES = [
    f"S{1 + p % 17:03}C{c:03}P{p:03}R001A{a:03}"
    for p, c, a in [
        (1, 1, 1), (1, 2, 10), (2, 3, 5), (3, 1, 2), (3, 2, 9), (38, 1, 3), (39, 3, 4), (40, 2, 10),
        (5, 1, 11),
    ]
]  # fmt: skip


def rgb_picture(sample: str, frame: int) -> np.ndarray:
    """A colour pattern that tells sample and frame."""
    y, x = np.mgrid[:36, :64]
    phase = sum(map(ord, sample)) / 10 + frame / 4
    waves = [np.sin(x / 7 + phase), np.cos(y / 6 + phase), np.sin((x + y) / 9 + phase)]
    return (127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def ir_picture(sample: str, frame: int) -> np.ndarray:
    """A gray pattern that tells sample and frame, of another size."""
    return np.pad(rgb_picture(sample, frame)[:, :48, :1], ((2, 2), (0, 0), (0, 0)), mode="edge")


def write_sample(folder, sample: str, rgb_frames: int = 16, ir_frames: int = 14) -> None:
    """Writes both videos of a sample."""
    for modality, picture, frames in (
        ("rgb", rgb_picture, rgb_frames),
        ("ir", ir_picture, ir_frames),
    ):
        where = folder / f"nturgb+d_{modality}"
        where.mkdir(parents=True, exist_ok=True)
        write_video(
            where / f"{sample}_{modality}.avi", (picture(sample, t) for t in range(frames)), crf=12
        )


@pytest.fixture(scope="session")
def footage_dir(tmp_path_factory):
    """Nine samples: eight of the ten classes, one of the eleventh."""
    folder = tmp_path_factory.mktemp("footage")
    for sample in SAMPLES:
        write_sample(folder, sample)
    return folder


@pytest.fixture(scope="session")
def footage():
    """What tests need of this module (tests are no package, so that it cannot be imported)."""

    class Footage:
        samples = SAMPLES
        rgb_picture = staticmethod(rgb_picture)
        ir_picture = staticmethod(ir_picture)
        write_sample = staticmethod(write_sample)

    return Footage
