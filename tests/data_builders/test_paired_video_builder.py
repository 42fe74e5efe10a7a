"""The builder of one's own footage, on tiny videos whose brightness tells the frame, and real ones."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest
from collections import Counter
from fractions import Fraction

import av
import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds

from configs import ntu, paired_video
from data_builders.paired_video.paired_video_dataset_builder import Builder
from data_builders.recording.builder import RecordingConfig
from data_builders.recording.report import FootageError, TooManyBadClipsError
from rgb2ir_jax.data.pipeline import eval_batches, train_iterator
from rgb2ir_jax.data.settings import validate as validate_data
from rgb2ir_jax.data.source import describe
from rgb2ir_jax.training.validation import flatten, validate
from rgb2ir_jax.video import recode
from rgb2ir_jax.video.encode import write_video

# TFDS 4.9.10 asks protobuf for something deprecated, which fails with a TypeError where warnings
# are errors.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

ROOT = pathlib.Path(__file__).parents[2]
REAL_VIDEOS = pathlib.Path(__file__).parent / "videos"

RGB_FPS, IR_FPS = Fraction(30), Fraction(25, 2)
LISTING = """\
rgb,ir,label,split,start,end,performer,camera,remark
long.mp4,ir/long.mkv,wave,train,0.5,1.25,anna,front,
long.mp4,ir/long.mkv,"jump, high",train,0.1,0.7,anna,front,overlaps the first
long.mp4,ir/long.mkv,clap,test,1.5,1.8,anna,front,
short.mp4,ir/short.mkv,clap,train,,,ben,,
short.mp4,ir/short.mkv,wave,test,,.3,carl,side,
"other, one.mp4",ir/other.mkv,"jump, high",test,,,carl,,
"other, one.mp4",ir/short.mkv,wave,val,,,,,
"""


def pictures(count, height, width):
    """Flat pictures; the k-th has the brightness 20 + 3 k."""
    return (np.full((height, width, 3), 20 + 3 * k, np.uint8) for k in range(count))


def indices(video):
    """The frames' numbers, by their brightness."""
    return [round((picture.mean() - 20) / 3) for picture in video]


def write_pair(folder, rgb, ir, seconds):
    (folder / "ir").mkdir(parents=True, exist_ok=True)
    write_video(folder / rgb, pictures(round(seconds * RGB_FPS), 36, 64), 30, crf=5)
    write_video(folder / ir, pictures(round(seconds * IR_FPS), 40, 48), 12.5, crf=5)


@pytest.fixture(scope="module")
def own_footage(tmp_path_factory):
    """Three pairs of videos and a listing of seven clips in three classes and three splits."""
    folder = tmp_path_factory.mktemp("own")
    write_pair(folder, "long.mp4", "ir/long.mkv", 2)
    write_pair(folder, "short.mp4", "ir/short.mkv", Fraction(2, 5))
    write_pair(folder, "other, one.mp4", "ir/other.mkv", Fraction(4, 5))
    (folder / "pairs.csv").write_text(LISTING)
    return folder


@pytest.fixture
def editable(own_footage, tmp_path):
    """A copy to damage."""
    return shutil.copytree(own_footage, tmp_path / "in")


def build(manual_dir, data_dir, config=None, workers=0, **more):
    builder = Builder(data_dir=data_dir, config=config, **more)
    builder.workers = workers
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return tfds.builder_from_directory(builder.data_dir)


def patient(share):
    return RecordingConfig(name="patient", description="Patient.", max_bad_fraction=share)


def records(builder):
    return {
        int(record["sample_id"].split(b":")[1]): record
        for split in builder.info.splits
        for record in builder.as_data_source(split=split)
    }


def report(builder):
    return json.loads((pathlib.Path(builder.data_dir) / "build_report.json").read_text())


@pytest.fixture(scope="module")
def built(own_footage, tmp_path_factory):
    return build(own_footage, tmp_path_factory.mktemp("built"), workers=2)


def shown(count, fps, start, end):
    """The frames k of a video whose time k / fps lies in [start, end)."""
    return [k for k in range(int(count)) if Fraction(start) <= k / fps < Fraction(end)]


