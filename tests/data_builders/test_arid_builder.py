"""ARID's builder on tiny videos in the owners' layout, whose brightness tells which is which."""

import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest
import zipfile

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds

from configs import ntu
from data_builders.arid.arid_dataset_builder import AridConfig, Builder
from data_builders.arid.protocol import RELEASES, rank_of
from data_builders.recording.report import FootageError, TooManyBadClipsError
from rgb2ir_jax import inspect_data
from rgb2ir_jax.data.pipeline import eval_batches, train_iterator
from rgb2ir_jax.data.settings import validate as validate_data
from rgb2ir_jax.data.source import describe, open_split
from rgb2ir_jax.video.encode import write_video

pytestmark = [
    # TFDS 4.9.10 asks protobuf for something deprecated, which fails with a TypeError where warnings
    # are errors.
    pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning"),
    # ml_collections' way to read a config file.
    pytest.mark.filterwarnings(r"ignore:the load_module\(\) method:DeprecationWarning"),
]

ROOT = pathlib.Path(__file__).parents[2]
CLASSES = ["Drink", "Jump", "Pick", "Pour", "Push", "Run", "Sit", "Stand", "Turn", "Walk", "Wave"]
# Clips of a class by split: (group, clip). In the owners' lists no group of a class trains and tests.
PARTS = {"train": [(1, 1), (1, 10)], "test": [(12, 1)], "others": [(1, 2)]}


def colour(release, label, group, clip):
    """A dark colour that no other clip has."""
    return np.array(
        [10 + 4 * label, 14 + group + 2 * clip, 70 if release == "v1_5" else 20], np.uint8
    )


def rows_of(part):
    """(label, name) as the owners sort them: as text."""
    return sorted(
        ((label, f"{CLASSES[label]}_{g}_{c}") for label in range(11) for g, c in PARTS[part]),
        key=lambda row: (str(row[0]), row[1]),
    )


def write_videos(folder, release, ending):
    for label, action in enumerate(CLASSES):
        (folder / action).mkdir(parents=True)
        for group, clip in itertools.chain(*PARTS.values()):
            flat = np.tile(colour(release, label, group, clip), (32, 40, 1))
            name = f"{action}_{group}_{clip}{ending}"
            write_video(folder / action / name, (flat for _ in range(4 + clip % 3)), crf=5)


def write_lists(folder, name, ending):
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        lines = [
            f"{i}\t{label}\t{CLASSES[label]}/{stem}{ending}\n"
            for i, (label, stem) in enumerate(rows_of(part))
        ]
        (folder / name.format(part={"others": "other"}.get(part, part))).write_text("".join(lines))


@pytest.fixture(scope="module")
def owners(tmp_path_factory):
    """Both releases below one folder; v1's lists say .avi where the videos are .mp4."""
    folder = tmp_path_factory.mktemp("owners")
    write_videos(folder / "ARID_v1" / "clips_v1", "v1", ".mp4")
    write_lists(folder / "ARID_v1" / "list_cvt", "ARID_split1_{part}.txt", ".avi")
    newer = folder / "ARID_v1_5_211015"
    write_videos(newer / "clips_v1.5", "v1_5", ".mp4")
    write_lists(newer / "list_cvt" / "split_0", "split0_{part}.txt", ".mp4")
    (newer / "list_cvt" / "split_0" / "split0_other.txt").rename(
        newer / "list_cvt" / "split_0" / "split0_others.txt"
    )
    return folder


@pytest.fixture
def v1(owners, tmp_path):
    """A copy of v1 to damage."""
    return shutil.copytree(owners / "ARID_v1", tmp_path / "in")


def build(manual_dir, data_dir, config="v1_split1", workers=0):
    builder = Builder(data_dir=data_dir, config=config)
    builder.workers = workers
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return tfds.builder_from_directory(builder.data_dir)


def planned(manual_dir, data_dir, config="v1_split1"):
    """What would be built, without decoding."""
    return Builder(data_dir=data_dir, config=config).plan(manual_dir)


def patient(share):
    return AridConfig(name="patient", description="Patient.", max_bad_fraction=share)


def records(builder, split):
    return list(builder.as_data_source(split=split))


def report(builder):
    return json.loads((pathlib.Path(builder.data_dir) / "build_report.json").read_text())


