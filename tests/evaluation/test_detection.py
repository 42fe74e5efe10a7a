"""Windows, grouping and suppression against direct readings of what they say."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.evaluation.detection import (
    Grouping,
    Proposal,
    probabilities,
    sliding_windows,
    suppress,
)
from rgb2ir_jax.evaluation.pku_detection import evaluate


@given(items=st.integers(0, 20), length=st.integers(1, 12), data=st.data())
def test_a_window_surrounds_each_item_and_stops_at_the_ends(items, length, data):
    picks = data.draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=4))
    windows = list(sliding_windows(range(items), length, picks))
    before = length // 2
    assert windows == [
        tuple(min(max(middle - before + place, 0), items - 1) for place in picks)
        for middle in range(items)
    ]


def test_no_more_items_are_taken_than_a_window_needs():
    taken = []
    windows = sliding_windows((taken.append(n) or n for n in range(100)), 5, range(5))
    assert next(windows) == (0, 0, 0, 1, 2)
    assert taken == [0, 1, 2]


def grouped(moments, stride, num_frames, background=0.5):
    """Moments are (class, probability) of three classes."""
    grouping = Grouping(stride, background)
    for label, sure in moments:
        shares = np.full(3, (1 - sure) / 2)
        shares[label] = sure
        grouping.push(shares)
    return grouping.finish(num_frames)


def test_neighbours_of_one_class_make_one_action():
    moments = [(0, 0.9), (0, 0.7), (1, 0.8), (1, 0.4), (1, 0.6), (2, 0.4), (0, 0.5)]
    assert grouped(moments, 10, 70) == [
        Proposal(0, 0, 19, pytest.approx(0.8)),
        Proposal(1, 20, 29, pytest.approx(0.8)),
        Proposal(1, 40, 49, pytest.approx(0.6)),
        Proposal(0, 60, 69, pytest.approx(0.5)),
    ]


@given(
    moments=st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.4, 0.6, 0.9])), max_size=15),
    left_over=st.integers(-4, 5),
)
def test_grouping_is_groupby(moments, left_over):
    stride = 10
    num_frames = max(1, stride * len(moments) + left_over)
    expected = []
    keyed = enumerate(label if sure >= 0.5 else None for label, sure in moments)
    for label, members in itertools.groupby(keyed, key=lambda pair: pair[1]):
        places = [place for place, _ in members]
        if label is not None:
            # What is over after the last moment, or missing of it, belongs to it.
            last = places[-1] == len(moments) - 1
            end = num_frames - 1 if last else (places[-1] + 1) * stride - 1
            sure = np.mean([moments[place][1] for place in places])
            expected.append(Proposal(label, places[0] * stride, end, pytest.approx(sure)))
    assert grouped(moments, stride, num_frames) == expected


PROPOSALS = st.lists(
    st.builds(
        lambda label, start, length, sure: Proposal(label, start, start + length, sure),
        st.integers(0, 1),
        st.integers(0, 40),
        st.integers(0, 30),
        st.sampled_from([0.5, 0.7, 0.9]),
    ),
    max_size=12,
    unique=True,
)


def overlap(one, other):
    """Of the frames, the last ones included."""
    width = max(one.end, other.end) + 1 - min(one.start, other.start)
    return (min(one.end, other.end) + 1 - max(one.start, other.start)) / width


@given(proposals=PROPOSALS, most=st.sampled_from([0.0, 0.3, 0.6, 1.0]))
def test_who_is_dropped_lies_under_somebody_surer(proposals, most):
    kept = suppress(proposals, most)
    assert kept == sorted(kept, key=lambda p: (p.start, p.end, p.label))
    assert set(kept) <= set(proposals)
    for one, other in itertools.combinations(kept, 2):
        assert one.label != other.label or overlap(one, other) <= most
    for dropped in set(proposals) - set(kept):
        assert any(
            k.label == dropped.label
            and k.confidence >= dropped.confidence
            and overlap(k, dropped) > most
            for k in kept
        )


def test_perfect_moments_give_a_perfect_score():
    moments = [(0, 0.9)] * 5 + [(0, 0.4)] * 3 + [(2, 0.8)] * 4
    rows = [[p.label + 1, p.start, p.end, p.confidence] for p in grouped(moments, 8, 96)]
    found = evaluate([rows], [[[1, 0, 39, 1], [3, 64, 95, 1]]], threshold=0.99)
    assert found["mAP_video"] == found["F1"] == 1.0


def test_probabilities_are_of_the_mean_logits():
    logits = np.log([[0.2, 0.8], [0.8, 0.2]])
    np.testing.assert_allclose(probabilities(logits), [0.5, 0.5])
    np.testing.assert_allclose(probabilities(np.array([[1000.0, -1000.0]])), [1, 0])
