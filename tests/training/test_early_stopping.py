"""Patience and improvements, counted by hand."""

import json
import math

import pytest

from rgb2ir_jax.training.early_stopping import METRICS, EarlyStopping


def feed(stopping, values, metric="test/top1", every=10):
    return [stopping.update(every * (i + 1), {metric: value}) for i, value in enumerate(values)]


def test_it_ends_after_so_many_steps_without_an_improvement():
    stopping = EarlyStopping("test/top1", patience=20)
    assert feed(stopping, [0.1, 0.3, 0.3, 0.2]) == [False, False, False, True]
    assert stopping.best == {"metric": "test/top1", "step": 20, "value": 0.3}


def test_without_patience_it_never_ends():
    assert not any(feed(EarlyStopping("test/top1"), [0.5] * 50))


def test_a_small_gain_is_the_best_and_no_improvement():
    stopping = EarlyStopping("test/top1", patience=20, min_delta=0.1)
    assert feed(stopping, [0.5, 0.55, 0.59]) == [False, False, True]
    assert stopping.best["value"] == 0.59


def test_a_loss_improves_downwards():
    stopping = EarlyStopping("test/loss", patience=20)
    assert feed(stopping, [2.0, 1.0, 1.5, 3.0], "test/loss") == [False, False, False, True]
    assert stopping.best["step"] == 20


def test_no_number_is_no_improvement():
    stopping = EarlyStopping("test/top1", patience=20)
    assert feed(stopping, [math.nan, math.nan]) == [False, True]
    assert stopping.best is None


@pytest.mark.parametrize("metric", METRICS)
def test_what_it_knows_survives_json(metric):
    values = [0.1, 0.4, 0.3, 0.2, 0.2]
    whole = EarlyStopping(metric, patience=30)
    expected = feed(whole, values, metric)
    for cut in range(len(values)):
        first = EarlyStopping(metric, patience=30)
        feed(first, values[:cut], metric)
        second = EarlyStopping(metric, patience=30)
        second.restore(json.loads(json.dumps(first.state())))
        found = [second.update(10 * (i + 1), {metric: values[i]}) for i in range(cut, len(values))]
        assert found == expected[cut:]
        assert second.best == whole.best
