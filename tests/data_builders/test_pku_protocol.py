"""Names, classes, counts and split files against the owners' (pku_protocol.json, sources inside)."""

import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_builders.ntu_rgbd_ir import protocol as ntu
from data_builders.pku_mmd_ir.protocol import (
    ALL_CLASSES,
    CLASS_NAMES,
    DAILY_CLASSES,
    INTERACTION_CLASSES,
    PHASES,
    Video,
    clip_name,
    is_split_file,
    parse_file_name,
)
from data_builders.pku_mmd_ir.splits import SplitFileError, parse_split

OFFICIAL = json.loads((pathlib.Path(__file__).parent / "pku_protocol.json").read_text())
VALIDATION = OFFICIAL["cross_subject_validation_videos"]


def test_classes_are_the_owners():
    assert list(CLASS_NAMES) == [OFFICIAL["classes"][str(i)] for i in range(1, 52)]
    assert sorted(INTERACTION_CLASSES) == OFFICIAL["interaction_classes"]
    assert (len(ALL_CLASSES), len(DAILY_CLASSES)) == (51, 41)
    assert sorted([*DAILY_CLASSES, *INTERACTION_CLASSES]) == list(ALL_CLASSES)


def test_most_classes_are_spelt_as_in_ntu_rgbd():
    # An independent check of the order: the owners of both sets used the same sentences.
    other = {29, 34, 35, 38}  # Pockets differ; "standing up" is longer in NTU.
    same = [
        pku for pku, action in OFFICIAL["ntu_actions"].items()
        if CLASS_NAMES[int(pku) - 1] == ntu.CLASS_NAMES[action - 1]
    ]  # fmt: skip
    assert len(same) >= 51 - len(other)


def test_the_counts_of_the_whole_set_are_the_owners():
    assert PHASES[1].videos == OFFICIAL["videos"] == 1076
    assert PHASES[1].instances == OFFICIAL["instances"] == 21545
    assert PHASES[1].split_videos["xsub"] == (944, 132)
    assert len(VALIDATION) == OFFICIAL["validation_videos"] == 132
    assert sum(PHASES[1].split_videos["xsub"]) == PHASES[1].videos
    assert PHASES[2].videos == OFFICIAL["phase2_videos"] == sum(PHASES[2].split_videos["xsub"])


@pytest.mark.parametrize(
    ("name", "video", "kind"),
    [
        ("0002-L.avi", ("0002-L", 1, "L", -1), "rgb"),
        ("0002-l-INFRARED.AVI", ("0002-L", 1, "L", -1), "ir"),
        ("0364-R.txt", ("0364-R", 1, "R", -1), "label"),
        ("0364-R.label", ("0364-R", 1, "R", -1), "label"),
        ("A19N03-M.avi", ("A19N03-M", 2, "M", 3), "rgb"),
        ("A19N03-M_color.avi", ("A19N03-M", 2, "M", 3), "rgb"),
        ("A19N13-M-infrared.avi", ("A19N13-M", 2, "M", 13), "ir"),
    ],
)
def test_file_names_tell_video_and_kind(name, video, kind):
    assert parse_file_name(name) == (Video(*video), kind)


@pytest.mark.parametrize(
    "name",
    ["0002-L-depth.avi", "0002-X.avi", "002-L.avi", "._0002-L.avi", "0002-L.skeleton", "A1N03-M.avi",
     "0002-L.avi.part", "0002-L-infrared.txt", "Actions.xlsx", "x0002-L.txt"],
)  # fmt: skip
def test_other_names_are_no_footage(name):
    assert parse_file_name(name) is None


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("cross-subject.txt", "xsub"), ("cross_subject.txt", "xsub"), ("cross_subject_v2.txt", "xsub"),
        ("Cross-View.TXT", "xview"), ("cross_view_v2.txt", "xview"), ("cross-view_v1.txt", "xview"),
    ],
)  # fmt: skip
def test_split_files_are_known_in_all_their_spellings(name, protocol):
    assert is_split_file(name, protocol)
    assert not is_split_file(name, "xsub" if protocol == "xview" else "xview")
    assert not is_split_file("my_" + name, protocol)


def test_clip_names_are_readable():
    assert clip_name("0002-L", 3, 8) == "0002-L_003_drink-water"
    assert clip_name("0002-L", 12, 20) == "0002-L_012_make-a-phone-call-answer-phone"
    assert len({clip_name("0002-L", 1, number) for number in ALL_CLASSES}) == 51


def written(train, test, comma=", ", end=", ", newline="\n"):
    """A split file as the owners write them."""
    return newline.join(
        [
            "Training videos: ",
            comma.join(train) + end,
            "Validataion videos: ",
            comma.join(test) + end,
        ]
    )


def names(videos):
    return [video.name for video in videos]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", ",", ", ", " , "])
def test_the_owners_validation_list_is_read(newline, end):
    train = [f"{number:04}-{view}" for number in range(2, 291) for view in "LMR"]
    lists = parse_split(written(train, VALIDATION, end=end, newline=newline))
    assert names(lists.train) == train
    assert names(lists.test) == VALIDATION
    assert lists.phase == 1
    assert {video.view for video in lists.test} == {"L", "M", "R"}


_VIDEOS = st.builds("{:04}-{}".format, st.integers(0, 9999), st.sampled_from("LMR"))


@given(
    st.sets(_VIDEOS, min_size=2, max_size=30),
    st.data(),
    st.sampled_from([",", ", ", " ,", ",\n", "\r\n", "  "]),
)
def test_split_files_come_back_however_they_are_spaced(videos, data, comma):
    videos = data.draw(st.permutations(sorted(videos)))
    cut = data.draw(st.integers(1, len(videos) - 1))
    lists = parse_split("\ufeff" + written(videos[:cut], videos[cut:], comma))
    assert (names(lists.train), names(lists.test)) == (videos[:cut], videos[cut:])
    assert not set(lists.train) & set(lists.test)


def test_phase_two_and_its_performers():
    lists = parse_split(written(["A01N01-L", "a01n04-m"], ["A01N02-R"]))
    assert lists.phase == 2
    assert [video.performer for video in (*lists.train, *lists.test)] == [1, 4, 2]


def test_names_may_follow_their_header_and_repeat():
    lists = parse_split("Training videos: 0002-L, 0002-L\n\nValidation videos: 0003-L")
    assert (names(lists.train), names(lists.test)) == (["0002-L"], ["0003-L"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 training and 0 validation"),
        ("Training videos:\n0002-L,\n", "1 training and 0 validation"),
        ("0002-L, 0003-L", "line 1 has '0002-L' where a header is expected"),
        ("Training videos:\n0002-L, 0003-X,\n", "line 2 has '0003-X' where the name of a video"),
        (written(["0002-L"], ["0002-L"]), "1 videos are in both lists, 0002-L among them"),
        (written(["0002-L"], ["A01N01-L"]), "phase 1 .* phase 2 .* are mixed"),
        ("<html>" + "a" * 2**20, "line 1 has '<html>a"),
        ("training" + " " * 2**20 + "x", "line 1 has 'x' where the name"),
    ],
)  # fmt: skip
def test_files_that_are_no_split_files_are_refused(text, message):
    with pytest.raises(SplitFileError, match=message):
        parse_split(text)
