"""A built data set whose pixels tell when and what they show."""

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import ml_collections
import numpy as np
import pytest
import tensorflow_datasets as tfds

from rgb2ir_jax.video.encode import write_video

RGB_FRAMES, IR_FRAMES = 40, 25


def _frames(count, height, width):
    """Flat pictures that brighten steadily: brightness tells the relative moment, 20 + 200 u."""
    return (
        np.full((height, width, 3), 20 + 200 * (t + 0.5) / count, np.uint8) for t in range(count)
    )


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Twenty-two training clips and nine test clips of the cross-subject protocol."""
    footage, built = tmp_path_factory.mktemp("footage"), tmp_path_factory.mktemp("built")
    train = [(1, a, r) for a in range(1, 11) for r in (1, 2)] + [(2, 1, 1), (2, 2, 1)]
    test = [(3, a, 1) for a in range(1, 10)]
    for performer, action, replication in train + test:
        sample = footage / f"S001C001P{performer:03}R{replication:03}A{action:03}"
        write_video(f"{sample}_rgb.avi", _frames(RGB_FRAMES, 36, 64), crf=5)
        write_video(f"{sample}_ir.avi", _frames(IR_FRAMES, 40, 48), crf=5)
    from data_builders.ntu_rgbd_ir.ntu_rgbd_ir_dataset_builder import Builder

    builder = Builder(data_dir=built)
    builder.workers = 0
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=footage))
    return built


@pytest.fixture
def data(data_dir):
    """The data section of a config for it."""
    return ml_collections.ConfigDict(
        {
            "name": "ntu_rgbd_ir",
            "config": "ten_class_xsub",
            "dir": str(data_dir),
            "train_split": "train",
            "test_split": "test",
            "segments": 4,
            "resize": 36,
            "crop": 32,
            "train_reach": 1.0,
            "train_scales": (1.0, 0.875, 0.75, 0.66),
            "flip_probability": 0.5,
            "rgb_jitter": (0.0, 0.0),
            "ir_jitter": (0.0, 0.0),
            "cache": "",
            "workers": 0,
            "threads": 0,
            "prefetch": 2,
        }
    )
