"""Calibration against counting by hand and a direct reading of its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from rgb2ir_jax.evaluation.calibration import bin_numbers, reliability


@given(seed=st.integers(0, 2**32 - 1), examples=st.integers(1, 80), classes=st.integers(2, 8))
def test_the_definition(seed, examples, classes):
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(examples, classes)).astype(np.float32)
    labels = rng.integers(0, classes, examples)

    found = reliability(logits, labels)

    probabilities = softmax(logits.astype(np.float64), axis=1)
    gap = 0.0
    for low in range(15):
        inside = (probabilities.max(axis=1) > low / 15) & (
            probabilities.max(axis=1) <= (low + 1) / 15
        )
        assert found.count[low] == inside.sum()
        if inside.any():
            accuracy = np.mean(probabilities.argmax(axis=1)[inside] == labels[inside])
            confidence = probabilities.max(axis=1)[inside].mean()
            assert found.accuracy[low] == pytest.approx(accuracy)
            assert found.confidence[low] == pytest.approx(confidence)
            gap += inside.mean() * abs(accuracy - confidence)
    assert found.expected_calibration_error == pytest.approx(gap, abs=1e-12)


def test_certain_networks():
    sure = np.array([[1000.0, -1000.0]] * 4, np.float32)
    assert reliability(sure, np.zeros(4, int)).expected_calibration_error == 0.0
    assert reliability(sure, np.array([0, 0, 0, 1])).expected_calibration_error == 0.25
    constant = reliability(np.zeros((4, 4), np.float32), np.arange(4))
    assert constant.expected_calibration_error == 0.0
    assert constant.count.tolist() == [0, 0, 0, 4, *[0] * 11]


def test_edges_belong_to_the_lower_bin():
    assert bin_numbers(np.array([0.0, 1e-9, 0.2, 0.2001, 0.5, 1.0]), 5).tolist() == [
        0, 0, 0, 1, 2, 4,
    ]  # fmt: skip


@pytest.mark.parametrize(("examples", "bins"), [(0, 15), (3, 0)])
def test_nothing_to_compare_is_an_error(examples, bins):
    with pytest.raises(ValueError, match="at least one of each"):
        reliability(np.zeros((examples, 2), np.float32), np.zeros(examples, int), bins)