@pytest.fixture(scope="module")
def built(owners, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    return {
        release: build(owners, folder, config, workers)
        for release, config, workers in (("v1", "v1_split1", 2), ("v1_5", "v1_5_split0", 0))
    }


@pytest.mark.parametrize("release", ["v1", "v1_5"])
@pytest.mark.parametrize("split", list(PARTS))
def test_records_are_the_listed_videos_in_the_lists_order(built, release, split):
    found = records(built[release], split)
    expected = rows_of(split)
    assert [r["sample_id"].decode() for r in found] == [f"{CLASSES[k]}/{n}" for k, n in expected]
    assert [r["label"] for r in found] == [label for label, _ in expected]
    for record, (label, name) in zip(found, expected, strict=True):
        group, clip = map(int, name.split("_")[1:])
        assert set(record) == {"sample_id", "label", "group", "rgb", "rgb_frames", "rgb_fps"}
        assert (record["group"], record["rgb_fps"]) == (group, 30)
        assert record["rgb_frames"] == len(record["rgb"]) == 4 + clip % 3
        # Same names, other videos: what is seen tells the release.
        seen = np.mean([np.asarray(picture) for picture in record["rgb"]], axis=(0, 1, 2))
        np.testing.assert_allclose(seen, colour(release, label, group, clip), atol=4)


def test_metadata_and_report(built):
    info = built["v1"].info
    assert info.features["label"].names == CLASSES
    assert info.file_format == tfds.core.FileFormat.ARRAY_RECORD
    assert "Xu, Yuecong" in info.citation
    found = report(built["v1"])
    assert found["written"] == {"train": 22, "test": 11, "others": 11}
    assert (found["samples"], found["skipped"], found["synthetic"]) == (44, {}, False)
    notes = found["notes"]
    assert notes["whole_set"] == (
        "the lists name 44 videos (22 train, 11 test, 11 others); the whole set has 3784"
    )
    assert notes["lists"]["others"].endswith("list_cvt/ARID_split1_other.txt")
    assert report(built["v1_5"])["notes"]["lists"]["others"].endswith("split0_others.txt")
    assert notes["videos_in_no_list"] == 0
    assert notes["groups_both_in_train_and_test"] == []


def test_configs_are_the_official_splits():
    names = [config.name for config in Builder.BUILDER_CONFIGS]
    assert names == ["v1_split1", "v1_split2", "v1_split3", "v1_5_split0", "v1_5_split1"]
    with pytest.raises(ValueError, match=r"split is 3; ARID v1.5 has 0, 1"):
        AridConfig(name="c", description="C.", release="v1_5", split=3)
    with pytest.raises(ValueError, match="no release 'v2' of ARID; there are v1, v1_5"):
        AridConfig(name="c", description="C.", release="v2")


@pytest.mark.parametrize(
    ("folders", "v1_rank", "v1_5_rank"),
    [
        ("clips_v1/Drink", 0, None),
        ("clips_v1.5/Drink", None, 0),
        ("ARID_v1_5_211015/clips_v1/Drink", 0, None),
        ("ARID_v1_5_211015/Drink", None, 1),
        ("ARID_v1-master/dataset/ARID/raw/data/Drink", 1, None),
        ("ARID_v1.5/brighter/Drink", None, 1),
        ("ARIDv1/Drink", 1, None),
        ("raw/data/Drink", 2, 2),
        ("conv1/Drink", 2, 2),
        ("v10/Drink", 2, 2),
        ("", 2, 2),
    ],
)
def test_folders_tell_the_release(folders, v1_rank, v1_5_rank):
    parts = tuple(folders.split("/")) if folders else ()
    assert rank_of(parts, "v1") == v1_rank
    assert rank_of(parts, "v1_5") == v1_5_rank


def test_the_owners_lists_are_known_by_their_names():
    for release, split, part, names in (
        ("v1", 1, "train", ["ARID_split1_train.txt"]),
        ("v1", 2, "others", ["ARID_split2_other.txt", "ARID_split2_others.txt"]),
        ("v1_5", 0, "others", ["split0_others.txt", "split0_other.txt"]),
        ("v1_5", 1, "test", ["split1_test.txt"]),
    ):
        pattern = RELEASES[release].list_pattern(split, part)
        assert all(pattern.fullmatch(name) for name in names)
        for other in ("ARID_split1_test.txt", "split0_train.txt", "ARID_split2_otherstxt"):
            assert not pattern.fullmatch(other)


def test_zip_archives_and_bare_class_folders_are_read_in_place(v1, built, tmp_path):
    folder = tmp_path / "packed"
    folder.mkdir()
    shutil.copytree(v1 / "list_cvt", folder / "list_cvt")
    shutil.copytree(v1 / "clips_v1" / "Wave", folder / "Wave")
    with zipfile.ZipFile(folder / "Drink.zip", "w") as archive:
        for video in (v1 / "clips_v1" / "Drink").iterdir():
            archive.write(video, video.name)
    with zipfile.ZipFile(folder / "rest.zip", "w") as archive:
        for action in CLASSES[1:-1]:
            for video in (v1 / "clips_v1" / action).iterdir():
                archive.write(video, f"raw/data/{action}/{video.name}")
    again = build(folder, tmp_path / "out")
    for split in PARTS:
        for one, other in zip(records(again, split), records(built["v1"], split), strict=True):
            assert one["sample_id"] == other["sample_id"]
            assert all(np.array_equal(x, y) for x, y in zip(one["rgb"], other["rgb"], strict=True))


def test_a_copy_outside_the_owners_folder_is_left_aside(v1, tmp_path):
    (v1 / "brighter" / "Drink").mkdir(parents=True)
    shutil.copy(v1 / "clips_v1/Drink/Drink_1_1.mp4", v1 / "brighter/Drink/Drink_1_1.avi")
    plan = planned(v1, tmp_path)
    assert plan.splits["train"][0].rgb.path == str(v1 / "clips_v1/Drink/Drink_1_1.mp4")
    (copy,) = plan.report.notes["copies_left_aside"]
    assert copy.startswith(str(v1 / "brighter"))


def test_made_up_footage_is_called_synthetic(v1, tmp_path):
    (v1 / "synthesis.json").write_text("{}")
    builder = build(v1, tmp_path / "out")
    assert report(builder)["synthetic"] is True


@pytest.mark.parametrize("empty", [False, True])
def test_without_a_list_of_the_others_their_split_is_left_out(v1, tmp_path, capsys, empty):
    path = v1 / "list_cvt" / "ARID_split1_other.txt"
    path.write_text("\n") if empty else path.unlink()
    builder = build(v1, tmp_path / "out")
    assert list(builder.info.splits) == ["train", "test"]
    assert report(builder)["notes"]["videos_in_no_list"] == 11
    told = capsys.readouterr().out
    assert "splits left out (none of their videos is listed): others" in told
    assert "Wrote 22 train, 11 test; skipped 0.\n" in told


def test_missing_and_damaged_videos_are_skipped_and_named(v1, tmp_path):
    (v1 / "clips_v1/Jump/Jump_12_1.mp4").unlink()
    (v1 / "clips_v1/Run/Run_1_1.mp4").write_bytes(b"")
    with pytest.raises(
        TooManyBadClipsError, match=r"Jump/Jump_12_1: there is no Jump/Jump_12_1.avi"
    ):
        build(v1, tmp_path / "out")
    builder = build(v1, tmp_path / "out", patient(0.05))
    assert builder.info.splits["train"].num_examples == 21
    assert sorted(report(builder)["skipped"]) == ["Jump/Jump_12_1", "Run/Run_1_1"]
    assert not list((tmp_path / "out").rglob("*incomplete*"))


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0\t0\tDrink/", "0\t1\tDrink/", r"line 1 .*the label 1 is Jump, the path says Drink"),
        ("Drink/Drink_1_1.", "Drink_1_1.", None),
        ("0\t0\tDrink/Drink_1_1.", "0\t1\tDrink_1_1.", r"the label 1 is Jump, the path says Drink"),
        ("Drink/Drink_1_1.", "Drink/Jump_1_1.", r"the label 0 is Drink, the path says Jump"),
        ("\t10\tWave", "\t11\tWave", r"the label is 11; ARID's are 0 to 10"),
        ("Drink/Drink_1_1.", "../Drink/Drink_1_1.", r'has "\.\."; expected a path below'),
        ("Drink/Drink_1_1.", "Drink/Drink_12_1.", r"1 videos are listed for training and for testing"),
        ("0\t0\tDrink/Drink_1_1.avi\n", "", None),
        ("\n", "\r\n", None),
        ("0\t0\tDrink/Drink_1_1.avi\n", "0\t0\tDrink/Drink_1_1.avi\n" * 2, None),
    ],
)  # fmt: skip
def test_lists_that_contradict_stop_the_build(v1, tmp_path, old, new, message):
    edit(v1 / "list_cvt" / "ARID_split1_train.txt", old, new)
    if message is None:
        assert planned(v1, tmp_path).report.skipped == {}
        return
    with pytest.raises(FootageError, match=message):
        planned(v1, tmp_path)


