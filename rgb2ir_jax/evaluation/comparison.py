"""Two networks on the same clips: where they agree, what one gains, and whether that is chance."""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rgb2ir_jax.evaluation.bootstrap import (
    LEVEL,
    RESAMPLES,
    Interval,
    ResampledMetrics,
    percentile_interval,
    resample_counts,
)
from rgb2ir_jax.evaluation.metrics import check_examples


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A network compared with another one; gains are its figures minus the other's, in [-1, 1].

    Attributes:
        examples: number of clips.
        agreement: share of the clips to which both give one class, right or wrong.
        both_right: number of clips that both get right.
        only_this_right: number of clips that this network alone gets right.
        only_other_right: number of clips that the other alone gets right.
        both_wrong: number of clips that neither gets right.
        gain: of each figure of `bootstrap.ResampledMetrics`, by its name.
        gain_interval: the bootstrap's interval of each gain, the same clips drawn for both.
        mcnemar_p: chance of so unequal counts of "only one right", or of more unequal ones, between
            equally good networks.
        per_class_gain: (class,) gain in the accuracy of each class; NaN without examples.
        per_class_p: (class,) `mcnemar_p` of each class's clips, not corrected for their number: of
            twenty classes one falls below 0.05 by chance alone.
    """

    examples: int
    agreement: float
    both_right: int
    only_this_right: int
    only_other_right: int
    both_wrong: int
    gain: dict[str, float]
    gain_interval: dict[str, Interval]
    mcnemar_p: float
    per_class_gain: Float[np.ndarray, " classes"]
    per_class_p: Float[np.ndarray, " classes"]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values, by the attributes' names; NaN becomes None."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain["gain_interval"] = {
            name: list(interval) for name, interval in self.gain_interval.items()
        }
        plain["per_class_gain"] = [
            None if math.isnan(gain) else gain for gain in self.per_class_gain.tolist()
        ]
        plain["per_class_p"] = self.per_class_p.tolist()
        return plain


def compare(
    logits: Float[np.ndarray, "example classes"],
    other_logits: Float[np.ndarray, "other_example other_classes"],
    labels: Int[np.ndarray, " example"],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Comparison:
    """Compares two networks' logits of the same clips.

    Args:
        logits: (example, class) of the network that may have gained.
        other_logits: (example, class) of the one that it is compared with.
        labels: (example,) class numbers.
        resamples: drawings of the bootstrap.
        level: of the bootstrap's intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: the shapes differ; see also `classification_metrics`.
    """
    if logits.shape != other_logits.shape:
        raise ValueError(
            f"Found logits of shapes {logits.shape} and {other_logits.shape}; two networks can be "
            "compared on the same clips and classes only."
        )
    check_examples(logits, labels)
    check_examples(other_logits, labels)
    named, other_named = np.argmax(logits, axis=1), np.argmax(other_logits, axis=1)
    right, other_right = named == labels, other_named == labels
    classes = logits.shape[1]
    of_class = np.bincount(labels, minlength=classes)
    only_this = np.bincount(labels[right & ~other_right], minlength=classes)
    only_other = np.bincount(labels[other_right & ~right], minlength=classes)
    per_class_gain = np.full(classes, np.nan)
    np.divide(only_this - only_other, of_class, out=per_class_gain, where=of_class > 0)
    gain, interval = _gains(logits, other_logits, labels, resamples, level, seed)
    return Comparison(
        examples=len(labels),
        agreement=float(np.mean(named == other_named)),
        both_right=int(np.sum(right & other_right)),
        only_this_right=int(only_this.sum()),
        only_other_right=int(only_other.sum()),
        both_wrong=int(np.sum(~right & ~other_right)),
        gain=gain,
        gain_interval=interval,
        mcnemar_p=mcnemar(int(only_this.sum()), int(only_other.sum())),
        per_class_gain=per_class_gain,
        per_class_p=np.array(
            [mcnemar(*pair) for pair in zip(only_this.tolist(), only_other.tolist(), strict=True)]
        ),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test, two-sided: are two networks right equally often?

    McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12, 1947. Of the n clips that exactly one of them gets right, the
    first one's number is binomial (n, 1/2) if they are equally good; p is twice the smaller tail, at
    most 1, and 1 for n = 0.

    Args:
        only_first: number of clips that only the first gets right.
        only_second: number of clips that only the second gets right.

    Raises:
        ValueError: a number is negative.
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"Found the counts {only_first} and {only_second}; expected 0 or more.")
    total = only_first + only_second
    # Whole numbers: no rounding before the last division, whatever the size of the test set.
    term = tail = 1
    for drawn in range(1, min(only_first, only_second) + 1):
        term = term * (total - drawn + 1) // drawn
        tail += term
    return 1.0 if 2 * tail >= 2**total else 2 * tail / 2**total


def _gains(
    logits: np.ndarray,
    other_logits: np.ndarray,
    labels: np.ndarray,
    resamples: int,
    level: float,
    seed: int,
) -> tuple[dict[str, float], dict[str, Interval]]:
    this, other = ResampledMetrics(logits, labels), ResampledMetrics(other_logits, labels)

    def difference(counts: np.ndarray) -> dict[str, np.ndarray]:
        first, second = this(counts), other(counts)
        return {name: first[name] - second[name] for name in first}

    once = difference(np.ones((1, len(labels))))
    blocks = [difference(counts) for counts in resample_counts(len(labels), resamples, seed)]
    return (
        {name: float(value[0]) for name, value in once.items()},
        {
            name: percentile_interval(np.concatenate([block[name] for block in blocks]), level)
            for name in once
        },
    )
