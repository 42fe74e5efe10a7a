"""Comparisons against SciPy's binomial test and counting."""

import json

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.evaluation.comparison import compare, mcnemar
from rgb2ir_jax.evaluation.metrics import classification_metrics


@given(first=st.integers(0, 200), second=st.integers(0, 200))
def test_mcnemar_is_the_binomial_test(first, second):
    expected = scipy.stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (1, 5, 2 * 7 / 64), (0, 10, 2 / 1024)],
)
def test_mcnemar_by_hand(first, second, p):
    assert mcnemar(first, second) == mcnemar(second, first) == p


def test_mcnemar_of_a_large_test_set():
    assert 0 < mcnemar(2_000, 3_000) < 1e-40


def test_mcnemar_of_negative_counts_is_refused():
    with pytest.raises(ValueError, match="-1"):
        mcnemar(-1, 2)


def logits_of(classes):
    return np.eye(4, dtype=np.float32)[np.array(classes)]


def test_counts_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    this = logits_of([0, 0, 1, 1, 2, 2])
    other = logits_of([0, 1, 1, 2, 1, 0])

    found = compare(this, other, labels, resamples=50)

    assert (found.both_right, found.only_this_right) == (1, 3)
    assert (found.only_other_right, found.both_wrong) == (1, 1)
    assert found.agreement == 2 / 6
    assert found.gain["top1"] == pytest.approx(2 / 6)
    assert found.mcnemar_p == mcnemar(3, 1) == 0.625
    np.testing.assert_allclose(found.per_class_gain, [1 / 3, 0, 1, np.nan])
    np.testing.assert_allclose(found.per_class_p, [1, 1, 1, 1])
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["per_class_gain"] == [1 / 3, 0.0, 1.0, None]
    assert plain["examples"] == 6
    assert len(plain["gain_interval"]["top1"]) == 2


def test_gains_are_differences_of_the_metrics_and_their_intervals_are_paired():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 300)
    other = rng.normal(size=(300, 5)).astype(np.float32)
    this = other.copy()
    helped = rng.random(300) < 0.1
    this[helped, labels[helped]] += 9.0

    found = compare(this, other, labels, resamples=400)

    first, second = classification_metrics(this, labels), classification_metrics(other, labels)
    for name, gain in found.gain.items():
        assert gain == pytest.approx(getattr(first, name) - getattr(second, name), abs=1e-9)
    # This network is never wrong where the other is right: no drawing can turn the order.
    assert found.only_other_right == 0
    low, high = found.gain_interval["top1"]
    assert 0 < low < found.gain["top1"] < high
    # A pair of independent intervals would be as wide as the accuracies' own.
    assert high - low < 0.1


def test_a_network_is_as_good_as_itself():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(30, 3)).astype(np.float32), rng.integers(0, 3, 30)
    found = compare(logits, logits, labels, resamples=20)
    assert found.agreement == 1.0
    assert found.mcnemar_p == 1.0
    assert set(found.gain.values()) == {0.0}
    assert set(found.gain_interval.values()) == {(0.0, 0.0)}


def test_other_clips_are_refused():
    with pytest.raises(ValueError, match="same clips"):
        compare(np.zeros((3, 2)), np.zeros((4, 2)), np.zeros(3, int))
