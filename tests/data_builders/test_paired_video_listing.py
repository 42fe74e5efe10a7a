"""What is read from a pairs.csv: cells, seconds, safe paths, classes, and what is wrong with it."""

import csv
import io
import itertools
import os
import pathlib
import re
import tempfile

import hypothesis
import pytest
from hypothesis import strategies as st

from data_builders.paired_video import footage, listing
from data_builders.paired_video.classes import class_names
from data_builders.paired_video.doubts import doubts
from data_builders.paired_video.listing import Row, read_listing
from data_builders.recording.report import FootageError

HEADER = "rgb,ir,label,split,start,end,performer,camera\n"


def read(folder, text, encoding="utf-8"):
    (folder / "pairs.csv").write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return read_listing(folder)


def problems(folder, row):
    return read(folder, HEADER + row + "\n").problems


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheets_files_are_the_same_listing(tmp_path, encoding, newline, delimiter):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline)
    writer.writerows(
        [
            ["IR", " rgb", "Split", "label", "note", "end", "start", ""],
            ["i.avi", "r.avi", "train", 'wave, twice; "high"', "first", "4", "", ""],
            [],
            ["ü/i.avi", "ü\\r.avi", "val", "clap", "", "3.5", " .5 ", ""],
        ]
    )
    found = read(tmp_path, text.getvalue(), encoding)
    assert not found.problems
    assert found.rows == [
        Row(2, "r.avi", "i.avi", 'wave, twice; "high"', "train", None, 4.0),
        Row(4, "ü/r.avi", "ü/i.avi", "clap", "val", 0.5, 3.5),
    ]
    assert found.ignored_columns == ["note"]
    assert found.rows[1].clip_name == "pairs.csv:4:ü/r.avi"


def test_semicolons_allow_decimal_commas(tmp_path):
    found = read(tmp_path, "rgb;ir;label;split;start;end\nr;i;a;train;1,25;2,5\n")
    assert found.rows[0][5:7] == (1.25, 2.5)
    commas = read(tmp_path, 'rgb,ir,label,split,start\nr,i,a,train,"1,25"\n')
    assert "'1,25'; expected seconds, such as 2.5" in commas.problems["pairs.csv:2:r"]


_CELLS = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.sampled_from(' ,;"')
)
_NAMES = _CELLS.map(str.strip).filter(bool)


@hypothesis.given(
    rows=st.lists(
        st.tuples(
            _NAMES,
            _NAMES,
            _NAMES,
            st.sampled_from(["train", "test", "val_2"]),
            st.none() | st.integers(0, 10**6).map(lambda n: n / 64),
            st.none() | st.integers(1, 10**6).map(lambda n: 20_000 + n / 64),
            _CELLS.map(str.strip),
            _CELLS.map(str.strip),
        ),
        min_size=1,
    ),
    delimiter=st.sampled_from(",;\t"),
)
def test_what_a_writer_wrote_is_read(rows, delimiter):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([listing.COLUMNS, *rows])
    with tempfile.TemporaryDirectory() as folder:
        found = read(pathlib.Path(folder), text.getvalue())
    assert not found.problems
    for number, (row, wanted) in enumerate(zip(found.rows, rows, strict=True)):
        assert row.line == number + 2
        assert row.rgb == wanted[0].replace("\\", "/")
        assert row.split == wanted[3]
        assert row[5:] == wanted[4:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \r\n", "is empty"),
        ("rgb,ir,label,split\n\n", "a header, but no row"),
        ("rgb,ir,label\na,b,c\n", "lacks the column split.*'rgb,ir,label'"),
        ("a.avi,b.avi,wave,train\n", "lacks the columns rgb, ir, label, split"),
        ("rgb|ir|label|split\n", "separated by commas, semicolons, tabs"),
        ("rgb,ir,label,split,rgb\na,b,c,train,d\n", "the column rgb twice"),
        ("rgb,ir,label,split,strat\na,b,c,train,1\n", "a column 'strat'.*call it 'start'"),
        ("rgb,ir,label,split,end_time\na,b,c,train,1\n", "'end_time'.*call it 'end'"),
        ('rgb,ir,label,split\na,b,c,train\na,b,"c,train\n', "line 3: .*not closed"),
        ('rgb,ir,label,split\na,b,"c"d,train\n', "line 2: "),
        (f"rgb,ir,label,split\na,b,{'c' * 200_000},train\n", "line 2: field larger"),
        (
            "rgb,ir,label,split\na,b,c,train\nä,b,c,train\n".encode("latin-1"),
            "line 3 holds the byte 0xe4",
        ),
        ("rgb,ir,label,split\n".encode("utf-16"), "UTF-16.*CSV UTF-8"),
    ],
)
def test_a_file_that_is_no_listing_is_refused(tmp_path, text, message):
    with pytest.raises(FootageError, match=f"(?s)pairs.csv.*{message}"):
        read(tmp_path, text)


