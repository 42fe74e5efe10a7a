"""Label files: the owners' rows, their oddities, and what cannot be used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_builders.pku_mmd_ir.labels import Instance, fit, is_label_text, parse_labels
from data_builders.pku_mmd_ir.protocol import ALL_CLASSES, DAILY_CLASSES


def test_rows_are_read():
    labels = parse_labels("20,88,195,1\n8,310,402,2\n", ALL_CLASSES)
    assert labels.instances == [Instance(1, 20, 88, 195), Instance(2, 8, 310, 402)]
    assert not labels.problems
    assert not labels.quirks


_ROWS = st.lists(
    st.tuples(st.sampled_from(ALL_CLASSES), st.integers(0, 9000), st.integers(0, 9000)), unique=True
)


@given(
    _ROWS,
    st.sampled_from(["\n", "\r\n", "\n\n", "\n  \n"]),
    st.sampled_from(
        ["{},{},{},1", "{}, {}, {}, 2", " {},{},{},1,", "{},{},{}", "{}.0,{}.0,{}.00,1.0"]
    ),
    st.sampled_from(["", "\n"]),
    st.booleans(),
)
def test_rows_come_back_whatever_their_spaces_and_line_ends(rows, newline, shape, last, mark):
    rows = [(number, min(a, b), max(a, b)) for number, a, b in rows]
    text = newline.join(shape.format(*row) for row in rows) + last
    labels = parse_labels("\ufeff" * mark + text, ALL_CLASSES)
    assert not labels.problems
    kept = list(dict.fromkeys(rows))
    assert [instance[1:] for instance in labels.instances] == kept
    assert labels.quirks["duplicate_rows"] == len(rows) - len(kept)
    # Each row is named by its line, so that it is found in the file.
    lines = text.splitlines()
    for instance in labels.instances:
        assert shape.format(*instance[1:]) == lines[instance.row - 1]


@given(_ROWS)
def test_overlaps_are_counted_and_kept(rows):
    rows = [(number, min(a, b), max(a, b)) for number, a, b in rows]
    labels = parse_labels("\n".join(f"{n},{a},{b},1" for n, a, b in rows), ALL_CLASSES)
    intervals = sorted((start, end) for _, start, end in dict.fromkeys(rows))
    expected = sum(
        any(earlier[1] >= start for earlier in intervals[:i])
        for i, (start, _) in enumerate(intervals)
    )
    assert labels.quirks["overlapping_instances"] == expected


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_exception(text):
    labels = parse_labels(text, ALL_CLASSES)
    lines = text.removeprefix("\ufeff").splitlines()
    used = len(labels.instances) + len(labels.problems)
    dropped = labels.quirks["empty_lines"] + labels.quirks["duplicate_rows"]
    assert used + dropped == len(lines)
    for instance in labels.instances:
        assert instance.class_number in ALL_CLASSES
        assert 0 <= instance.start <= instance.end


QUIRKS = """\
8,40,20,1

8,20,40,2
3,-5,10,1
12,50,60,1
52,70,80,1
0,70,80,1
9,ten,80,1
9,70
9,90,99999999999,1
9,-20,-10,1
30,100,100,1
"""


def test_oddities_are_put_right_and_counted():
    labels = parse_labels(QUIRKS, DAILY_CLASSES)
    assert labels.instances == [
        Instance(1, 8, 20, 40),
        Instance(4, 3, 0, 10),
        Instance(12, 30, 100, 100),
    ]
    assert labels.quirks == {
        "swapped_rows": 1,
        "empty_lines": 1,
        "duplicate_rows": 1,
        "negative_starts": 1,
        "other_class_rows": 1,
    }
    assert labels.problems == {
        6: "row 6 is of class 52; the classes are 1 to 51",
        7: "row 7 is of class 0; the classes are 1 to 51",
        8: "row 8 is '9,ten,80,1', expected class,start,end,confidence",
        9: "row 9 is '9,70', expected class,start,end,confidence",
        10: "row 10 is '9,90,99999999999,1', expected class,start,end,confidence",
        11: "row 11 ends at frame -10, before the video's first, 0",
    }


@pytest.mark.parametrize(
    ("start", "end", "frames", "expected"),
    [
        (0, 9, 10, (0, 9)),
        (0, 10, 10, (0, 9)),
        (8, 11, 10, (8, 9)),
        (8, 12, 10, None),
        (10, 12, 10, None),
    ],
)
def test_instances_end_with_the_video(start, end, frames, expected):
    instance = fit(Instance(1, 8, start, end), frames)
    assert (instance and instance[2:]) == expected


def test_skeleton_files_are_no_label_files():
    skeleton = " ".join(["0.123456"] * 150)
    assert not is_label_text(skeleton[:100] + skeleton)
    assert not is_label_text("\n" + skeleton)
    assert is_label_text("20,88,195,1\n")
    assert is_label_text("")
    assert is_label_text("nonsense")
