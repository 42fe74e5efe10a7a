"""The builder of Dark-48 on made-up files in the layouts that its owners' may have."""

import json
import pathlib
import shutil

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds

from configs import ntu
from data_builders.dark48.classes import classes_of, read_class_index
from data_builders.dark48.dark48_dataset_builder import Builder
from data_builders.dark_video.lists import read_list
from data_builders.recording.report import FootageError
from rgb2ir_jax.data.pipeline import eval_batches
from rgb2ir_jax.data.source import describe
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.source import VideoSource

# TFDS 4.9.10 asks protobuf for something deprecated, which fails with a TypeError where warnings
# are errors.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

# In no alphabetical order, so that numbers and sorted folders differ.
NAMES = [f"act_{(7 * k) % 48:02}" for k in range(48)]
FORMS = {
    "mmaction": "{path}.mp4 {label}",
    "tsn": "{path} 4 {label}",
    "arid": "{i}\t{label}\t{path}.avi",
}


def write_list(path, clips, form="mmaction", first=0):
    lines = [
        FORMS[form].format(i=i, path=f"{NAMES[label]}/{clip}", label=label + first)
        for i, (label, clip) in enumerate(clips)
    ]
    path.write_text("\n".join(lines) + "\n")


TRAIN = [(label, clip) for label in range(48) for clip in (1, 2)]
TEST = [(label, 3) for label in range(48)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three videos a class: the clip's number is its brightness, the third class's third is lighter."""
    folder = tmp_path_factory.mktemp("dark48")
    made = {}
    for clip in (1, 2, 3, 9):
        made[clip] = folder / f"{clip}.mp4"
        flat = np.full((32, 40, 3), 10 * clip, np.uint8)
        write_video(made[clip], (flat for _ in range(4)), crf=5)
    for label, name in enumerate(NAMES):
        (folder / "videos" / name).mkdir(parents=True)
        for clip in (1, 2, 3):
            shown = 9 if (label, clip) == (2, 3) else clip
            shutil.copy(made[shown], folder / "videos" / name / f"{clip}.mp4")
    return folder / "videos"


@pytest.fixture
def manual(videos, tmp_path):
    """A folder with lists of its own beside the videos."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "videos").symlink_to(videos)
    write_list(folder / "dark48_train.txt", TRAIN)
    write_list(folder / "dark48_test.txt", TEST)
    return folder


def planned(manual_dir):
    builder = Builder(data_dir=manual_dir.parent / "out")
    return builder.plan(manual_dir), builder.info.features["label"].names


def numbered(names, first):
    return "".join(f"{first + k} {name}\n" for k, name in enumerate(names))


def test_records_and_classes(manual, tmp_path):
    builder = Builder(data_dir=tmp_path / "out")
    builder.workers = 0
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual))
    data = ntu.get_config().data
    with data.unlocked():
        data.dir, data.name, data.config = str(tmp_path / "out"), "dark48", "default"
        data.update(segments=2, resize=32, crop=24, threads=0, prefetch=1)
    about = describe(data)
    assert about.num_clips == {"train": 96, "test": 48}
    assert about.modalities == {"rgb": 3}
    assert list(about.class_names) == NAMES
    built = tfds.builder_from_directory(builder.data_dir)
    assert "Tu, Zhigang" in built.info.citation
    ids = [record["sample_id"].decode() for record in built.as_data_source(split="train")]
    assert ids == [f"{NAMES[label]}/{clip}" for label, clip in TRAIN]
    (batch,) = eval_batches(data, "test", 48, ("rgb",))
    assert batch["label"].tolist() == list(range(48))
    light = batch["rgb"].mean((1, 2, 3, 4))
    np.testing.assert_allclose(light, np.where(np.arange(48) == 2, 90, 30), atol=3)
    found = json.loads((pathlib.Path(builder.data_dir) / "build_report.json").read_text())
    assert found["notes"]["whole_set"] == (
        "the lists name 144 videos (96 train, 48 test); the whole set has 8815"
    )
    assert found["notes"]["classes_named_by"] == "their folders"


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("index", [None, "numbered", "names"])
def test_every_layout_gives_the_same_labels(manual, form, first, index):
    write_list(manual / "dark48_train.txt", TRAIN, form, first)
    write_list(manual / "dark48_test.txt", TEST, form, first)
    spoken = [name.replace("_", " ").title() for name in NAMES]
    if index:
        lines = numbered(spoken, first) if index == "numbered" else "\n".join(spoken)
        (manual / "classInd.txt").write_text(lines)
    plan, names = planned(manual)
    assert names == (spoken if index else NAMES)
    assert [plan.records[task.name]["label"] for task in plan.splits["test"]] == list(range(48))
    assert len(plan.splits["train"]) == 96
    assert plan.report.skipped == {}


