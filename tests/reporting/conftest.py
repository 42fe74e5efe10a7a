"""Data sets of chosen records, written without any video."""

import pathlib

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds

from rgb2ir_jax.video.jpeg import encode_jpeg


def clip_pictures(seed, frames, height, width, channels):
    """JPEGs of smooth random patterns that move from frame to frame; no two clips' are alike."""
    rng = np.random.default_rng(seed)
    phase, speed, low = rng.random((3, 1, 1, channels)) * [[[[6.0]]], [[[1.0]]], [[[60.0]]]]
    y, x = np.mgrid[:height, :width][..., None] / 9.0
    return [
        encode_jpeg(
            (low + 90 * (1 + np.sin(x + phase + t * speed) * np.cos(y - phase))).astype(np.uint8)
        )
        for t in range(frames)
    ]


def make_record(sample_id, label, *, rgb_frames=6, ir_frames=6, size=(24, 40), **more):
    """A record as the builders make them; `more` adds fields or replaces what is here."""
    seed = sum(map(ord, sample_id)) * 1000 + len(sample_id)
    record = {
        "sample_id": sample_id,
        "label": label,
        "rgb": more.pop("rgb", None) or clip_pictures(seed, rgb_frames, *size, 3),
        "ir": more.pop("ir", None) or clip_pictures(seed + 1, ir_frames, *size, 1),
        "rgb_fps": 30.0,
        "ir_fps": 30.0,
    }
    record["rgb_frames"], record["ir_frames"] = len(record["rgb"]), len(record["ir"])
    return {**record, **more}


def build_records(data_dir, class_names, splits, name="paired_clips", config="default"):
    """Writes records by split as a data set; fields beyond the usual are whole numbers or words."""
    usual = make_record("x", 0, rgb_frames=1, ir_frames=1)
    more = {
        field: tfds.features.Text() if isinstance(value, str) else np.int32
        for records in splits.values()
        for record in records
        for field, value in record.items()
        if field not in usual
    }

    class Written(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.2.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)]  # noqa: RUF012

        def _info(self):
            pictures = {
                modality: tfds.features.Sequence(
                    tfds.features.Image(shape=(None, None, channels), encoding_format="jpeg")
                )
                for modality, channels in (("rgb", 3), ("ir", 1))
            }
            numbers = {"rgb_frames": np.int32, "ir_frames": np.int32}
            rates = {"rgb_fps": np.float32, "ir_fps": np.float32}
            return tfds.core.DatasetInfo(
                builder=self,
                disable_shuffling=True,
                features=tfds.features.FeaturesDict(
                    {
                        "sample_id": tfds.features.Text(),
                        "label": tfds.features.ClassLabel(names=list(class_names)),
                        **pictures,
                        **numbers,
                        **rates,
                        **more,
                    }
                ),
            )

        def _split_generators(self, dl_manager):
            return {split: enumerate(records) for split, records in splits.items()}

        def _generate_examples(self, pipeline):
            raise NotImplementedError

    Written.name = name
    builder = Written(data_dir=data_dir, file_format="array_record")
    builder.download_and_prepare()
    return pathlib.Path(builder.data_path)


@pytest.fixture(scope="session")
def records():
    """What tests need of this module (tests are no package, so that it cannot be imported)."""

    class Records:
        make = staticmethod(make_record)
        build = staticmethod(build_records)
        pictures = staticmethod(clip_pictures)

    return Records
