"""The NTU RGB+D builder on tiny real videos."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_builders.ntu_rgbd_ir.footage import FootageError
from data_builders.ntu_rgbd_ir.ntu_rgbd_ir_dataset_builder import Builder
from data_builders.recording.report import TooManyBadClipsError

# TFDS 4.9.10 asks protobuf for something deprecated, which fails with a TypeError where warnings
# are errors.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

ROOT = pathlib.Path(__file__).parents[2]


def build(manual_dir, data_dir, config="ten_class_xsub", workers=0):
    builder = tfds.builder_cls("ntu_rgbd_ir")(data_dir=data_dir, config=config)
    builder.workers = workers
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return tfds.builder_from_directory(builder.data_dir)


def records(builder, split):
    return list(builder.as_data_source(split=split))


def ids(builder, split):
    return [record["sample_id"].decode() for record in records(builder, split)]


@pytest.fixture(scope="module")
def built(footage_dir, tmp_path_factory):
    return build(footage_dir, tmp_path_factory.mktemp("built"), workers=2)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2))


def test_splits_follow_the_cross_subject_protocol(built, footage):
    ten_class = [sample for sample in footage.samples if not sample.endswith("A011")]
    train = sorted(s for s in ten_class if s[8:12] in ("P001", "P002", "P038"))
    assert ids(built, "train") == train
    assert ids(built, "test") == sorted(set(ten_class) - set(train))


def test_records_hold_what_the_videos_show(built, footage):
    for record in records(built, "train") + records(built, "test"):
        sample = record["sample_id"].decode()
        assert sample == (
            f"S{record['setup']:03}C{record['camera']:03}P{record['performer']:03}"
            f"R{record['replication']:03}A{record['label'] + 1:03}"
        )
        assert (
            (record["rgb_frames"], record["ir_frames"])
            == (len(record["rgb"]), len(record["ir"]))
            == (16, 14)
        )
        assert record["rgb_fps"] == record["ir_fps"] == 30
        for t, picture in enumerate(record["rgb"]):
            assert picture.shape == (36, 64, 3)
            assert psnr(picture, footage.rgb_picture(sample, t)) > 30
        for t, picture in enumerate(record["ir"]):
            assert picture.shape == (40, 48, 1)
            assert psnr(picture, footage.ir_picture(sample, t)) > 30


def test_metadata(built):
    assert built.info.features["label"].names[8] == "standing up (from sitting position)"
    assert built.info.features["label"].num_classes == 10
    assert built.info.file_format == tfds.core.FileFormat.ARRAY_RECORD
    assert "Shahroudy" in built.info.citation
    report = json.loads((pathlib.Path(built.data_dir) / "build_report.json").read_text())
    assert report["written"] == {"train": 4, "test": 4}
    assert report["differing_lengths"] == report["samples"] == 8
    assert report["skipped"] == {}


def test_cross_view_and_all_classes(footage_dir, tmp_path, footage):
    builder = build(footage_dir, tmp_path, "all_xview")
    assert ids(builder, "test") == sorted(s for s in footage.samples if "C001" in s)
    assert ids(builder, "train") == sorted(s for s in footage.samples if "C001" not in s)
    assert builder.info.features["label"].num_classes == 60
    assert {10} == {
        r["label"] for r in records(builder, "test") if r["sample_id"].endswith(b"A011")
    }


def test_the_records_do_not_depend_on_the_workers(built, footage_dir, tmp_path):
    again = build(footage_dir, tmp_path, workers=0)
    for split in ("train", "test"):
        for a, b in zip(records(built, split), records(again, split), strict=True):
            assert all(np.array_equal(x, y) for x, y in zip(a["rgb"], b["rgb"], strict=True))


def test_frames_are_scaled_to_the_short_side(footage_dir, tmp_path):
    small = Builder.builder_config_cls(
        name="small", num_classes=10, short_side=20, description="Small."
    )
    record = records(build(footage_dir, tmp_path, small), "test")[0]
    assert record["rgb"][0].shape == (20, 36, 3)
    assert record["ir"][0].shape == (20, 24, 1)


def damaged(folder, footage):
    for sample in footage.samples:
        footage.write_sample(folder, sample, 4, 4)
    (folder / "nturgb+d_ir" / f"{footage.samples[0]}_ir.avi").write_bytes(b"RIFF")
    (folder / "nturgb+d_rgb" / f"{footage.samples[3]}_rgb.avi").unlink()
    return folder


def test_too_many_bad_clips_stop_the_build_and_leave_nothing(tmp_path, footage):
    with pytest.raises(TooManyBadClipsError, match=footage.samples[3]):
        build(damaged(tmp_path / "in", footage), tmp_path / "out")
    (tmp_path / "in" / "nturgb+d_ir" / f"{footage.samples[3]}_ir.avi").unlink()
    with pytest.raises(TooManyBadClipsError, match=f"{footage.samples[0]}.*cannot be opened"):
        build(tmp_path / "in", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("dataset_info.json"))
    assert not list((tmp_path / "out").rglob("*incomplete*"))


def test_a_few_bad_clips_are_skipped_and_reported(tmp_path, footage):
    patient = Builder.builder_config_cls(
        name="patient", num_classes=10, max_bad_fraction=0.25, description="Patient."
    )
    builder = build(damaged(tmp_path / "in", footage), tmp_path / "out", patient)
    assert builder.info.splits.total_num_examples == 6
    report = json.loads((pathlib.Path(builder.data_dir) / "build_report.json").read_text())
    assert sorted(report["skipped"]) == sorted([footage.samples[0], footage.samples[3]])


def test_an_empty_split_is_refused_before_decoding(tmp_path, footage):
    footage.write_sample(tmp_path / "in", "S001C001P001R001A001", 4, 4)
    with pytest.raises(FootageError, match=r"test split would be empty.*performers \[1\]"):
        build(tmp_path / "in", tmp_path / "out")


def test_a_folder_without_footage_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").touch()
    with pytest.raises(FootageError, match=r"S001C002P003R002A008_rgb\.avi"):
        build(tmp_path / "in", tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("place", [".", "data_builders/ntu_rgbd_ir"])
def test_the_stock_command(footage_dir, tmp_path, place):
    dataset = ["data_builders/ntu_rgbd_ir"] if place == "." else []
    command = [
        pathlib.Path(sys.executable).with_name("tfds"), "build", *dataset,
        "--config=ten_class_xview", f"--manual_dir={footage_dir}", f"--data_dir={tmp_path}",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        cwd=ROOT / place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Wrote 5 train, 3 test" in done.stdout
    builder = tfds.builder_from_directory(tmp_path / "ntu_rgbd_ir" / "ten_class_xview" / "1.0.0")
    assert builder.info.splits["train"].num_examples == 5


def test_tfds_own_checks_of_a_builder(footage_dir):
    class NtuRgbdIrTest(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = Builder
        BUILDER_CONFIG_NAMES_TO_TEST = ["ten_class_xsub"]  # noqa: RUF012 - TFDS's own declaration
        SPLITS = {"train": 4, "test": 4}  # noqa: RUF012
        EXAMPLE_DIR = str(footage_dir)

        def _make_builder(self, config=None):
            # The checks read through tf.data, which array_record does not offer.
            return Builder(data_dir=self.tmp_dir, config=config, file_format="tfrecord")

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(NtuRgbdIrTest).run(result)
    assert result.testsRun >= 5
    assert not result.errors + result.failures, "\n".join(
        text for _, text in result.errors + result.failures
    )
