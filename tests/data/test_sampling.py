"""Segment sampling against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.data.sampling import (
    Sampling,
    center_positions,
    dense_indices,
    frame_indices,
    random_positions,
)

segments = st.integers(1, 40)
seeds = st.integers(0, 2**32)


@given(seed=seeds, count=segments)
def test_one_moment_in_each_segment(seed, count):
    positions = random_positions(np.random.default_rng(seed), count)
    assert positions.shape == (count,)
    assert [int(np.floor(p * count + 1e-9)) for p in positions] == list(range(count))
    assert positions.min() >= 0
    assert positions.max() < 1


@given(seed=seeds, count=segments, frames=st.integers(1, 300))
def test_frames_are_in_range_and_in_order(seed, count, frames):
    for positions in (
        random_positions(np.random.default_rng(seed), count),
        center_positions(count),
    ):
        indices = frame_indices(positions, frames)
        assert indices.min() >= 0
        assert indices.max() < frames
        assert (np.diff(indices) >= 0).all()
        if frames % count == 0:
            assert len(set(indices.tolist())) == count


@given(seed=seeds, count=segments, rgb=st.integers(1, 300), ir=st.integers(1, 300))
def test_both_modalities_are_read_at_the_same_relative_time(seed, count, rgb, ir):
    positions = random_positions(np.random.default_rng(seed), count)
    gap = frame_indices(positions, rgb) / rgb - frame_indices(positions, ir) / ir
    assert np.abs(gap).max() <= 1 / min(rgb, ir)


def test_centres():
    np.testing.assert_allclose(center_positions(4), [0.125, 0.375, 0.625, 0.875])
    assert frame_indices(center_positions(4), 100).tolist() == [12, 37, 62, 87]


def test_a_video_shorter_than_the_segments_repeats_frames():
    assert frame_indices(center_positions(8), 3).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


def test_every_frame_of_a_segment_is_drawn():
    rng = np.random.default_rng(0)
    drawn = {int(frame_indices(random_positions(rng, 2), 10)[1]) for _ in range(300)}
    assert drawn == {5, 6, 7, 8, 9}


def test_an_empty_video_is_refused():
    with pytest.raises(ValueError, match="0 frames"):
        frame_indices(center_positions(2), 0)


@given(
    seed=seeds,
    frames=st.integers(1, 64),
    stride=st.integers(1, 4),
    length=st.integers(1, 300),
)
def test_a_dense_clip_is_a_run_of_the_video(seed, frames, stride, length):
    sampling = Sampling(frames, "dense", stride)
    for choose in (sampling.draw(np.random.default_rng(seed)), sampling.centre()):
        indices = choose(length)
        assert indices.shape == (frames,)
        assert indices.min() >= 0
        assert indices.max() < length
        # From one frame to the next by the stride; past the end of a short video, from its beginning on.
        assert (np.diff(indices) % length == stride % length).all()
        if length >= sampling.span:
            assert (np.diff(indices) == stride).all()
        else:
            assert indices[0] == 0


def test_the_middle_run_leaves_as_much_on_both_sides():
    assert Sampling(4, "dense").centre()(10).tolist() == [3, 4, 5, 6]
    assert Sampling(3, "dense", 2).centre()(9).tolist() == [2, 4, 6]
    assert Sampling(4, "dense").centre()(4).tolist() == [0, 1, 2, 3]


def test_a_video_shorter_than_a_dense_clip_is_read_in_a_loop():
    assert Sampling(8, "dense").centre()(3).tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert Sampling(4, "dense", 3).centre()(5).tolist() == [0, 3, 1, 4]
    assert Sampling(3, "dense").centre()(1).tolist() == [0, 0, 0]


@given(
    seed=seeds,
    frames=st.integers(1, 32),
    stride=st.integers(1, 3),
    lengths=st.lists(st.integers(1, 200), min_size=2, max_size=3),
)
def test_dense_clips_of_videos_read_together_begin_at_the_same_moment(
    seed, frames, stride, lengths
):
    choose = Sampling(frames, "dense", stride).draw(np.random.default_rng(seed))
    shortest = min(lengths)
    # The moment of each run's first frame, as a share of its video.
    moments = [choose(length, shortest)[0] / length for length in lengths]
    assert max(moments) - min(moments) < 1 / shortest
    for length in lengths:
        if shortest >= (frames - 1) * stride + 1:
            assert (np.diff(choose(length, shortest)) == stride).all()
    np.testing.assert_array_equal(choose(shortest, shortest), choose(shortest))


def test_dense_clips_begin_wherever_they_fit():
    rng = np.random.default_rng(0)
    choices = [Sampling(4, "dense").draw(rng) for _ in range(400)]
    assert {int(choose(10)[0]) for choose in choices} == set(range(7))
    # Beside a video of 10 frames, one of 20 begins at every other frame.
    assert {int(choose(20, 10)[0]) for choose in choices} == set(range(0, 13, 2))
    # By hand: 40 and 20 frames, 5 places in the shorter one; the last is its frame 4, at 0.2.
    late = np.array([0.99])
    assert [dense_indices(late, n, 16, 1, 20)[0] for n in (20, 40)] == [4, 8]
    assert [dense_indices(late, n, 16)[0] for n in (20, 40)] == [4, 24]


def test_several_dense_clips_of_a_test_are_dealt_out():
    choose = Sampling(4, "dense").centre(12)
    # Twelve places to begin at, their three parts' middles; every third frame is one run's.
    assert choose(15).reshape(4, 3).T.tolist() == [[2, 3, 4, 5], [6, 7, 8, 9], [10, 11, 12, 13]]
    with pytest.raises(ValueError, match="dense clips have 4, so that a multiple of 4"):
        Sampling(4, "dense").centre(10)


def test_segments_are_as_ever():
    """The numbers that are drawn, and the frames that follow from them."""
    sampling = Sampling(8)
    found = sampling.draw(np.random.default_rng(3))(100)
    rng = np.random.default_rng(3)
    assert found.tolist() == frame_indices(random_positions(rng, 8), 100).tolist()
    assert sampling.centre()(100).tolist() == frame_indices(center_positions(8), 100).tolist()
    assert sampling.centre(25)(100).tolist() == frame_indices(center_positions(25), 100).tolist()
    assert sampling.draw(np.random.default_rng(3))(100, 60).tolist() == found.tolist()
    # Nor does a test depend on other videos.
    assert Sampling(4, "dense").centre()(10, 5).tolist() == [3, 4, 5, 6]


def test_sampling_in_words():
    assert str(Sampling(8)) == "the middle frames of 8 equal parts of the clip"
    assert str(Sampling(16, "dense")) == "16 frames in a row from the middle of the clip"
    assert (
        str(Sampling(16, "dense", 2)) == "16 frames in a row, 2 apart, from the middle of the clip"
    )
    assert [Sampling(8, kind, 3).span for kind in ("segments", "dense")] == [8, 22]


def test_an_empty_video_has_no_dense_clip():
    with pytest.raises(ValueError, match="0 frames"):
        dense_indices(center_positions(1), 0, 4)