def test_a_missing_file_shows_what_is_there_and_an_example(tmp_path):
    with pytest.raises(FootageError, match=r"(?s)there is no CSV file.*--manual_dir.*rgb,ir,label"):
        read_listing(tmp_path)
    (tmp_path / "Pairs2.csv").touch()
    with pytest.raises(FootageError, match=r"there is Pairs2.csv; rename"):
        read_listing(tmp_path)


def test_a_huge_file_is_refused_without_being_read_whole(tmp_path):
    with (tmp_path / "pairs.csv").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(FootageError, match="larger than 128 MiB"):
        read_listing(tmp_path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("r,i,wave,train", "has 4 cells, the header has 8"),
        ("r,i,wave,train,,,,,x", "has 9 cells"),
        (",i,wave,train,,,,", "has no rgb"),
        ("r,,,,,,,", "has no ir and no label and no split"),
        ("r,i,wave,train set,,,,", "the split is 'train set'"),
        ("r,i,wave,all,,,,", "the split is 'all'"),
        ("r,i,wave,../../etc,,,,", "the split is"),
        ("r,i,wave,train,-1,,,", "the start is -1; expected 0 or more"),
        ("r,i,wave,train,,-0.5,,", "the end is -0.5; expected 0 or more"),
        ("r,i,wave,train,3,2,,", "ends at 2 s, but begins at 3 s"),
        ("r,i,wave,train,2,2,,", "ends at 2 s, but begins at 2 s"),
        ("r,i,wave,train,,0,,", "ends at 0 s"),
        ("r,i,wave,train,1:30,,,", "the start is '1:30'; expected seconds"),
        ("r,i,wave,train,nan,,,", "the start is 'nan'"),
        ("r,i,wave,train,,inf,,", "the end is 'inf'"),
        ("r,i,wave,train,1e3,,,", "the start is '1e3'"),
        ("r,i,wave,train,1_0,,,", "the start is '1_0'"),
        ("r,i,wave,train,٣,,,", "the start is '٣'"),
        ('r,i,"wa\nve",train,,,,', r"the label 'wa\\nve' holds a line break"),
        ("r,i,wave,train,,,\x1b[31mred,", "the performer .* control character"),
        ("r\x00,i,wave,train,,,,", "the rgb .* control character"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_by_its_line(tmp_path, row, reason):
    found = problems(tmp_path, "a,b,c,train,,,,\n" + row)
    ((name, said),) = found.items()
    assert name.startswith("pairs.csv:3")
    assert name.isprintable()
    assert re.search(reason, said)


def test_rows_after_a_cell_of_several_lines_keep_their_numbers(tmp_path):
    found = read(tmp_path, 'rgb,ir,label,split,note\nr,i,a,train,"x\ny\nz"\nr2,i2,b,train,\n')
    assert [row.line for row in found.rows] == [2, 5]


def test_labels_of_unusable_rows_count_as_classes(tmp_path):
    found = read(tmp_path, HEADER + "r,i,wave,train,,,,\nr,i,clap,train,9,1,,\nr,i,jump\n")
    assert found.labels == {"wave", "clap"}


def test_the_same_letters_are_the_same_label(tmp_path):
    found = read(tmp_path, "rgb,ir,label,split\nr,i,caf\u00e9,train\nr,i,cafe\u0301,train\n")
    assert len(found.labels) == 1


def test_classes_are_sorted_or_in_the_files_order(tmp_path):
    assert class_names(tmp_path, ["wave", "clap", "wave"]) == ["clap", "wave"]
    assert class_names(tmp_path, ["10", "9", "0"]) == ["0", "9", "10"]
    assert class_names(tmp_path, ["10", "9", "a"]) == ["10", "9", "a"]
    (tmp_path / "classes.txt").write_text("\ufeffwave\n\n clap \njump\n", encoding="utf-8")
    assert class_names(tmp_path, ["clap"]) == ["wave", "clap", "jump"]


def test_classes_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(FootageError, match=r"the column label names 1 class \(wave\)"):
        class_names(tmp_path, ["wave", "wave"])
    (tmp_path / "classes.txt").write_text("wave\nclap\nwave\n")
    with pytest.raises(FootageError, match="names the class 'wave' twice"):
        class_names(tmp_path, ["wave", "clap"])
    (tmp_path / "classes.txt").write_text("\n")
    with pytest.raises(FootageError, match=r"classes.txt names 0 classes \(none\)"):
        class_names(tmp_path, ["wave", "clap"])


@pytest.fixture
def folder(tmp_path):
    """A folder of footage with a secret beside it, and links of both kinds."""
    inside = tmp_path / "in"
    (inside / "a").mkdir(parents=True)
    for name in ("secret.avi", "in/r.avi", "in/a/i.avi"):
        (tmp_path / name).touch()
    (inside / "out.avi").symlink_to(tmp_path / "secret.avi")
    (inside / "outer").symlink_to(tmp_path)
    (inside / "loop.avi").symlink_to(inside / "loop.avi")
    (inside / "inner.avi").symlink_to("a/i.avi")
    os.mkfifo(inside / "pipe.avi")
    return inside


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/hostname", "an absolute path"),
        ("//server/share/x.avi", "an absolute path"),
        ("~/x.avi", "an absolute path"),
        ("C:/x.avi", "an absolute path"),
        ("../secret.avi", 'a path with ".."'),
        ("a/../../secret.avi", 'a path with ".."'),
        ("out.avi", "a link that leads out of the folder"),
        ("outer/secret.avi", "a link that leads out of the folder"),
        ("outer/in/r.avi/", "rgb and ir are the same file|no such file"),
        ("loop.avi", "(?i)loop|no such file|symbolic"),
        ("missing.avi", "no such file"),
        ("http://example.org/x.avi", "no such file"),
        ("r.avi/x", "no such file"),
        ("a", "a folder, not a video"),
        ("pipe.avi", "not a regular file"),
        ("r.avi", "rgb and ir are the same file"),
        ("x" * 5000, "(?i)too long"),
    ],
)
def test_paths_stay_in_the_folder(folder, path, reason):
    row = Row(7, path, "r.avi", "wave", "train")
    found, unusable = footage.find_files(folder, [row])
    assert not found
    assert re.search(reason, unusable[row.clip_name])


