"""Lists of videos in their three forms, what is wrong with some, and the files that they mean."""

import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_builders.dark_video.footage import NotThereError, find_footage
from data_builders.dark_video.lists import Row, keep_apart, read_copies, read_list
from data_builders.recording import text
from data_builders.recording.report import FootageError
from rgb2ir_jax.video.source import VideoSource


def listed(folder, content, name="list.txt"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_list(VideoSource(str(path)))


def named(found):
    return {name: row.label for name, row in found.rows.items()}


def test_lines_as_arids_owners_wrote_them(tmp_path):
    # The first lines of two classes of their ARID_split2_test.txt.
    found = listed(
        tmp_path,
        "0\t0\tDrink/Drink_10_1.avi\n1\t0\tDrink/Drink_10_10.avi\n157\t10\tWave/Wave_5_10.avi\n",
    )
    assert list(found.rows.values()) == [
        Row(1, 0, "Drink/Drink_10_1.avi"),
        Row(2, 0, "Drink/Drink_10_10.avi"),
        Row(3, 10, "Wave/Wave_5_10.avi"),
    ]
    row = found.rows["Wave/Wave_5_10"]
    assert (row.folders, row.class_folder, row.stem) == (("Wave",), "Wave", "Wave_5_10")


@pytest.mark.parametrize(
    "content",
    [
        "a/x.mp4 0\nb/y 1.AVI 1\n",
        "a/x.mp4 120 0\nb/y 1.AVI 98 1\n",
        "0 0 a/x.mp4\n1 1 b/y 1.AVI\n",
        "a/x\t0\r\n\r\nb\\y 1\t1",
        b"\xef\xbb\xbf\n./a/x.mp4   0\n  b/y 1.AVI 1  \n",
    ],
)
def test_every_form_says_the_same(tmp_path, content):
    assert named(listed(tmp_path, content)) == {"a/x": 0, "b/y 1": 1}


def test_a_number_at_the_end_of_a_name_is_no_number_of_frames(tmp_path):
    # The first line alone would be read as (path, frames, label).
    assert named(listed(tmp_path, "run/clip 12 3\nrun/clip 3\n")) == {
        "run/clip 12": 3,
        "run/clip": 3,
    }


@given(
    st.lists(
        st.tuples(
            st.text("abcXYZ0123456789_-. ", min_size=1, max_size=12).map(str.strip),
            st.integers(0, 47),
        ),
        min_size=1,
        max_size=8,
        unique_by=lambda row: row[0],
    ),
    st.sampled_from(["{i}\t{label}\t{path}", "{path}\t{i}\t{label}"]),
)
def test_what_is_written_is_read(tmp_path_factory, rows, form):
    rows = [(f"k{label}/v{name}.mp4", label) for name, label in rows]
    lines = [form.format(i=i, path=path, label=label) for i, (path, label) in enumerate(rows)]
    found = listed(tmp_path_factory.mktemp("any"), "\n".join(lines))
    assert [(row.path, row.label) for row in found.rows.values()] == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; expected one line a video"),
        (" \r\n\ufeff", "line 2 is '\\\\ufeff'; expected one line a video"),
        ("a/x.mp4\na/y.mp4\n", "line 1 is 'a/x.mp4'; expected one line a video"),
        ("a/x.mp4 0\na/y.mp4\n", r"line 2 is 'a/y.mp4'.*as 1 of 2 lines are \(path, label\)"),
        ("0\t0\ta/x.mp4\na/y.mp4 0\n", "line 2 is .* lines are"),
        ("a/x.mp4 -1\n", "line 1 is 'a/x.mp4 -1'"),
        ("a/x.mp4 \N{ARABIC-INDIC DIGIT ONE}\n", "line 1 is"),
        ("a/x.mp4 99999999999\n", "line 1 is"),
        ("0\t0\t../secret/x.mp4\n", "line 1: '../secret/x.mp4' has \"..\""),
        ("a/../../x.mp4 0\n", 'has ".."'),
        ("/etc/x.mp4 0\n", "'/etc/x.mp4' is an absolute path"),
        ("~/x.mp4 0\n", "absolute path"),
        ("C:\\films\\x.mp4 0\n", "absolute path"),
        ("\\\\server\\x.mp4 0\n", "absolute path"),
        ("a//x.mp4 0\n", "is no path of a file"),
        ("a/ 0\n", "is no path of a file"),
        ("a/.mp4 0\n", "is no path of a file"),
        ("a/x\0.mp4 0\n", "control character"),
        ("a/x\x1b[31m.mp4 0\n", "control character"),
        ("x" * 1001 + " 0\n", "line 1 has 1003 characters"),
        ("a/x.mp4 0\na/x.avi 1\n", r"line 2 \(a/x.avi\): has the label 1 here and 0 in line 1"),
        ("a 0\n".encode("utf-16"), "is UTF-16 text, expected UTF-8"),
        (b"a/x.mp4 0\nb/\xe9.mp4 0\n", "is no UTF-8 text: line 2 holds the byte 0xe9"),
    ],
)  # fmt: skip
def test_broken_lists_are_refused_by_file_and_line(tmp_path, content, message):
    with pytest.raises(FootageError, match=message) as refused:
        listed(tmp_path, content)
    assert str(tmp_path / "list.txt") in str(refused.value)


