"""Whether a network is as often right as it says.

Guo et al., "On calibration of modern neural networks", ICML 2017, equations 2 and 3.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int

BINS = 15


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy in bins of equal width over [0, 1]; the data of a reliability diagram.

    A bin holds the examples whose largest softmax lies above its lower and not above its upper
    edge.

    Attributes:
        count: (bin,) number of examples.
        confidence: (bin,) mean of their largest softmax, 0 for an empty bin.
        accuracy: (bin,) share of them that is right, 0 for an empty bin.
        expected_calibration_error: mean over the examples of their bin's |accuracy - confidence|.
    """

    count: Int[np.ndarray, " bins"]
    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    expected_calibration_error: float

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values, by the attributes' names."""
        return {
            "count": self.count.tolist(),
            "confidence": self.confidence.tolist(),
            "accuracy": self.accuracy.tolist(),
            "expected_calibration_error": self.expected_calibration_error,
        }


def confidences(
    logits: Float[np.ndarray, "example classes"],
) -> Float[np.ndarray, " example"]:
    """The largest softmax of each example, in float64."""
    wide = logits.astype(np.float64)
    return 1.0 / np.sum(np.exp(wide - wide.max(axis=1, keepdims=True)), axis=1)


def bin_numbers(
    confidence: Float[np.ndarray, " example"], bins: int = BINS
) -> Int[np.ndarray, " example"]:
    """The bin of each confidence in (0, 1], counted from 0."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def reliability(
    logits: Float[np.ndarray, "example classes"],
    labels: Int[np.ndarray, " example"],
    bins: int = BINS,
) -> Reliability:
    """Compares confidence with accuracy.

    Args:
        logits: (example, class), finite.
        labels: (example,) class numbers.
        bins: number of bins.

    Raises:
        ValueError: there is no example or no bin.
    """
    if len(logits) == 0 or bins < 1:
        raise ValueError(
            f"Found {len(logits)} examples and {bins} bins; expected at least one of each."
        )
    confidence = confidences(logits)
    right = np.argmax(logits, axis=1) == labels
    number = bin_numbers(confidence, bins)
    count = np.bincount(number, minlength=bins)
    sums = [np.bincount(number, values, minlength=bins) for values in (confidence, right)]
    mean_confidence, accuracy = (total / np.maximum(count, 1) for total in sums)
    gap = np.abs(sums[1] - sums[0]).sum() / len(logits)
    return Reliability(count, mean_confidence, accuracy, float(gap))