def test_links_within_the_folder_are_followed(folder):
    row = Row(2, "r.avi", "inner.avi", "wave", "train")
    found, unusable = footage.find_files(folder, [row])
    assert not unusable
    assert found[row] == (folder.resolve() / "r.avi", folder.resolve() / "a" / "i.avi")


def test_repeated_rows_are_named_with_the_first(folder):
    rows = [
        Row(2, "r.avi", "a/i.avi", "wave", "train"),
        Row(3, "r.avi", "a/i.avi", "wave", "train", 0.0, 2.0),
        Row(4, "r.avi", "inner.avi", "wave", "train", None, 2.0),
        Row(5, "r.avi", "a/i.avi", "clap", "test"),
    ]
    found, unusable = footage.find_files(folder, rows)
    assert list(found) == rows[:2]
    assert unusable == {
        "pairs.csv:4:r.avi": "repeats line 3",
        "pairs.csv:5:r.avi": "repeats line 2; there with the label 'wave', here 'clap'; "
        "there with the split 'train', here 'test'",
    }


def test_clips_of_one_pair_of_files_come_together_in_order(folder):
    rows = [
        Row(2, "r.avi", "a/i.avi", "wave", "train", 1, 2),
        Row(3, "a/i.avi", "r.avi", "wave", "train", 0, 1),
        Row(4, "r.avi", "a/i.avi", "wave", "train", 0, 1),
        Row(5, "r.avi", "a/i.avi", "wave", "test", 2, 3),
    ]
    found, _ = footage.find_files(folder, rows)
    splits = footage.group_by_files(found)
    assert {split: [group for _, group in groups] for split, groups in splits.items()} == {
        "train": [[rows[2], rows[0]], [rows[1]]],
        "test": [[rows[3]]],
    }