def test_the_second_part_may_be_called_validation(manual):
    (manual / "dark48_test.txt").rename(manual / "vallist01.txt")
    assert list(planned(manual)[0].splits) == ["train", "test"]
    write_list(manual / "testlist01.txt", TEST[:5])
    write_list(manual / "vallist01.txt", TEST[5:])
    plan, _ = planned(manual)
    assert {split: len(tasks) for split, tasks in plan.splits.items()} == {
        "train": 96, "test": 5, "val": 43
    }  # fmt: skip
    (manual / "latest_news.txt").write_text("no list")
    assert planned(manual)[0].report.samples == 144


def test_another_number_of_classes_is_an_error(manual):
    write_list(manual / "dark48_train.txt", TRAIN[:20])
    write_list(manual / "dark48_test.txt", TEST[:10])
    with pytest.raises(
        FootageError, match=r"videos of 10 classes \(0, 1, 2, 3, 4, ...\); Dark-48 has"
    ):
        planned(manual)
    (manual / "classes.txt").write_text("Run\nSit\n")
    with pytest.raises(
        FootageError, match=r"classes.txt names 2 classes \(Run, Sit\); Dark-48 has 48"
    ):
        planned(manual)


def classes(folder, train, index=None):
    """The classes of one list and an index, both given as text."""
    (folder / "train.txt").write_text(train)
    listed = read_list(VideoSource(str(folder / "train.txt")))
    if index is None:
        return classes_of({"train": listed}, None)
    (folder / "classes.txt").write_text(index)
    return classes_of({"train": listed}, read_class_index(VideoSource(str(folder / "classes.txt"))))


def lines(edits=(), first=0):
    """A clip a class, some lines replaced."""
    given = [f"{name}/1.mp4 {k + first}" for k, name in enumerate(NAMES)]
    for place, line in dict(edits).items():
        given[place] = line
    return "\n".join(given)


@pytest.mark.parametrize(
    ("train", "index", "message"),
    [
        (lines() + "\nelse/1.mp4 3", None, r"line 49 .*label 3 is of the folder 'act_21' in line 4"),
        (lines({5: "act_00/2.mp4 5"}), None, r"line 6 .*'act_00' has the label 5 here and 0 in line 1"),
        (lines({47: "act_x/1.mp4 90"}), None, r"the labels run from 0 to 90; expected 0 to 47 or 1 to"),
        (lines(first=7), None, "the labels run from 7 to 54"),
        (lines({4: "1.mp4 4"}), None, r"line 5 .*no folder that names the class, and there is no cl"),
        (lines(), numbered(NAMES, 1), "counts its classes from 1, the lists from 0"),
        (lines(first=1), numbered(NAMES, 0), "counts its classes from 0, the lists from 1"),
        (lines(), numbered(NAMES, 2), r"numbers its classes 2, 3, 4, 5, 6, ...; expected 0, 1"),
        (lines(), numbered(NAMES[:-1], 0) + "0 more", "each once"),
        (lines(), "\n".join([*NAMES[:-1], NAMES[0]]), "names the class 'act_00' twice"),
        (lines(), "", r"names 0 classes \(none\)"),
        (lines(), "\n".join(NAMES[::-1]), r"the label is 0, and .* gives 'act_00' the number 47"),
        (lines(), "a\x1b[2J", "control characters"),
    ],
)  # fmt: skip
def test_classes_that_contradict_stop_the_build(tmp_path, train, index, message):
    with pytest.raises(FootageError, match=message):
        classes(tmp_path, train, index)


def test_an_index_names_the_classes_of_numbered_folders(tmp_path):
    train = "\n".join(f"{k}/1.mp4 {k}" for k in range(48))
    assert classes(tmp_path, train, "\n".join(NAMES)).names == tuple(NAMES)
    assert classes(tmp_path, train).names == tuple(map(str, range(48)))


def test_what_is_missing_is_told(manual):
    write_list(manual / "other_train_split2.txt", TRAIN[:-1])
    with pytest.raises(FootageError, match=r"(?s)disagree.*dark48_train.*Leave one of them"):
        planned(manual)
    (manual / "other_train_split2.txt").unlink()
    (manual / "a_class.txt").write_text("\n".join(NAMES))
    (manual / "b_class.txt").write_text("\n".join(name.upper() for name in NAMES))
    with pytest.raises(FootageError, match=r"class indices .* disagree"):
        planned(manual)
    (manual / "videos").unlink()
    (manual / "b_class.txt").unlink()
    with pytest.raises(
        FootageError, match=r"None of the listed videos was found(?s:.*)act_00/1.mp4"
    ):
        planned(manual)
    (manual / "dark48_test.txt").unlink()
    with pytest.raises(FootageError, match=r"No list for test was found(?s:.*)dark48_train.txt"):
        planned(manual)
