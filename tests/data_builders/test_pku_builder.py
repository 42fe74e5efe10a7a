"""The PKU-MMD builder on tiny real videos whose every frame shows its number."""

import json
import pathlib
import unittest
import zipfile

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds

from configs import pku_mmd
from data_builders.pku_mmd_ir.pku_mmd_ir_dataset_builder import Builder
from data_builders.recording.report import FootageError, TooManyBadClipsError
from rgb2ir_jax.data.source import describe, open_split
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.jpeg import decode_jpeg

# TFDS 4.9.10 asks protobuf for something deprecated, which fails with a TypeError where warnings
# are errors.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

BITS = 8


def painted(frame, width, height):
    """A picture of eight bars, dark and bright, that spell the frame's number in binary."""
    bright = [frame >> bit & 1 for bit in range(BITS)]
    bars = np.repeat(np.where(bright, 215, 40), width // BITS)
    return np.broadcast_to(bars[None, :, None], (height, width, 1)).astype(np.uint8)


def read(picture):
    """The number that a picture shows."""
    height, width, _ = picture.shape
    bars = picture.mean(axis=2)[height // 4 : -height // 4].reshape(-1, BITS, width // BITS)
    middles = bars[:, :, 2:-2].mean(axis=(0, 2))
    assert np.all(np.abs(middles - 128) > 40), "the picture is no sharp row of bars"
    return sum(int(bright) << bit for bit, bright in enumerate(middles > 128))


def write_videos(folder, name, rgb_frames=60, ir_frames=60, suffix="-infrared"):
    for kind, frames, size, ending in (
        ("RGB_VIDEO", rgb_frames, (64, 36), ""),
        ("IR_VIDEO", ir_frames, (48, 40), suffix),
    ):
        (folder / "Data" / kind).mkdir(parents=True, exist_ok=True)
        pictures = (painted(frame, *size) for frame in range(frames))
        if kind == "RGB_VIDEO":
            pictures = (np.repeat(picture, 3, axis=2) for picture in pictures)
        write_video(folder / "Data" / kind / f"{name}{ending}.avi", pictures, crf=12)


def write_label(folder, name, text, where="Label/Train_Label_PKU_final"):
    (folder / where).mkdir(parents=True, exist_ok=True)
    (folder / where / f"{name}.txt").write_text(text)


def write_split(folder, name, train, test):
    (folder / "Split").mkdir(parents=True, exist_ok=True)
    (folder / "Split" / name).write_text(
        f"Training videos: \n{', '.join(train)}, \nValidataion videos: \n{', '.join(test)}, "
    )


# Class, first and last frame of each instance, as people count them.
INSTANCES = {
    "0002-L": [(8, 5, 14), (1, 20, 39), (51, 50, 59)],
    "0002-M": [(8, 6, 15), (1, 21, 40)],
    "0002-R": [(8, 4, 13)],
    "0291-L": [(30, 0, 9), (30, 30, 30)],
    "0291-M": [(30, 1, 10)],
}
NAMES = {1: "bow", 8: "drink-water", 30: "reading", 51: "writing"}


def write_footage(folder, instances=INSTANCES, **frames):
    for name, rows in instances.items():
        write_videos(folder, name, **frames)
        write_label(folder, name, "".join(f"{c},{a},{b},1\n" for c, a, b in rows))
    train = [name for name in instances if name.startswith("0002")]
    write_split(folder, "cross-subject.txt", train, [n for n in instances if n not in train])
    left = [name for name in instances if name.endswith("L")]
    write_split(folder, "cross-view.txt", [n for n in instances if n not in left], left)
    return folder


def build(manual_dir, data_dir, config="phase1_xsub"):
    builder = Builder(data_dir=data_dir, config=config)
    builder.workers = 0
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return tfds.builder_from_directory(builder.data_dir)


def patient(**fields):
    return Builder.builder_config_cls(
        name="patient", description="Patient.", max_bad_fraction=1.0, **fields
    )


def records(builder, split):
    return list(builder.as_data_source(split=split))


def ids(builder, split):
    return [record["sample_id"].decode() for record in records(builder, split)]


def report_of(builder):
    return json.loads((pathlib.Path(builder.data_dir) / "build_report.json").read_text())


def cut_frames(record):
    """The numbers on a record's frames, which must be the same in both modalities."""
    rgb, ir = ([read(picture) for picture in record[modality]] for modality in ("rgb", "ir"))
    assert rgb == ir
    return rgb


@pytest.fixture(scope="module")
def footage_dir(tmp_path_factory):
    return write_footage(tmp_path_factory.mktemp("footage"))


@pytest.fixture(scope="module")
def built(footage_dir, tmp_path_factory):
    return build(footage_dir, tmp_path_factory.mktemp("built"))


def test_each_instance_becomes_a_record_of_its_split(built):
    expected = {
        split: [
            f"{video}_{row:03}_{NAMES[rows[row - 1][0]]}"
            for video, rows in INSTANCES.items()
            if video.startswith(prefix)
            for row in range(1, len(rows) + 1)
        ]
        for split, prefix in (("train", "0002"), ("test", "0291"))
    }
    assert {split: ids(built, split) for split in expected} == expected
    assert built.info.splits["train"].num_examples == 3 + 2 + 1
    assert built.info.splits["test"].num_examples == 2 + 1


def test_cuts_are_exact_to_the_frame_and_include_both_ends(built):
    for record in records(built, "train") + records(built, "test"):
        video, row = record["sample_id"].decode().split("_")[:2]
        number, start, end = INSTANCES[video][int(row) - 1]
        assert cut_frames(record) == list(range(start, end + 1))
        assert (record["start"], record["end"]) == (start, end)
        assert record["label"] == number - 1
        assert (record["video"].decode(), record["view"].decode()) == (video, video[-1])
        assert record["rgb_frames"] == record["ir_frames"] == end - start + 1
        assert record["performer"] == -1
        assert record["rgb"][0].shape == (36, 64, 3)
        assert record["ir"][0].shape == (40, 48, 1)


def test_metadata(built):
    label = built.info.features["label"]
    assert (label.num_classes, label.names[7]) == (51, "drink water")
    assert built.info.file_format == tfds.core.FileFormat.ARRAY_RECORD
    assert "Large Scale Benchmark for Continuous Multi-Modal" in built.info.citation
    report = report_of(built)
    assert report["written"] == {"train": 6, "test": 3}
    assert report["skipped"] == {}
    assert report["notes"]["whole_set"] == (
        "a part: 5 of 1,076 videos, 9 of 21,545 labelled instances, 3 of 944 training videos, "
        "2 of 132 validation videos"
    )


def test_training_reads_it_by_its_config(built):
    config = pku_mmd.get_config("student")
    with config.unlocked():
        config.data.dir = str(pathlib.Path(built.data_dir).parents[2])
    assert describe(config.data).class_names[50] == "writing"
    clips = open_split(config.data, config.data.train_split)
    assert len(clips) == 6
    assert read(decode_jpeg(clips[1]["ir"][3], 1)) == 23


def test_cross_view_reads_the_other_list(footage_dir, tmp_path):
    builder = build(footage_dir, tmp_path, "phase1_xview")
    views = {split: {r["view"] for r in records(builder, split)} for split in ("train", "test")}
    assert views == {"train": {b"M", b"R"}, "test": {b"L"}}
    videos = [{r["video"] for r in records(builder, split)} for split in ("train", "test")]
    assert not videos[0] & videos[1]


def test_zips_give_the_same_records_as_folders(built, footage_dir, tmp_path):
    for kind, compression in (("Data", zipfile.ZIP_STORED), ("Label", zipfile.ZIP_DEFLATED),
                              ("Split", zipfile.ZIP_DEFLATED)):  # fmt: skip
        (tmp_path / "in" / "deep").mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(tmp_path / "in" / "deep" / f"{kind}.zip", "w", compression) as archive:
            for path in sorted((footage_dir / kind).rglob("*.*")):
                archive.write(path, path.relative_to(footage_dir))
    again = build(tmp_path / "in", tmp_path / "out")
    for split in ("train", "test"):
        assert ids(again, split) == ids(built, split)
        for a, b in zip(records(again, split), records(built, split), strict=True):
            assert cut_frames(a) == cut_frames(b)


def test_frames_can_be_thinned_out(footage_dir, tmp_path):
    record = records(build(footage_dir, tmp_path, patient(frame_stride=4)), "train")[1]
    assert cut_frames(record) == [20, 24, 28, 32, 36]
    assert (record["start"], record["end"], record["rgb_frames"]) == (20, 39, 20)


QUIRKS = """8,14,5,1\r
\r
8,5,14,2\r
1,50,64,1\r
1,55,99,1\r
1,60,70,1\r
52,1,2,1\r
drink,1,2,1\r
33,10,20,1\r
"""


def test_label_quirks_are_put_right_counted_or_named(tmp_path):
    footage = write_footage(tmp_path / "in", {"0002-L": [(8, 0, 9)], "0291-L": [(8, 0, 9)]})
    write_label(footage, "0002-L", QUIRKS)
    skeleton = " ".join(["0.25"] * 150) + "\n"
    write_label(footage, "0002-L", skeleton * 60, "Data/PKU_Skeleton_Renew")
    builder = build(footage, tmp_path / "out", patient())
    cut = {r["sample_id"].decode(): cut_frames(r) for r in records(builder, "train")}
    assert cut == {
        "0002-L_001_drink-water": list(range(5, 15)),
        "0002-L_004_bow": list(range(50, 60)),  # Ends with the video.
        "0002-L_009_sitting-down": list(range(10, 21)),
    }
    ends = [(r["start"], r["end"]) for r in records(builder, "train")]
    assert ends == [(5, 14), (50, 59), (10, 20)]
    report = report_of(builder)
    assert report["notes"]["label_quirks"] == {
        "clipped_instances": 1,
        "duplicate_rows": 1,
        "empty_lines": 1,
        "overlapping_instances": 3,  # 10-20 with 5-14, 55-99 with 50-64, 60-70 with both.
        "swapped_rows": 1,
    }
    skipped = report["skipped"]
    assert list(skipped) == ["0002-L_005_bow", "0002-L_006_bow", "0002-L_007", "0002-L_008"]
    assert "frames 55 to 99" in skipped["0002-L_005_bow"]
    assert "ends after 60 frames" in skipped["0002-L_006_bow"]
    assert "class 52; the classes are 1 to 51" in skipped["0002-L_007"]
    assert "'drink,1,2,1'" in skipped["0002-L_008"]
    assert report["samples"] == 3 + 4 + 1


def test_instances_end_with_the_shorter_of_the_two_videos(tmp_path):
    instances = {"0002-L": [(8, 40, 55)], "0291-L": [(8, 0, 9)]}
    footage = write_footage(tmp_path / "in", instances, rgb_frames=60, ir_frames=52)
    record = records(build(footage, tmp_path / "out"), "train")[0]
    assert cut_frames(record) == list(range(40, 52))
    assert record["end"] == 51


def test_phase_two_overlaps_performers_and_classes(tmp_path):
    footage = write_footage(tmp_path / "in", {"0002-L": [(8, 0, 9)]})  # The other phase.
    for name, suffix in (("A19N03-M", "-infrared"), ("A19N13-R", "_infrared")):
        write_videos(footage, name, suffix=suffix)
        write_label(footage, name, "8,5,20,1\n51,15,30,1\n12,40,50,1\n", "Label_PKUMMD_v2")
    write_split(footage, "cross_subject_v2.txt", ["A19N13-R"], ["A19N03-M"])
    builder = build(footage, tmp_path / "out", "phase2_xsub")
    assert builder.info.features["label"].num_classes == 41
    assert "handshaking" not in builder.info.features["label"].names
    assert ids(builder, "train") == ["A19N13-R_001_drink-water", "A19N13-R_002_writing"]
    first, second = records(builder, "train")
    assert (cut_frames(first), cut_frames(second)) == ([*range(5, 21)], [*range(15, 31)])
    names = builder.info.features["label"].names
    assert [names[r["label"]] for r in (first, second)] == ["drink water", "writing"]
    assert first["performer"] == 13
    assert records(builder, "test")[0]["performer"] == 3
    quirks = report_of(builder)["notes"]["label_quirks"]
    assert quirks == {"other_class_rows": 2, "overlapping_instances": 2}

    everything = build(footage, tmp_path / "out", "phase2_51_classes_xsub")
    assert everything.info.features["label"].num_classes == 51
    assert ids(everything, "test")[2] == "A19N03-M_003_giving-something-to-other-person"
    assert [r["label"] + 1 for r in records(everything, "test")] == [8, 51, 12]


def incomplete(folder):
    """Eight listed videos: two whole, two absent, one in colour alone, one unlabelled, two broken."""
    instances = {f"0002-{view}": [(8, 0, 9), (1, 20, 29)] for view in "LMR"}
    instances |= {f"0291-{view}": [(8, 0, 9)] for view in "LMR"}
    write_footage(folder, instances)
    train = [*(name for name in instances if name < "0003"), "0003-L", "0003-M"]
    write_split(folder, "cross-subject.txt", train, [n for n in instances if n > "0003"])
    (folder / "Data/IR_VIDEO/0002-M-infrared.avi").unlink()
    (folder / "Label/Train_Label_PKU_final/0002-R.txt").unlink()
    (folder / "Data/RGB_VIDEO/0291-M.avi").write_bytes(b"RIFF")
    whole = (folder / "Data/IR_VIDEO/0291-R-infrared.avi").read_bytes()
    (folder / "Data/IR_VIDEO/0291-R-infrared.avi").write_bytes(whole[: len(whole) // 3])
    write_videos(folder, "0999-L", 4, 4)
    write_label(folder, "0998-L", "8,0,9,1")
    (folder / "broken.zip").write_bytes(b"PK")
    return folder


def test_what_is_missing_is_named_and_counted(tmp_path):
    builder = build(incomplete(tmp_path / "in"), tmp_path / "out", patient())
    assert ids(builder, "train") == ["0002-L_001_drink-water", "0002-L_002_bow"]
    assert ids(builder, "test") == ["0291-L_001_drink-water"]
    report = report_of(builder)
    assert set(report["skipped"]) == {
        "0002-M_001_drink-water", "0002-M_002_bow", "0002-R", "0291-M_001_drink-water",
        "0291-R_001_drink-water",
    }  # fmt: skip
    assert report["skipped"]["0002-M_002_bow"] == (
        "only 0002-M.avi is there, 0002-M-infrared.avi is missing"
    )
    assert report["skipped"]["0002-R"] == "its label file 0002-R.txt is missing"
    assert "0291-M.avi" in report["skipped"]["0291-M_001_drink-water"]
    notes = report["notes"]
    assert notes["videos_not_found"] == {"train": "2 (0003-L, 0003-M) of 5"}
    assert notes["videos_in_no_split"] == "1 (0999-L)"
    assert notes["labels_without_video"] == "1 (0998-L)"
    assert "broken.zip" in notes["unreadable_archives"][0]


def test_too_many_bad_clips_stop_the_build(tmp_path):
    with pytest.raises(
        TooManyBadClipsError, match=r"0002-R: its label file 0002-R\.txt is missing"
    ):
        build(incomplete(tmp_path / "in"), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("dataset_info.json"))


def test_a_video_listed_for_both_splits_is_refused(tmp_path, footage_dir):
    write_footage(tmp_path / "in", {"0002-L": [(8, 0, 9)]})
    write_split(tmp_path / "in", "cross-subject.txt", ["0002-L"], ["0002-L"])
    with pytest.raises(FootageError, match="1 videos are in both lists, 0002-L"):
        build(tmp_path / "in", tmp_path / "out")


def nothing(folder):
    (folder / "holiday.mp4").touch()


def only_colour(folder):
    write_videos(folder, "0002-L", 4, 4)
    (folder / "Data/IR_VIDEO/0002-L-infrared.avi").unlink()


def packed_labels(folder):
    write_videos(folder, "0002-L", 4, 4)
    write_label(folder, "0002-L", " ".join(["0.5"] * 150), "Data/PKU_Skeleton_Renew")
    (folder / "Label_PKUMMD.7z").touch()


def no_split(folder):
    write_videos(folder, "0002-L", 4, 4)
    write_label(folder, "0002-L", "8,0,3,1")
    write_split(folder, "cross-subject_v2.txt", ["A01N01-L"], ["A01N02-L"])


def two_splits(folder):
    no_split(folder)
    write_split(folder, "cross-subject.txt", ["0002-L"], ["0003-L"])
    write_split(folder, "cross_subject.txt", ["0003-L"], ["0002-L"])


def empty_test(folder):
    no_split(folder)
    write_split(folder, "cross-subject.txt", ["0002-L"], ["0291-L"])


def two_labels(folder):
    empty_test(folder)
    write_label(folder, "0002-L", "9,0,3,1", "Label/mine")


def other_phase(folder):
    write_videos(folder, "A01N01-L", 4, 4)


@pytest.mark.parametrize(
    ("make", "error", "messages"),
    [
        (nothing, FootageError, ["0002-L-infrared.avi", "holiday.mp4", "--manual_dir"]),
        (only_colour, FootageError, ["1 RGB and 0 infrared", "0002-L.avi"]),
        (other_phase, FootageError, ["2 files of phase 2", "phase2_xsub"]),
        (packed_labels, FootageError, ["No label file", "skeletons", "Label_PKUMMD.7z"]),
        (no_split, FootageError, ["No cross-subject.txt", "cross-subject_v2.txt", "of phase 2"]),
        (two_splits, FootageError, ["2 split files", "disagree", "cross_subject.txt"]),
        (empty_test, FootageError, ["The test split would be empty", "of the 1 videos"]),
        (two_labels, TooManyBadClipsError, ["0002-L: its label files disagree", "mine"]),
    ],
)  # fmt: skip
def test_footage_that_cannot_be_built_from_is_explained(tmp_path, make, error, messages):
    (tmp_path / "in").mkdir()
    make(tmp_path / "in")
    with pytest.raises(error) as caught:
        build(tmp_path / "in", tmp_path / "out")
    for message in messages:
        assert message in str(caught.value)


def test_tfds_own_checks_of_a_builder(footage_dir):
    class PkuMmdIrTest(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = Builder
        BUILDER_CONFIG_NAMES_TO_TEST = ["phase1_xsub"]  # noqa: RUF012 - TFDS's own declaration
        SPLITS = {"train": 6, "test": 3}  # noqa: RUF012
        EXAMPLE_DIR = str(footage_dir)

        def _make_builder(self, config=None):
            # The checks read through tf.data, which array_record does not offer.
            return Builder(data_dir=self.tmp_dir, config=config, file_format="tfrecord")

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(PkuMmdIrTest).run(result)
    assert result.testsRun >= 5
    assert not result.errors + result.failures, "\n".join(
        text for _, text in result.errors + result.failures
    )