@hypothesis.given(
    st.lists(
        st.tuples(st.integers(0, 5000), st.none() | st.integers(1, 400)), min_size=1, max_size=20
    )
)
def test_a_pass_holds_no_more_than_memory_does(cuts):
    rows = [
        Row(k, "r", "i", "wave", "train", start, None if length is None else start + length)
        for k, (start, length) in enumerate(cuts)
    ]
    files = (pathlib.Path("r"), pathlib.Path("i"))
    groups = [group for _, group in footage.group_by_files(dict.fromkeys(rows, files))["train"]]
    assert [row for group in groups for row in group] == sorted(
        rows, key=lambda r: (r.start, r.line)
    )
    for group in groups:
        known = [row.end is not None for row in group]
        assert len(group) == 1 or (all(known) and sum(r.end - r.start for r in group) <= 180)


def said(*rows, classes=("clap", "wave")):
    files = (pathlib.Path("r"), pathlib.Path("i"))
    return doubts({row: tuple(p / row.rgb for p in files) for row in rows}, classes)


def test_an_honest_listing_raises_no_doubt():
    rows = [
        Row(10 * s + k, f"{split}{k}", "", label, split, None, None, f"p{s}")
        for s, split in enumerate(("train", "test", "val"))
        for k, label in enumerate(("clap", "wave", "wave"))
    ]
    assert said(*rows) == {}
    cuts = [
        Row(k, "r", "", ("clap", "wave")[k % 2], ("train", "test")[k // 2], k, k + 1)
        for k in range(4)
    ]
    assert said(*cuts) == {}


def test_doubtful_listings_are_remarked_on():
    a = Row(2, "r", "", "clap", "train", 0, 5, "anna")
    b = Row(3, "r", "", "wave", "train", 1, 2, "ben")
    c = Row(4, "r", "", "clap", "test", 4.5, None, "anna")
    d = Row(5, "s", "", "wave", "test", None, None, "carl")
    assert said(a, b, c, d) == {
        "warning: performers in more than one split": ["anna (test, train)"],
        "warning: the same moments of a video in more than one split": ["lines 2 and 4"],
    }
    assert said(a, b, c)["warning: classes without a clip"] == ["'wave' (in test)"]
    assert said(classes=("Clap", "clap", "cl  ap", "cl ap")) == {
        "warning: labels that differ in case or spaces alone": [
            "'cl  ap' and 'cl ap'",
            "'Clap' and 'clap'",
        ]
    }
    many = said(
        *(Row(k, f"{k}", "", "a", "train") for k in range(3)), classes=[f"c{k}" for k in range(50)]
    )
    assert len(many["warning: classes without a clip"]) == 21


@hypothesis.given(
    st.lists(
        st.tuples(
            st.sampled_from(["train", "test", "val"]), st.integers(0, 30), st.integers(1, 10)
        ),
        max_size=8,
    )
)
def test_overlaps_are_those_of_all_pairs_of_clips(clips):
    rows = [
        Row(k, "r", "", "clap", split, start, start + length)
        for k, (split, start, length) in enumerate(clips)
    ]
    overlapping = {
        max(x, y, key=lambda row: (row.start, row.line)).line
        for x, y in itertools.product(rows, rows)
        if x.split != y.split and x.start < y.end and y.start < x.end
    }
    found = said(*rows).get("warning: the same moments of a video in more than one split", [])
    assert {int(lines.split()[-1]) for lines in found} == overlapping