def test_odd_names_have_no_group_and_shared_groups_are_told(v1, tmp_path):
    edit(v1 / "list_cvt/ARID_split1_train.txt", "Drink_1_1.avi", "sip.avi")
    edit(v1 / "list_cvt/ARID_split1_train.txt", "Wave_1_10.", "Wave_12_10.")
    shutil.move(v1 / "clips_v1/Drink/Drink_1_1.mp4", v1 / "clips_v1/Drink/sip.mkv")
    shutil.move(v1 / "clips_v1/Wave/Wave_1_10.mp4", v1 / "clips_v1/Wave/Wave_12_10.mp4")
    plan = planned(v1, tmp_path)
    assert plan.records["Drink/sip"] == {"label": 0, "group": -1}
    assert plan.report.notes["groups_both_in_train_and_test"] == ["Wave_12"]


def test_clips_of_train_and_test_are_taken_out_of_the_others(v1, tmp_path):
    edit(v1 / "list_cvt/ARID_split1_other.txt", "Drink_1_2.", "Drink_1_1.")
    plan = planned(v1, tmp_path)
    assert len(plan.splits["others"]) == 10
    assert plan.report.notes["taken_out,_as_train_or_test_has_them"] == {"others": 1}


def test_what_is_missing_altogether_is_told(v1, owners, tmp_path):
    with pytest.raises(
        FootageError, match=r"(?s)split 2 of ARID v1 .*not found: ARID_split2_train"
    ):
        planned(v1, tmp_path, "v1_split2")
    with pytest.raises(
        FootageError, match=r"(?s)None of the listed videos.*expected: Drink/Drink_1_"
    ):
        planned(owners / "ARID_v1" / "list_cvt", tmp_path)
    # Videos of the other release alone are none.
    shutil.move(v1 / "clips_v1", v1 / "clips_v1.5")
    with pytest.raises(FootageError, match=r"None of the listed videos(?s:.*)found:    44 other v"):
        planned(v1, tmp_path)
    shutil.move(v1 / "clips_v1.5", v1 / "clips_v1")
    for video in (v1 / "clips_v1").rglob("*_12_1.mp4"):
        video.unlink()
    with pytest.raises(FootageError, match="The test split would be empty: none of the 11 videos"):
        planned(v1, tmp_path, patient(0.5))


