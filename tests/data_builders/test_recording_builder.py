"""What all builders share, on a builder of long videos with several clips each."""

import json
import pathlib

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_builders.recording.builder import PairedBuilder, Plan, RecordingConfig
from data_builders.recording.lock import held
from data_builders.recording.report import BuildReport, TooManyBadClipsError
from rgb2ir_jax.video.jpeg import decode_jpeg
from rgb2ir_jax.video.recode import ClipSpans, RecodeTask, Span, recode_task
from rgb2ir_jax.video.source import VideoSource

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")


class LongVideos(PairedBuilder, skip_registration=True):
    """Cuts each pair below the folder into clips; labels are known from the files alone."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012 - TFDS's own declaration
        RecordingConfig(name="plain", description="Plain."),
        RecordingConfig(name="thinned", description="Thinned.", frame_stride=3),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = "None."

    def class_names(self):
        return None

    def extra_features(self):
        return {"place": np.int32}

    def plan(self, manual_dir):
        tasks, records = [], {}
        for rgb in sorted(manual_dir.glob("*_rgb.avi")):
            ir = rgb.with_name(rgb.name.replace("_rgb", "_ir"))
            clips = [
                ClipSpans(f"{rgb.name[:2]}-{i}", Span(a, b), Span(a, b))
                for i, (a, b) in enumerate([(0, 4), (2, 9), (8, 10)])
            ]
            tasks.append(
                RecodeTask(
                    rgb.name, VideoSource(str(rgb)), VideoSource(str(ir)), tuple(clips), 256, 90,
                    self.builder_config.frame_stride,
                )
            )  # fmt: skip
            records |= {c.name: {"label": i % 2, "place": i} for i, c in enumerate(clips)}
        self.info.features["label"].names = ["even", "odd"]
        report = BuildReport(len(records), self.max_bad_fraction, notes={"tasks": len(tasks)})
        return Plan({"train": tasks[:-1], "test": tasks[-1:]}, records, report)


@pytest.fixture(scope="module")
def long_videos(tmp_path_factory, footage):
    from rgb2ir_jax.video.encode import write_video

    folder = tmp_path_factory.mktemp("long")
    for name in ("v0", "v1", "v2"):
        for modality in ("rgb", "ir"):
            picture = getattr(footage, f"{modality}_picture")
            frames = (picture(name, t) for t in range(10 if modality == "rgb" else 12))
            write_video(folder / f"{name}_{modality}.avi", frames, 30 if modality == "rgb" else 25)
    return folder


def build(manual_dir, data_dir, config="plain", **download):
    builder = LongVideos(data_dir=data_dir, config=config)
    builder.workers = 0
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, **download)
    )
    return tfds.builder_from_directory(builder.data_dir)


def records(builder, split):
    return list(builder.as_data_source(split=split))


def test_clips_of_long_videos_become_records_in_order(long_videos, tmp_path):
    builder = build(long_videos, tmp_path)
    train, test = (records(builder, split) for split in ("train", "test"))
    names = [record["sample_id"].decode() for record in train + test]
    assert names == [f"v{v}-{i}" for v in range(3) for i in range(3)]
    assert [record["place"] for record in train] == [0, 1, 2] * 2
    assert [(r["rgb_frames"], r["ir_frames"]) for r in test] == [(4, 4), (7, 7), (2, 2)]
    assert builder.info.features["label"].names == ["even", "odd"]
    found = json.loads((pathlib.Path(builder.data_dir) / "build_report.json").read_text())
    assert (found["differing_lengths"], found["differing_rates"]) == (0, 9)
    assert found["notes"] == {"tasks": 3}
    assert found["synthetic"] is False


@pytest.mark.parametrize("place", ["", "below"])
def test_made_up_footage_is_called_synthetic(long_videos, tmp_path, place, capsys):
    footage = tmp_path / "footage"
    footage.mkdir()
    for video in long_videos.iterdir():
        (footage / video.name).symlink_to(video)
    (footage / place).mkdir(exist_ok=True)
    (footage / place / "synthesis.json").write_text("{}")
    builder = build(footage, tmp_path / "records")
    found = json.loads((pathlib.Path(builder.data_dir) / "build_report.json").read_text())
    assert found["synthetic"] is True
    assert "The footage is synthetic." in capsys.readouterr().out


def test_a_stride_thins_the_frames_and_keeps_the_counts(long_videos, tmp_path):
    whole = records(build(long_videos, tmp_path), "test")
    thinned = records(build(long_videos, tmp_path, "thinned"), "test")
    for full, thin in zip(whole, thinned, strict=True):
        for modality in ("rgb", "ir"):
            assert len(full[modality]) == full[f"{modality}_frames"]
            assert thin[f"{modality}_frames"] == full[f"{modality}_frames"]
            expected = [np.asarray(picture) for picture in full[modality]][::3]
            np.testing.assert_array_equal(np.asarray(list(thin[modality])), np.asarray(expected))


def test_the_share_of_bad_clips_can_be_set_from_outside(long_videos, tmp_path, monkeypatch):
    for path in long_videos.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "v1_ir.avi").write_bytes(b"")
    monkeypatch.setenv("RGB2IR_BUILD_MAX_BAD_FRACTION", "0.3")
    with pytest.raises(TooManyBadClipsError, match=r"(?s)3 of 9 clips.*v1-0.*v1-2.*=0\.05"):
        build(tmp_path, tmp_path / "out")
    monkeypatch.setenv("RGB2IR_BUILD_MAX_BAD_FRACTION", "0.34")
    builder = build(tmp_path, tmp_path / "out")
    assert builder.info.splits["train"].num_examples == 3
    monkeypatch.setenv("RGB2IR_BUILD_MAX_BAD_FRACTION", "a few")
    with pytest.raises(ValueError, match="'a few'; expected a share"):
        build(tmp_path, tmp_path / "other")


@pytest.mark.parametrize(
    ("field", "value"),
    [("short_side", 0), ("jpeg_quality", 101), ("frame_stride", 0), ("max_bad_fraction", 1.5)],
)
def test_a_config_out_of_range_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}; expected"):
        RecordingConfig(name="c", description="C.", **{field: value})


def test_a_report_names_every_reason():
    report = BuildReport(200, 0.29)
    for i in range(58):
        report.skip(f"s{i}", f"reason {i}")
    with pytest.raises(TooManyBadClipsError, match=r"59 of 200 clips.*at most 58 \(29\.0%\)"):
        report.skip("s58", "one too many")
    report.notes = {"a_note": {"x": [1, 2]}, "empty": []}
    report.wrote("train", 5, 6, 30, 25)
    summary = report.summary()
    assert "Wrote 1 train; skipped 59" in summary
    assert all(f"skipped s{i}: reason {i}\n" in summary for i in range(58))
    assert "a note: x: 1, 2" in summary
    assert "empty" not in summary
    assert json.loads(report.to_json(config="c"))["config"] == "c"


def test_the_long_list_of_reasons_in_an_error_is_cut():
    report = BuildReport(1000, 0.0, {f"s{i}": "bad" for i in range(150)})
    with pytest.raises(TooManyBadClipsError, match=r"s99: bad\n  \.\.\. and 50 more"):
        report.check()


def test_leftovers_of_dead_builds_go_and_running_ones_stay(tmp_path):
    dead, running, other, own = (
        tmp_path / name
        for name in (
            "incomplete.AAAAAA_1.0.0", "incomplete.BBBBBB_1.0.0", "incomplete.CCCCCC_2.0.0",
            "incomplete.DDDDDD_1.0.0",
        )
    )  # fmt: skip
    for folder in (dead, running, other, own):
        folder.mkdir()
    (dead / "build.lock").touch()
    (dead / "records").touch()
    (other / "build.lock").touch()
    with held(running), held(own):
        assert (own / "build.lock").exists()
        assert sorted(tmp_path.iterdir()) == sorted((running, other, own))
    assert not list(own.iterdir())


def test_results_of_tasks_are_what_the_records_hold(long_videos, tmp_path):
    (first, *_) = recode_task(
        RecodeTask(
            "t",
            VideoSource(str(long_videos / "v0_rgb.avi")),
            VideoSource(str(long_videos / "v0_ir.avi")),
            (ClipSpans("c", Span(0, 4), Span(0, 4)),),
            256,
            90,
        )
    )
    record = next(iter(build(long_videos, tmp_path).as_data_source(split="train")))
    for modality, channels in (("rgb", 3), ("ir", 1)):
        stored = [np.asarray(picture) for picture in record[modality]]
        for picture, jpeg in zip(stored, getattr(first, modality).frames, strict=True):
            assert np.abs(picture.astype(int) - decode_jpeg(jpeg, channels)).max() <= 2
