"""How far a test set's figures would scatter: bootstrap over its clips.

Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapters 6 and 13 (percentile
intervals). A resample is a vector of counts, how often each clip was drawn; every figure is
computed from the counts, for many resamples at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rgb2ir_jax.evaluation.calibration import BINS, bin_numbers, confidences
from rgb2ir_jax.evaluation.metrics import check_examples, label_ranks

RESAMPLES = 1000
LEVEL = 0.95
# Counts that are held at once.
_BLOCK = 2**21

Statistics = dict[str, Float[np.ndarray, " resample"]]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def resample_counts(
    examples: int, resamples: int, seed: int
) -> Iterator[Float[np.ndarray, "resample example"]]:
    """Draws `examples` of the examples with replacement, again and again.

    Args:
        examples: Size of the test set.
        resamples: Number of drawings.
        seed: All drawings follow from it.

    Yields:
        How often each example was drawn, for some of the drawings at a time.
    """
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // examples)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = rng.integers(0, examples, (rows, examples))
        drawn += examples * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * examples)
        yield counts.reshape(rows, examples).astype(np.float64)


class ResampledMetrics:
    """The figures of `ClassificationMetrics` as functions of how often each example counts.

    Args:
        logits: (example, class).
        labels: (example,) class numbers.

    Raises:
        ValueError: see `classification_metrics`.
    """

    def __init__(
        self, logits: Float[np.ndarray, "example classes"], labels: Int[np.ndarray, " example"]
    ):
        check_examples(logits, labels)
        classes = logits.shape[1]
        rank = label_ranks(logits, labels)
        right = (rank == 0).astype(np.float64)
        confidence = confidences(logits)
        self._shares = np.stack([right, rank < min(5, classes)], axis=1)
        self._label = np.eye(classes)[labels]
        self._named = np.eye(classes)[np.argmax(logits, axis=1)]
        self._right = self._label * right[:, None]
        self._bins = np.eye(BINS)[bin_numbers(confidence)] * (right - confidence)[:, None]
        wide = logits.astype(np.float64)
        scores = wide - np.logaddexp.reduce(wide, axis=1, keepdims=True)
        self._rankings = [
            _ranking(scores[:, name], labels == name) for name in np.unique(labels).tolist()
        ]
        self._present = np.unique(labels)

    def __call__(self, counts: Float[np.ndarray, "resample example"]) -> Statistics:
        """The figures of each resample; means over classes are over those that were drawn."""
        total = counts.sum(axis=1)
        top1, top5 = (counts @ self._shares / total[:, None]).T
        of_class, named, right = (
            counts @ table for table in (self._label, self._named, self._right)
        )
        drawn = of_class > 0
        recall = right / np.maximum(of_class, 1)
        f1 = 2 * right / np.maximum(of_class + named, 1)
        precisions = np.stack(
            [_average_precision(counts, ranking) for ranking in self._rankings], axis=1
        )
        return {
            "top1": top1,
            "top5": top5,
            "mean_class_accuracy": _mean(recall, drawn),
            "macro_f1": _mean(f1, drawn),
            "mAP_classification": _mean(precisions, drawn[:, self._present]),
            "ece": np.abs(counts @ self._bins).sum(axis=1) / total,
        }


def bootstrap_intervals(
    logits: Float[np.ndarray, "example classes"],
    labels: Int[np.ndarray, " example"],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile intervals of the figures over drawings of the test clips.

    They tell how much another test set of this size would change the figures of this very network;
    another training (another seed) is another matter.

    Args:
        logits: (example, class).
        labels: (example,) class numbers.
        resamples: Number of drawings.
        level: Share of the drawings that lie in the interval.
        seed: Of the drawings.

    Returns:
        Of top1, top5, mean_class_accuracy, macro_f1, mAP_classification and ece.

    Raises:
        ValueError: see `classification_metrics`.
    """
    metrics = ResampledMetrics(logits, labels)
    blocks = [metrics(counts) for counts in resample_counts(len(labels), resamples, seed)]
    return {
        name: percentile_interval(np.concatenate([block[name] for block in blocks]), level)
        for name in blocks[0]
    }


def percentile_interval(values: Float[np.ndarray, " resample"], level: float) -> Interval:
    """The middle share `level` of the values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


class _Ranking(NamedTuple):
    """A class's examples and others by falling score; equal scores end together."""

    order: Int[np.ndarray, " example"]
    positive: Float[np.ndarray, " example"]
    ends: Int[np.ndarray, " distinct"]


def _ranking(
    scores: Float[np.ndarray, " example"], positive: Bool[np.ndarray, " example"]
) -> _Ranking:
    order = np.argsort(-scores, kind="stable")
    falls = np.append(np.diff(scores[order]) != 0, True)
    return _Ranking(order, positive[order].astype(np.float64), np.flatnonzero(falls))


def _average_precision(
    counts: Float[np.ndarray, "resample example"], ranking: _Ranking
) -> Float[np.ndarray, " resample"]:
    """Sum of (rise of recall) * precision over the distinct scores; 0 without a positive."""
    ranked = counts[:, ranking.order]
    named = np.cumsum(ranked, axis=1)[:, ranking.ends]
    found = np.cumsum(ranked * ranking.positive, axis=1)[:, ranking.ends]
    rise = np.diff(found, axis=1, prepend=0.0)
    return np.sum(rise * found / np.maximum(named, 1), axis=1) / np.maximum(found[:, -1], 1)


def _mean(
    values: Float[np.ndarray, "resample classes"], counted: Bool[np.ndarray, "resample classes"]
) -> Float[np.ndarray, " resample"]:
    return np.sum(values * counted, axis=1) / counted.sum(axis=1)