def test_clips_are_cut_by_seconds_in_each_videos_own_rate(built):
    found = records(built)
    for line, seconds, start, end in [
        (2, 2, "0.5", "1.25"), (3, 2, "0.1", "0.7"), (4, 2, "1.5", "1.8"),
        (5, Fraction(2, 5), "0", "9"), (6, Fraction(2, 5), "0", "0.3"), (7, Fraction(4, 5), "0", "9"),
    ]:  # fmt: skip
        record = found[line]
        rgb, ir = (
            shown(seconds * RGB_FPS, RGB_FPS, start, end),
            shown(seconds * IR_FPS, IR_FPS, start, end),
        )
        assert indices(record["rgb"]) == rgb
        assert indices(record["ir"]) == ir
        assert (record["rgb_frames"], record["ir_frames"]) == (len(rgb), len(ir))
        assert (record["rgb_fps"], record["ir_fps"]) == (30, 12.5)
    assert (len(found[8]["rgb"]), len(found[8]["ir"])) == (24, 5)


def test_records_tell_what_the_listing_does(built):
    names = built.info.features["label"].names
    assert names == ["clap", "jump, high", "wave"]
    found = records(built)
    assert {line: names[record["label"]] for line, record in found.items()} == {
        2: "wave", 3: "jump, high", 4: "clap", 5: "clap", 6: "wave", 7: "jump, high", 8: "wave"
    }  # fmt: skip
    assert found[7]["sample_id"] == b"pairs.csv:7:other, one.mp4"
    assert (found[6]["performer"], found[6]["camera"]) == (b"carl", b"side")
    assert (found[8]["performer"], found[8]["camera"]) == (b"", b"")
    assert found[2]["rgb"][0].shape == (36, 64, 3)
    assert found[2]["ir"][0].shape == (40, 48, 1)
    counts = {name: split.num_examples for name, split in built.info.splits.items()}
    assert counts == {"train": 3, "test": 3, "val": 1}


def test_the_report_warns_of_what_is_doubtful(built, own_footage, tmp_path, capsys):
    assert report(built)["notes"] == {
        "columns_not_used": ["remark"],
        "warning: performers in more than one split": ["anna (test, train)"],
        "warning: the same moments of a video in more than one split": [
            "lines 5 and 6", "lines 5 and 8"
        ],
        "warning: classes without a clip": ["'clap' (in val)", "'jump, high' (in val)"],
    }  # fmt: skip
    assert report(built)["skipped"] == {}
    assert report(built)["differing_rates"] == report(built)["samples"] == 7
    build(own_footage, tmp_path)
    assert (
        "warning: performers in more than one split: anna (test, train)" in capsys.readouterr().out
    )


def test_a_video_is_read_once_for_all_its_clips_of_a_split(own_footage, tmp_path, monkeypatch):
    opened = []
    open_video = recode.open_video

    def count(source, **more):
        opened.append(source.name)
        return open_video(source, **more)

    monkeypatch.setattr(recode, "open_video", count)
    build(own_footage, tmp_path)
    assert Counter(opened) == {
        "long.mp4": 2,  # train, test
        "long.mkv": 2,
        "short.mp4": 2,  # train, test
        "short.mkv": 3,  # and val
        "other, one.mp4": 2,  # test, val
        "other.mkv": 1,
    }


