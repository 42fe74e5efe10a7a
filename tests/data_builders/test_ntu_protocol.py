"""Names, classes and splits against the owners' numbers (ntu_protocol.json, sources inside)."""

import itertools
import json
import pathlib
import zipfile

import pytest

from data_builders.ntu_rgbd_ir.completeness import completeness
from data_builders.ntu_rgbd_ir.footage import find_footage
from data_builders.ntu_rgbd_ir.protocol import (
    CLASS_NAMES,
    NTU120,
    PROTOCOLS,
    Sample,
    parse_file_name,
    parse_misnamed,
    samples_of_class,
    split_members,
    split_of,
)
from data_builders.recording.report import FootageError

OFFICIAL = json.loads((pathlib.Path(__file__).parent / "ntu_protocol.json").read_text())


def test_classes_are_the_owners():
    assert list(CLASS_NAMES) == [OFFICIAL["classes"][str(i)] for i in range(1, 121)]


def test_splits_are_the_owners():
    for setup, camera, performer in itertools.product(range(1, 33), (1, 2, 3), range(1, 107)):
        sample = Sample(setup, camera, performer, 1, 1)
        in_train = {name: split_of(sample, name) == "train" for name in PROTOCOLS}
        assert in_train == {
            "xsub": performer in OFFICIAL["ntu60_xsub_train_subjects"],
            "xview": camera in OFFICIAL["ntu60_xview_train_cameras"],
            "xsub120": performer in OFFICIAL["ntu120_xsub_train_subjects"],
            "xsetup120": setup % 2 == 0,
        }
    assert OFFICIAL["ntu120_xset_train_setups"] == "even"
    assert split_members("xview", "test") == ("camera", OFFICIAL["ntu60_xview_test_cameras"])


@pytest.mark.parametrize(
    ("protocol", "field", "everybody"),
    [
        ("xsub", "performer", 40),
        ("xview", "camera", 3),
        ("xsub120", "performer", 106),
        ("xsetup120", "setup", 32),
    ],
)
def test_nobody_is_in_both_splits_and_everybody_in_one(protocol, field, everybody):
    (train_field, train), (test_field, test) = (
        split_members(protocol, split) for split in ("train", "test")
    )
    assert train_field == test_field == field
    assert not set(train) & set(test)
    assert sorted(train + test) == list(range(1, everybody + 1))


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="xset"):
        split_of(Sample(1, 1, 1, 1, 1), "xset")


def whole_set(num_classes):
    """As many performers in as many set-ups as the owners' counts of the splits tell.

    948 samples a class are 158 performers in set-ups (three cameras, two replications), and 672 of
    these samples, so 112, belong to training performers.
    """
    trained = OFFICIAL["ntu60_xsub_train_subjects"]
    tested = [p for p in range(1, 41) if p not in trained]
    seats = {True: 112, False: 46}
    for setup in range(1, 18):
        for performer in range(1, 41):
            in_train = performer in trained
            # Each performer in a few set-ups, until the seats are full.
            if seats[in_train] and (setup + performer) % (3 if in_train else 7) == 0:
                seats[in_train] -= 1
                yield from (
                    Sample(setup, camera, performer, replication, action)
                    for camera in (1, 2, 3)
                    for replication in (1, 2)
                    for action in range(1, num_classes + 1)
                )
    assert seats == {True: 0, False: 0}, (seats, len(tested))


@pytest.mark.parametrize("protocol", ["xsub", "xview"])
@pytest.mark.parametrize("num_classes", [10, 60])
def test_the_whole_set_is_known_as_such(protocol, num_classes):
    expected = OFFICIAL[
        "expected_counts_ntu60" if num_classes == 60 else "expected_counts_ten_class_A001_A010"
    ]
    notes = completeness(
        list(whole_set(num_classes)), range(1, num_classes + 1), PROTOCOLS[protocol]
    )
    assert notes == {
        "whole_set": f"complete: {expected['all']} pairs ({expected[f'{protocol}_train']} train, "
        f"{expected[f'{protocol}_test']} test)"
    }


def test_the_set_of_120_classes_has_the_published_size():
    assert sum(map(samples_of_class, range(1, 121))) == 114_480


