"""Files of pictures: what goes in comes out, and nothing that is not whole is read."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.data.frame_file import (
    FrameFile,
    FrameFileError,
    FrameIndex,
    file_size,
    write_frame_file,
)

MEANING = {"split": "train", "files": [["a", 1, 2]]}


def pictures_of(clips, channels, seed=0):
    """Random pictures: `clips` is a list of lists of (height, width)."""
    rng = np.random.default_rng(seed)
    return [
        [rng.integers(0, 256, (h, w, channels)).astype(np.uint8) for h, w in clip] for clip in clips
    ]


def index_of(clips):
    sizes = np.array([size for clip in clips for size in clip], np.int32).reshape(-1, 2)
    return FrameIndex(
        np.arange(len(clips), dtype=np.int32) * 7,
        np.array([len(clip) for clip in clips], np.int32),
        sizes[:, 0],
        sizes[:, 1],
    )


def write(path, clips, channels, pictures, order=None):
    numbered = [(c, f) for c, clip in enumerate(clips) for f in range(len(clip))]
    with write_frame_file(path, index_of(clips), channels, MEANING) as writer:
        for clip, frame in order or numbered:
            writer.write(clip, frame, pictures[clip][frame])


CLIPS = [[(4, 6)] * 3, [(5, 3)], [(4, 6), (2, 2), (7, 1)]]


@given(
    clips=st.lists(
        st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    ),
    channels=st.sampled_from([1, 3]),
)
def test_what_goes_in_comes_out(tmp_path_factory, clips, channels):
    path = tmp_path_factory.mktemp("frames") / "a.frames"
    pictures = pictures_of(clips, channels)
    write(path, clips, channels, pictures)
    assert path.stat().st_size == file_size(index_of(clips), channels, MEANING)
    file = FrameFile(path)
    assert file.meaning == MEANING
    assert file.index.labels.tolist() == [7 * clip for clip in range(len(clips))]
    assert len(file) == len(clips)
    for clip, expected in enumerate(pictures):
        assert len(file[clip]) == len(expected)
        for frame, picture in enumerate(expected):
            np.testing.assert_array_equal(file[clip][frame], picture)


def test_frames_come_in_any_order_and_travel_to_other_processes(tmp_path):
    path = tmp_path / "a.frames"
    pictures = pictures_of(CLIPS, 3)
    write(path, CLIPS, 3, pictures, order=[(2, 1), (0, 2), (1, 0), (2, 0), (0, 0), (0, 1), (2, 2)])
    file = pickle.loads(pickle.dumps(FrameFile(path)))
    for clip, expected in enumerate(pictures):
        for found, picture in zip(file[clip], expected, strict=True):
            np.testing.assert_array_equal(found, picture)
    np.testing.assert_array_equal(file[2][-1], pictures[2][2])
    assert len(file[2][1:]) == 2
    with pytest.raises(IndexError, match="frame 3 of 3"):
        file[2][3]
    with pytest.raises(ValueError, match="read-only"):
        file[0][0][0, 0, 0] = 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_writer_leaves_nothing(tmp_path, error):
    path = tmp_path / "a.frames"
    pictures = pictures_of(CLIPS, 1)

    def broken():
        with write_frame_file(path, index_of(CLIPS), 1, MEANING) as writer:
            writer.write(0, 0, pictures[0][0])
            assert not path.exists()
            assert len(list(tmp_path.iterdir())) == 1
            raise error

    with pytest.raises(error):
        broken()
    assert not list(tmp_path.iterdir())


def test_a_picture_of_another_size_is_refused(tmp_path):
    path = tmp_path / "a.frames"
    with (
        pytest.raises(ValueError, match=r"frame 1 of clip 0 has the shape \(4, 5, 1\)"),
        write_frame_file(path, index_of(CLIPS), 1, MEANING) as writer,
    ):
        writer.write(0, 1, np.zeros((4, 5, 1), np.uint8))
    assert not path.exists()


def test_whatever_is_cut_off_is_noticed(tmp_path):
    path = tmp_path / "a.frames"
    write(path, CLIPS, 3, pictures_of(CLIPS, 3))
    whole = path.read_bytes()
    for length in [*range(0, 700, 13), 4096, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(FrameFileError):
            FrameFile(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(FrameFileError, match=r"it has \d+ bytes, and its index tells of"):
        FrameFile(path)


@given(place=st.integers(0, 399), value=st.integers(0, 255))
def test_a_damaged_head_is_noticed_or_harmless(tmp_path_factory, place, value):
    """A changed byte before the pixels is refused, or changes no picture's place (the meaning's text)."""
    path = tmp_path_factory.mktemp("frames") / "a.frames"
    pictures = pictures_of(CLIPS, 3)
    write(path, CLIPS, 3, pictures)
    whole = bytearray(path.read_bytes())
    whole[place] = value
    path.write_bytes(whole)
    try:
        file = FrameFile(path)
    except FrameFileError:
        return
    if file.meaning == MEANING:
        np.testing.assert_array_equal(file[2][1], pictures[2][1])