def test_bad_rows_are_skipped_by_line_and_reason(editable, tmp_path):
    (editable / "garbage.mp4").write_bytes(b"no video" * 100)
    (tmp_path / "secret.mp4").write_bytes((editable / "short.mp4").read_bytes())
    (editable / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    with (editable / "pairs.csv").open("a") as file:
        file.write(
            "gone.mp4,ir/short.mkv,wave,train,,,,,\n"
            "../secret.mp4,ir/short.mkv,wave,train,,,,,\n"
            "link.mp4,ir/short.mkv,wave,train,,,,,\n"
            "garbage.mp4,ir/short.mkv,wave,train,,,,,\n"
            "long.mp4,ir/long.mkv,wave,train,0.5,1.25,,,again\n"
            "long.mp4,ir/long.mkv,wave,train,60,61,,,after the end\n"
            "long.mp4,ir/long.mkv,wave,train,2,1,,,\n"
        )
    with pytest.raises(TooManyBadClipsError, match=r"5 of 14 clips.*\n.*pairs.csv:9:gone.mp4"):
        build(editable, tmp_path / "out")
    builder = build(editable, tmp_path / "out", patient(0.5))
    assert sorted(records(builder)) == list(range(2, 9))
    skipped = report(builder)["skipped"]
    for name, reason in {
        "pairs.csv:9:gone.mp4": "rgb is gone.mp4: there is no such file",
        "pairs.csv:10:../secret.mp4": 'a path with ".."',
        "pairs.csv:11:link.mp4": "a link that leads out of the folder",
        "pairs.csv:12:garbage.mp4": "cannot be opened as a video",
        "pairs.csv:13:long.mp4": "repeats line 2",
        "pairs.csv:14:long.mp4": "has 60 frames; of 60 to 61 seconds it holds 0",
        "pairs.csv:15:long.mp4": "ends at 1 s, but begins at 2 s",
    }.items():
        assert reason in skipped.pop(name)
    assert not skipped


def test_a_classes_file_gives_order_and_limits(editable, tmp_path):
    (editable / "classes.txt").write_text("wave\nclap\nbow\n")
    builder = build(editable, tmp_path / "out", patient(0.3))
    assert builder.info.features["label"].names == ["wave", "clap", "bow"]
    found = records(builder)
    assert {line: record["label"] for line, record in found.items()} == {
        2: 0,
        4: 1,
        5: 1,
        6: 0,
        8: 0,
    }
    assert report(builder)["skipped"]["pairs.csv:3:long.mp4"] == (
        "the label 'jump, high' is not in classes.txt"
    )
    assert "'bow' (in train)" in report(builder)["notes"]["warning: classes without a clip"]


@pytest.mark.parametrize(
    ("found", "replacement", "message"),
    [
        (",test,", ",Test,", r"no usable row of the split test\. Splits found: Test \(3\), train"),
        ("label", "lable", "lacks the column label"),
        (LISTING[LISTING.index("long") :], "", "has a header, but no row"),
        (LISTING, "", "is empty"),
    ],
)
def test_a_listing_to_build_nothing_from_stops_at_once(
    editable, tmp_path, found, replacement, message
):
    (editable / "pairs.csv").write_text(LISTING.replace(found, replacement))
    with pytest.raises(FootageError, match=message):
        build(editable, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("dataset_info.json"))


def test_a_clip_may_reach_to_the_end_of_its_videos(editable, tmp_path):
    (editable / "pairs.csv").write_text(
        "rgb;ir;label;split;start\nlong.mp4;ir/long.mkv;a;train;1,7\nshort.mp4;ir/short.mkv;b;test;\n"
    )
    record = records(build(editable, tmp_path / "out"))[2]
    assert indices(record["rgb"]) == shown(60, RGB_FPS, "1.7", "2")
    assert indices(record["ir"]) == shown(25, IR_FPS, "1.7", "2")


@pytest.fixture
def config(built):
    """The config for the built data set, with small pictures."""
    config = paired_video.get_config()
    with config.unlocked():
        config.data.dir = str(pathlib.Path(built.data_dir).parents[2])
        config.data.update(segments=3, resize=36, crop=32, threads=0, prefetch=1)
    return config


def test_the_training_side_reads_it(config):
    assert describe(config.data).class_names == ("clap", "jump, high", "wave")
    both = ("rgb", "ir")
    with train_iterator(config.data, 0, 3, both, num_epochs=1) as batches:
        (batch,) = batches
    assert batch["rgb"].shape == (3, 3, 32, 32, 3)
    assert batch["ir"].shape == (3, 3, 32, 32, 1)
    assert sorted(batch["label"]) == [0, 1, 2]
    (batch,) = eval_batches(config.data, "test", 4, both)
    assert batch["label"].tolist() == [0, 2, 1, 0]
    assert batch["mask"].tolist() == [1, 1, 1, 0]
    # The first is [1.5, 1.8) s: frames 45 to 53, of which three parts' middles are 46, 49 and 52.
    assert indices(batch["rgb"][0]) == [46, 49, 52]


@pytest.mark.parametrize("variant", ["teacher", "student", "dkd", "mgcam", "mgcam+dkd"])
def test_the_config_is_the_papers_on_other_data(variant):
    config = paired_video.get_config(variant)
    validate(config)
    validate_data(config.data)
    assert config.is_locked
    paper, own = flatten(ntu.get_config(variant)), flatten(config)
    assert {key for key in paper | own if paper.get(key) != own.get(key)} == {
        "name", "data.name", "data.config"
    }  # fmt: skip
    assert own["data.config"] == Builder.BUILDER_CONFIGS[0].name


def demuxed_times(path):
    """When each frame is shown, in seconds from the first, read from the packets alone."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        times = sorted(packet.pts * packet.time_base for packet in packets)
    return [time - times[0] for time in times]


def write_gray(source, path):
    """Writes a one-channel version of a video, with the frames' own time stamps."""
    with av.open(str(source)) as video, av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.pix_fmt = "gray"
        stream.width, stream.height = 128, 96
        stream.codec_context.time_base = video.streams.video[0].time_base
        for frame in video.decode(video=0):
            gray = frame.reformat(128, 96, "gray")
            gray.pts, gray.time_base = frame.pts, frame.time_base
            out.mux(stream.encode(gray))
        out.mux(stream.encode(None))


def test_real_clips_keep_every_frame(tmp_path):
    lines = ["rgb,ir,label,split,start,end"]
    clips = sorted(REAL_VIDEOS.glob("*.mkv"))
    for split, path in zip(("train", "test"), clips, strict=True):
        shutil.copy(path, tmp_path)
        write_gray(path, tmp_path / f"{path.stem}_ir.mp4")
        lines.append(f"{path.name},{path.stem}_ir.mp4,{path.stem},{split},,")
        lines.append(f"{path.name},{path.stem}_ir.mp4,{path.stem},{split},0.48,1.47")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    builder = build(tmp_path, tmp_path / "out", patient(0))
    found = records(builder)
    for line, path in zip((2, 4), clips, strict=True):
        times = demuxed_times(path)
        assert len(times) in (51, 63)
        assert len(found[line]["rgb"]) == len(found[line]["ir"]) == len(times)
        cut = [k for k, time in enumerate(times) if 0.48 <= time < 1.47]
        assert len(found[line + 1]["rgb"]) == len(found[line + 1]["ir"]) == len(cut)
        for modality in ("rgb", "ir"):
            for picture, k in zip(found[line + 1][modality], cut, strict=True):
                assert np.array_equal(picture, found[line][modality][k])
        assert found[line]["rgb"][0].shape == (256, 342, 3)
        assert found[line]["ir"][0].shape == (96, 128, 1)


@pytest.mark.slow
def test_the_stock_command(own_footage, tmp_path):
    command = [
        pathlib.Path(sys.executable).with_name("tfds"), "build", "data_builders/paired_video",
        f"--manual_dir={own_footage}", f"--data_dir={tmp_path}",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Wrote 3 train, 3 test, 1 val" in done.stdout
    assert "warning: performers in more than one split: anna" in done.stdout
    builder = tfds.builder_from_directory(tmp_path / "paired_video" / "default" / "1.0.0")
    assert builder.info.splits["train"].num_examples == 3


def test_tfds_own_checks_of_a_builder(own_footage):
    class PairedVideoTest(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = Builder
        SPLITS = {"train": 3, "test": 3, "val": 1}  # noqa: RUF012 - TFDS's own declaration
        EXAMPLE_DIR = str(own_footage)

        def _make_builder(self, config=None):
            # The checks read through tf.data, which array_record does not offer.
            return Builder(data_dir=self.tmp_dir, config=config, file_format="tfrecord")

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(PairedVideoTest).run(result)
    assert result.testsRun >= 5
    assert not result.errors + result.failures, "\n".join(
        text for _, text in result.errors + result.failures
    )