def test_a_file_that_is_no_list_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "MAX_BYTES", 2**20)
    with pytest.raises(FootageError, match="is larger than 1 MiB"):
        listed(tmp_path, b"x" * (2**20 + 1))
    with pytest.raises(FootageError, match=r"list.txt cannot be read"):
        read_list(VideoSource(str(tmp_path / "no" / "list.txt")))


def test_lines_that_say_nothing_new_are_counted(tmp_path):
    found = listed(tmp_path, "a/x.mp4 0\na/y.mp4 0\na/x.avi 0\na/x.mp4 0\n")
    assert (list(found.rows), found.repeated) == (["a/x", "a/y"], 2)


def test_copies_may_differ_in_order_and_endings_alone(tmp_path):
    one = VideoSource(str(tmp_path / "1.txt"))
    other = VideoSource(str(tmp_path / "2.txt"))
    listed(tmp_path, "0\t0\ta/x.avi\n1\t1\tb/y.avi\n", "1.txt")
    listed(tmp_path, "b/y.mp4 1\na/x.mp4 0\n", "2.txt")
    assert read_copies([one, other], "").source == one
    listed(tmp_path, "b/y.mp4 1\n", "2.txt")
    with pytest.raises(FootageError, match=r"(?s)disagree.*1\.txt: 2 videos.*2\.txt: 1 v.*Do so\."):
        read_copies([one, other], "Do so.")


def test_no_video_is_in_two_splits(tmp_path):
    def lists(**contents):
        return {split: listed(tmp_path, content, split) for split, content in contents.items()}

    found = lists(
        train="a/x.avi 0\na/y.avi 0", test="a/z.avi 0", others="a/z.mp4 0\na/u.avi 0\na/x 0"
    )
    assert keep_apart(found) == {"others": 2}
    assert list(found["others"].rows) == ["a/u"]
    assert keep_apart(found) == {}
    with pytest.raises(FootageError, match=r"1 videos are listed for training and for test.*a/y a"):
        keep_apart(lists(train="a/x.avi 0\na/y.avi 0", test="a/y.mp4 0"))


@pytest.fixture
def footage(tmp_path):
    """Empty files and archives with the names of videos."""
    for name in (
        "v/Run/1.mp4", "v/Run/2.MP4", "v/Sit/1.avi", "copy/Run/1.avi", "Run.jpg", "v/Run/lone.mkv",
        "v/list.txt",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with zipfile.ZipFile(tmp_path / "v" / "Jump.zip", "w") as archive:
        archive.writestr("7.avi", b"")
        archive.writestr("deep/Walk/8.avi", b"")
        archive.writestr("train.txt", b"Jump/7.mp4 0\n")
    (tmp_path / "broken.zip").write_bytes(b"PK")
    return find_footage(tmp_path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Run/1.mp4", "v/Run/1.mp4"),
        ("Run/1.avi", "copy/Run/1.avi"),  # the listed ending first
        ("Run/1", "copy/Run/1.avi"),  # then the order of paths
        ("v/Run/1.avi", "v/Run/1.mp4"),
        ("Run/2.avi", "v/Run/2.MP4"),
        ("lone.avi", "v/Run/lone.mkv"),
        ("Jump/7.mp4", "v/Jump.zip:7.avi"),
        ("Walk/8", "v/Jump.zip:deep/Walk/8.avi"),
    ],
)
def test_listed_videos_are_found_by_their_folders_and_stems(footage, tmp_path, path, expected):
    assert str(footage.video(Row(1, 0, path))) == str(tmp_path / expected)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "Run/3.mp4",
            r"there is no Run/3.mp4, nor .* another ending \(1 archives could not be read",
        ),
        ("Walk/1.mp4", r"a file of this name lies elsewhere: .*copy/Run/1.avi\)"),
        ("un/1.mp4", "there is no un/1.mp4"),
        ("1.mp4", "files are called so, .* does not say in which folder"),
        ("list.txt", "there is no list.txt"),
    ],
)
def test_videos_that_are_not_there_are_told_with_what_is(footage, path, message):
    with pytest.raises(NotThereError, match=message):
        footage.video(Row(1, 0, path))


def test_the_report_tells_copies_and_what_no_list_names(footage, tmp_path):
    footage.video(Row(1, 0, "Run/1.mp4"))
    footage.video(Row(2, 0, "Run/2.mp4"))
    notes = footage.notes()
    assert notes["copies_left_aside"] == [
        f"{tmp_path}/copy/Run/1.avi (used: {tmp_path}/v/Run/1.mp4)"
    ]
    assert notes["videos_in_no_list"] == 4
    assert footage.notes(lambda folders: None if "Run" in folders else 0)["videos_in_no_list"] == 3
    assert len(notes["unreadable_archives"]) == 1
    (packed,) = [source for source in footage.texts if source.member]
    assert named(read_list(packed)) == {"Jump/7": 0}