def test_missing_parts_are_told_by_setup():
    samples = [s for s in whole_set(10) if s.setup not in (3, 5, 6, 7)]
    lost = [s for s in samples if s.setup == 9][:4]
    notes = completeness([s for s in samples if s not in lost], range(1, 11), PROTOCOLS["xsub"])
    of_nine = sum(s.setup == 9 for s in samples)
    assert notes["setups_missing"] == "3, 5-7"
    assert notes["setups_found_of_expected"] == {9: f"{of_nine - 4} of {of_nine}"}
    assert notes["whole_set"].startswith(f"incomplete: {len(samples) - 4} of 9480 pairs")


def test_the_right_number_in_wrong_splits_is_called_wrong():
    samples = [s._replace(performer=1 + (s.performer - 1) % 2) for s in whole_set(10)]
    assert "WRONG" in completeness(samples, range(1, 11), PROTOCOLS["xsub"])["whole_set"]


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


@pytest.mark.parametrize(
    "name",
    [
        "S001C002P003R001A004_rgb (1).avi",
        "S001C002P003R001A004_rgb.avi.part",
        "S001C002P003R001A004_rgb.mp4",
        "S001C002P003R001A004.avi",
        "S001C002P003R001A004_infrared.avi",
        "copy of s001c002p003r001a004_ir.avi",
        "S1C2P3R1A4_ir.avi",
        "S001_C002_P003_R001_A004_ir.avi",
    ],
)
def test_names_that_are_nearly_right_are_known(name):
    assert parse_misnamed(name) == Sample(1, 2, 3, 1, 4)


@pytest.mark.parametrize(
    "name",
    [
        "S001C002P003R001A004_rgb.avi",
        "S001C002P003R001A004.skeleton",
        "S001C002P003R001A004_depth.avi",
        "MDepth-S001C002P003R001A004.png",
        "holiday.avi",
    ],
)
def test_other_files_of_a_sample_are_not_misnamed(name):
    assert parse_misnamed(name) is None


def test_misnamed_files_explain_what_is_missing(tmp_path):
    touch(
        tmp_path,
        "S001C001P001R001A001_rgb.avi",
        "S001C001P001R001A001_ir (1).avi",
        "S001C001P002R001A001_rgb.avi",
        "S001C001P002R001A001_ir.avi",
        "S001C001P002R001A001_ir - Copy.avi",
        "S001C004P002R001A001_rgb.avi",
        "S001C001P041R001A001_ir.avi",
    )
    footage = find_footage(tmp_path, range(1, 11))
    assert [sample.performer for sample in footage.pairs] == [2]
    assert sorted(footage.problems) == [
        "S001C001P001R001A001",
        "S001C001P041R001A001",
        "S001C004P002R001A001",
    ]
    assert "S001C001P001R001A001_ir (1).avi" in footage.problems["S001C001P001R001A001"]
    assert "performer 41" in footage.problems["S001C001P041R001A001"]
    assert "camera 4; NTU RGB+D has cameras 1 to 3" in footage.problems["S001C004P002R001A001"]
    assert len(footage.notes()["misnamed_files"]) == 2
    assert "S001C001P041R001A001" in find_footage(tmp_path, range(1, 121), NTU120).problems


def test_of_two_copies_the_first_path_is_used(tmp_path):
    touch(
        tmp_path,
        "b/S001C001P001R001A001_rgb.avi",
        "a/S001C001P001R001A001_rgb.avi",
        "b/S001C001P001R001A001_ir.avi",
        "c/S001C001P001R001A001_ir.avi",
    )
    with zipfile.ZipFile(tmp_path / "a" / "0.zip", "w") as archive:
        archive.writestr("S001C001P001R001A001_rgb.avi", b"")
    footage = find_footage(tmp_path, range(1, 11))
    assert [source.path for source in footage.pairs[Sample(1, 1, 1, 1, 1)]] == [
        str(tmp_path / "a" / "S001C001P001R001A001_rgb.avi"),
        str(tmp_path / "b" / "S001C001P001R001A001_ir.avi"),
    ]
    assert len(footage.duplicates) == 3


def test_a_folder_that_links_to_its_parent_is_searched_once(tmp_path):
    touch(tmp_path, "a/S001C001P001R001A001_rgb.avi", "a/S001C001P001R001A001_ir.avi")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    footage = find_footage(tmp_path, range(1, 11))
    assert footage.search.files == 2
    assert not footage.duplicates


def test_nothing_found_says_what_was_searched_and_expected(tmp_path):
    touch(tmp_path, "holiday.mp4")
    with pytest.raises(FootageError) as caught:
        find_footage(tmp_path, range(1, 11))
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "_rgb.avi" in message
    assert "holiday.mp4" in message
    assert "--manual_dir" in message
