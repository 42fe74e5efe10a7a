"""Protocols: what a config means, and how many clips are looked at at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict

from rgb2ir_jax.evaluation.protocol import Protocol


@pytest.mark.parametrize(
    ("evaluation", "expected"),
    [
        ({}, Protocol(8, 1)),
        ({"segments": 0, "crops": 1}, Protocol(8, 1)),
        ({"segments": 25, "crops": 10}, Protocol(25, 10)),
        ({"crops": 3}, Protocol(8, 3)),
    ],
)
def test_a_config_without_settings_tests_as_it_trains(evaluation, expected):
    config = ConfigDict({"data": {"segments": 8}, "evaluation": evaluation})
    assert Protocol.from_config(config) == expected


@given(
    segments=st.integers(1, 30),
    crops=st.sampled_from([1, 3, 10]),
    single=st.integers(1, 20),
    train=st.integers(1, 10),
    devices=st.sampled_from([1, 4]),
)
def test_a_batch_holds_no_more_frames_than_one_of_single_views(
    segments, crops, single, train, devices
):
    single *= devices
    clips = Protocol(segments, crops).batch_size(single, train, devices)
    assert clips % devices == 0
    assert devices <= clips <= single
    assert clips == devices or clips * segments * crops <= single * max(train, segments * crops)


def test_batches_shrink_with_the_views():
    assert Protocol(8).batch_size(16, 8, 1) == 16
    assert Protocol(4).batch_size(16, 8, 1) == 16
    assert Protocol(25, 10).batch_size(16, 8, 1) == 1
    assert Protocol(8, 3).batch_size(16, 8, 4) == 4


def test_only_networks_that_mix_segments_get_several_clips():
    dense = Protocol(24)
    assert dense.sub_clips(8, mixes_segments=False) == 1
    assert dense.sub_clips(8, mixes_segments=True) == 3
    with pytest.raises(ValueError, match="a multiple of 8 is expected"):
        Protocol(25).sub_clips(8, mixes_segments=True)


@pytest.mark.parametrize(("segments", "crops"), [(0, 1), (8, 2)])
def test_numbers_out_of_range_are_refused(segments, crops):
    with pytest.raises(ValueError, match="asked for"):
        Protocol(segments, crops)


def test_it_says_what_it_does():
    assert str(Protocol(1)) == "1 segment, middle crop"
    assert str(Protocol(25, 3)) == "25 segments, 3 crops (along the longer side)"