def data_section(built, config="v1_split1"):
    data = ntu.get_config().data
    with data.unlocked():
        data.dir = str(pathlib.Path(built["v1"].data_dir).parents[2])
        data.name, data.config = "arid", config
        data.update(segments=3, resize=32, crop=24, threads=0, prefetch=1)
    validate_data(data)
    return data


def test_training_reads_the_records_by_configuration_alone(built):
    data = data_section(built)
    about = describe(data)
    assert about.modalities == {"rgb": 3}
    assert about.num_clips == {"train": 22, "test": 11, "others": 11}
    assert list(about.class_names) == CLASSES
    assert open_split(data, "train")[0]["sample_id"] == b"Drink/Drink_1_1"
    # Teacher and student of one modality, as config.teacher.modality = config.student.modality = "rgb".
    with train_iterator(data, 0, 4, ("rgb", "rgb"), num_epochs=1) as batches:
        batch = next(batches)
    assert batch["rgb"].shape == (4, 3, 24, 24, 3)
    for split in ("test", "others"):
        (first, *_) = eval_batches(data, split, 11, ("rgb",))
        for label, frames in zip(first["label"], first["rgb"], strict=True):
            (group, clip), *_ = PARTS[split]
            expected = colour("v1", int(label), group, clip)
            np.testing.assert_allclose(frames.mean((0, 1, 2)), expected, atol=4)


def test_the_page_of_the_data_set(built, tmp_path, capsys):
    data = data_section(built, "v1_5_split0")
    out = tmp_path / "page.html"
    arguments = [
        f"--data_dir={data.dir}", "--dataset=arid/v1_5_split0", f"--out={out}", "--quiet",
        "--config.data.segments=3", "--config.data.resize=32", "--config.data.crop=24",
        "--enhance=gamma", "--gamma=3",
    ]  # fmt: skip
    assert inspect_data.main(arguments) == 0, capsys.readouterr().err
    page = out.read_text()
    assert "enhanced by gamma 3:" in page
    assert "Infrared" not in page
    assert all(f">{name}<" in page for name in ("RGB", "Wave", "others"))
    assert "group" in page.lower()


@pytest.mark.slow
def test_the_stock_command(owners, tmp_path):
    done = subprocess.run(
        [
            pathlib.Path(sys.executable).with_name("tfds"), "build", "data_builders/arid",
            "--config=v1_5_split0", f"--manual_dir={owners}", f"--data_dir={tmp_path}",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Wrote 22 train, 11 test, 11 others" in done.stdout
    assert (tmp_path / "arid" / "v1_5_split0" / "1.0.0" / "dataset_info.json").is_file()


def test_tfds_own_checks_of_a_builder(owners):
    class AridTest(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = Builder
        BUILDER_CONFIG_NAMES_TO_TEST = ["v1_split1"]  # noqa: RUF012 - TFDS's own declaration
        SPLITS = {"train": 22, "test": 11, "others": 11}  # noqa: RUF012
        EXAMPLE_DIR = str(owners)

        def _make_builder(self, config=None):
            # The checks read through tf.data, which array_record does not offer.
            return Builder(data_dir=self.tmp_dir, config=config, file_format="tfrecord")

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(AridTest).run(result)
    assert result.testsRun >= 5
    assert not result.errors + result.failures, "\n".join(
        text for _, text in result.errors + result.failures
    )
