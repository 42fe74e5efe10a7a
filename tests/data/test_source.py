"""Opening built data sets, with and without mistakes, and without TensorFlow."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest

from rgb2ir_jax.data.source import ClipSource, DatasetNotFoundError, describe, open_split


def test_description(data):
    description = describe(data)
    assert description.num_clips == {"train": 22, "test": 9}
    assert description.class_names[:2] == ("drink water", "eat meal/snack")
    assert len(description.class_names) == 10
    assert description.version == "1.0.0"


@pytest.mark.parametrize("said", [True, False, None])
def test_synthetic_is_what_the_builder_said(data, data_dir, tmp_path, said):
    folder = tmp_path / "ntu_rgbd_ir" / "ten_class_xsub"
    shutil.copytree(data_dir / "ntu_rgbd_ir" / "ten_class_xsub" / "1.0.0", folder / "1.0.0")
    data.dir = str(tmp_path)
    report = folder / "1.0.0" / "build_report.json"
    report.write_text(json.dumps({} if said is None else {"synthetic": said}))
    assert describe(data).synthetic is bool(said)
    report.unlink()
    assert describe(data).synthetic is False
    report.write_text("[")
    with pytest.raises(ValueError, match=r"build_report\.json is not a builder's report"):
        describe(data)


def test_records_stay_encoded_and_in_order(data):
    source = open_split(data, "test")
    records = list(source)
    assert [record["label"] for record in records] == list(range(9))
    assert len(records[0]["rgb"]) == records[0]["rgb_frames"] == 40
    assert len(records[0]["ir"]) == records[0]["ir_frames"] == 25
    assert all(jpeg[:2] == b"\xff\xd8" and jpeg[-2:] == b"\xff\xd9" for jpeg in records[0]["rgb"])


def test_a_source_travels_to_another_process(data):
    source = pickle.loads(pickle.dumps(open_split(data, "train")))
    assert isinstance(source, ClipSource)
    assert source[3]["sample_id"] == open_split(data, "train")[3]["sample_id"]


def test_slices_of_a_split(data):
    assert len(open_split(data, "train[:50%]")) == 11


def test_the_newest_version_is_read(data, data_dir, tmp_path):
    folder = tmp_path / "ntu_rgbd_ir" / "ten_class_xsub"
    for version in ("1.0.0", "1.10.0", "1.9.0"):
        shutil.copytree(data_dir / "ntu_rgbd_ir" / "ten_class_xsub" / "1.0.0", folder / version)
    (folder / "incomplete.AB12_2.0.0").mkdir()
    data.dir = str(tmp_path)
    assert describe(data).version == "1.10.0"


def test_a_missing_folder_is_told_with_the_command(data):
    data.dir = "/no/such/folder"
    with pytest.raises(DatasetNotFoundError) as caught:
        describe(data)
    assert "'/no/such/folder'" in str(caught.value)
    assert "tfds build data_builders/ntu_rgbd_ir --config=ten_class_xsub" in str(caught.value)
    assert "--data_dir=/no/such/folder" in str(caught.value)


def test_an_unbuilt_config_is_told_with_what_is_there(data):
    data.config = "all_xview"
    with pytest.raises(
        DatasetNotFoundError, match=r"(?s)ntu_rgbd_ir/ten_class_xsub\).*--config=all_xview"
    ):
        describe(data)


def test_an_empty_folder_holds_nothing(data, tmp_path):
    data.dir = str(tmp_path)
    with pytest.raises(DatasetNotFoundError, match="built there: nothing"):
        describe(data)


def test_a_wrong_split_is_told_with_those_there_are(data):
    with pytest.raises(DatasetNotFoundError, match=r"no split 'validation'; it has .*train"):
        open_split(data, "validation")


def test_an_empty_split_is_refused(data):
    with pytest.raises(DatasetNotFoundError, match="has no clip"):
        open_split(data, "train[:0]")


def test_batches_need_no_tensorflow(data, tmp_path):
    """In a fresh process in which importing TensorFlow fails, worker processes included."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('TensorFlow is blocked')")
    script = f"""
import ml_collections
from rgb2ir_jax.data.pipeline import eval_batches, train_iterator
from rgb2ir_jax.data.source import describe
data = ml_collections.ConfigDict({data.to_dict()!r})
print(describe(data).num_clips["train"])
for workers in (0, 1):
    data.workers = workers
    with train_iterator(data, 0, 8, ("rgb", "ir")) as batches:
        print(next(batches)["rgb"].shape)
print(len(list(eval_batches(data, "test", 4, ("ir",)))))
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.split("\n")[:-1] == ["22", "(8, 4, 32, 32, 3)", "(8, 4, 32, 32, 3)", "3"], (
        done.stderr
    )
    assert not done.stderr, "leaving must be quiet"
