"""Names, classes and splits against the owners' numbers (ntu_protocol.json, sources inside)."""

import itertools
import json
import pathlib

import pytest

from data_builders.ntu_rgbd_ir.footage import FootageError, find_footage
from data_builders.ntu_rgbd_ir.protocol import (
    CLASS_NAMES,
    Sample,
    parse_file_name,
    split_members,
    split_of,
)

OFFICIAL = json.loads((pathlib.Path(__file__).parent / "ntu_protocol.json").read_text())


def test_classes_are_the_owners():
    assert list(CLASS_NAMES) == [OFFICIAL["classes"][str(i)] for i in range(1, 61)]


def test_splits_are_the_owners():
    for performer, camera in itertools.product(range(1, 41), (1, 2, 3)):
        sample = Sample(1, camera, performer, 1, 1)
        assert (split_of(sample, "xsub") == "train") == (performer in OFFICIAL["train_performers"])
        assert (split_of(sample, "xview") == "train") == (camera in OFFICIAL["train_cameras"])
    assert split_members("xview", "test") == ("camera", OFFICIAL["test_cameras"])


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="xset"):
        split_of(Sample(1, 1, 1, 1, 1), "xset")


@pytest.mark.parametrize("name", ["S017C003P040R002A060_rgb.avi", "s017c003p040r002a060_RGB.AVI"])
def test_names_are_read_in_any_case(name):
    assert parse_file_name(name) == (Sample(17, 3, 40, 2, 60), "rgb")
    assert parse_file_name(name)[0].sample_id == "S017C003P040R002A060"


@pytest.mark.parametrize(
    "name",
    [
        "S017C003P040R002A060_depth.avi",
        "S17C003P040R002A060_ir.avi",
        "xS017C003P040R002A060_ir.avi",
    ],
)
def test_other_names_are_no_footage(name):
    assert parse_file_name(name) is None


def test_a_wrong_sample_name_is_refused():
    with pytest.raises(ValueError, match="S1C1"):
        Sample.from_id("S1C1")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_files_are_found_at_any_depth_and_sorted(tmp_path):
    touch(
        tmp_path,
        "z/S001C001P001R001A001_rgb.avi",
        "a/b/c/S001C001P001R001A001_IR.AVI",
        "S001C001P002R001A001_ir.avi",
        "deep/S001C001P002R001A001_rgb.avi",
        "S001C001P003R001A001_rgb.avi",
        "S001C001P001R001A011_ir.avi",
        "notes.txt",
    )
    footage = find_footage(tmp_path, range(1, 11))
    assert [sample.performer for sample in footage.pairs] == [1, 2]
    rgb, ir = next(iter(footage.pairs.values()))
    assert (rgb.name, ir.name) == ("S001C001P001R001A001_rgb.avi", "S001C001P001R001A001_IR.AVI")
    assert footage.other_actions == 1
    assert "S001C001P003R001A001_ir.avi is missing" in footage.problems["S001C001P003R001A001"]


def test_nothing_found_says_what_was_searched_and_expected(tmp_path):
    touch(tmp_path, "holiday.mp4")
    with pytest.raises(FootageError) as caught:
        find_footage(tmp_path, range(1, 11))
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "_rgb.avi" in message
    assert "holiday.mp4" in message
    assert "--manual_dir" in message
