"""The bootstrap's counts against figures of the drawn examples themselves."""

import numpy as np
import pytest
import scipy.stats

from rgb2ir_jax.evaluation.bootstrap import (
    ResampledMetrics,
    bootstrap_intervals,
    percentile_interval,
    resample_counts,
)
from rgb2ir_jax.evaluation.metrics import classification_metrics


def examples(seed, count, classes, *, ties=False):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)).astype(np.float32)
    logits[np.arange(count), labels] += 1
    return (np.round(logits) if ties else logits), labels


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("count", "classes"), [(40, 8), (9, 3)])
def test_counts_give_what_the_drawn_examples_give(count, classes, ties):
    logits, labels = examples(1, count, classes, ties=ties)
    drawn = np.random.default_rng(2).integers(0, count, (25, count))
    counts = np.stack([np.bincount(row, minlength=count) for row in drawn]).astype(float)

    found = ResampledMetrics(logits, labels)(counts)

    for number, row in enumerate(drawn):
        plain = classification_metrics(logits[row], labels[row])
        for name, values in found.items():
            assert values[number] == pytest.approx(getattr(plain, name), abs=1e-9), name


def test_each_drawing_has_as_many_examples():
    counts = np.concatenate(list(resample_counts(37, 500, seed=0)))
    assert counts.shape == (500, 37)
    assert (counts.sum(axis=1) == 37).all()
    # An example is left out with probability (1 - 1/n)^n.
    assert np.mean(counts == 0) == pytest.approx((1 - 1 / 37) ** 37, abs=0.01)


def test_many_drawings_come_in_blocks():
    blocks = list(resample_counts(2**19, 9, seed=0))
    assert [len(block) for block in blocks] == [4, 4, 1]


def test_the_interval_of_the_accuracy_is_the_binomials():
    logits, labels = examples(3, 400, 5)
    top1 = classification_metrics(logits, labels).top1

    found = bootstrap_intervals(logits, labels, resamples=4000, seed=5)["top1"]

    expected = scipy.stats.binom.ppf([0.025, 0.975], 400, top1) / 400
    np.testing.assert_allclose(found, expected, atol=1.5 / 400)


def test_the_seed_decides():
    logits, labels = examples(4, 50, 4)
    first, again, other = (
        bootstrap_intervals(logits, labels, resamples=200, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert set(first) == {
        "top1", "top5", "mean_class_accuracy", "macro_f1", "mAP_classification", "ece",
    }  # fmt: skip


def test_quantiles_of_known_values():
    assert percentile_interval(np.arange(101.0), 0.9) == pytest.approx((5, 95))


def test_broken_logits_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        bootstrap_intervals(np.full((2, 2), np.nan), np.array([0, 1]))
