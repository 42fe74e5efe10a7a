"""Segment sampling against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.data.sampling import center_positions, frame_indices, random_positions

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
