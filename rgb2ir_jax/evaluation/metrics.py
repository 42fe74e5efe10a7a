"""Accuracy figures of a classifier from its logits."""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.metrics import average_precision_score, confusion_matrix


@dataclasses.dataclass(frozen=True)
class ClassificationMetrics:
    """How well logits name the classes of a test set. All accuracies are fractions in [0, 1].

    Attributes:
        examples: number of examples judged.
        top1: share of examples whose largest logit is the label's.
        top5: share of examples whose label is among the five largest logits, or among all where
            there are fewer than five classes.
        mean_class_accuracy: mean of `per_class_accuracy` over the classes that have examples.
        mAP_classification: mean over the classes that have examples of the average precision of
            "this class or another", examples ranked by the class's softmax (scikit-learn's
            definition).
        per_class_accuracy: (class,) share of each class's examples that are right, NaN for a class
            without examples.
        confusion: (true, predicted) number of examples.
    """

    examples: int
    top1: float
    top5: float
    mean_class_accuracy: float
    mAP_classification: float  # noqa: N815 - the literature's spelling
    per_class_accuracy: Float[np.ndarray, " classes"]
    confusion: Int[np.ndarray, "classes classes"]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values; the accuracy of a class without examples is None."""
        return {
            "examples": self.examples,
            "top1": self.top1,
            "top5": self.top5,
            "mean_class_accuracy": self.mean_class_accuracy,
            "mAP_classification": self.mAP_classification,
            "per_class_accuracy": [
                None if math.isnan(value) else value for value in self.per_class_accuracy.tolist()
            ],
            "confusion": self.confusion.tolist(),
        }


def classification_metrics(
    logits: Float[np.ndarray, "example classes"], labels: Int[np.ndarray, " example"]
) -> ClassificationMetrics:
    """Judges logits by their labels; padding must have been removed.

    Equal logits are ranked by class number, as `numpy.argmax` does, so that a network that has
    collapsed to a constant gets one guess an example and not all of them.

    Args:
        logits: (example, class).
        labels: (example,) class numbers.

    Raises:
        ValueError: when there is no example, the numbers of rows differ, a label is not a class
            number or a logit is not finite.
    """
    if logits.ndim != 2 or labels.ndim != 1 or len(logits) != len(labels):
        raise ValueError(
            f"Found logits of shape {logits.shape} and labels of shape {labels.shape}; expected "
            "(examples, classes) and (examples,)."
        )
    examples, classes = logits.shape
    if examples == 0:
        raise ValueError("There is no example to judge: the test split is empty.")
    wrong_labels = np.unique(labels[(labels < 0) | (labels >= classes)])
    if wrong_labels.size:
        raise ValueError(
            f"Found labels {wrong_labels.tolist()} with {classes} logits; expected 0 to "
            f"{classes - 1}. The data set and the network disagree on the number of classes."
        )
    broken = int(np.count_nonzero(~np.isfinite(logits).all(axis=1)))
    if broken:
        raise ValueError(
            f"The logits of {broken} of {examples} examples are NaN or infinite: the network has "
            "diverged. Lower the learning rate or the loss weights."
        )

    of_label = np.take_along_axis(logits, labels[:, None].astype(np.int64), axis=1)
    precedes = np.arange(classes)[None, :] < labels[:, None]
    rank = np.sum((logits > of_label) | ((logits == of_label) & precedes), axis=1)
    confusion = confusion_matrix(labels, np.argmax(logits, axis=1), labels=np.arange(classes))
    of_class = confusion.sum(axis=1)
    per_class = np.full(classes, np.nan)
    np.divide(np.diagonal(confusion), of_class, out=per_class, where=of_class > 0)
    return ClassificationMetrics(
        examples=examples,
        top1=float(np.mean(rank < 1)),
        top5=float(np.mean(rank < min(5, classes))),
        mean_class_accuracy=float(np.nanmean(per_class)),
        mAP_classification=_mean_average_precision(logits, labels),
        per_class_accuracy=per_class,
        confusion=confusion.astype(np.int64),
    )


def _mean_average_precision(
    logits: Float[np.ndarray, "example classes"], labels: Int[np.ndarray, " example"]
) -> float:
    # The softmax's logarithm ranks as the softmax does, and far below its underflow.
    scores = logits - np.logaddexp.reduce(logits.astype(np.float64), axis=1, keepdims=True)
    present = np.unique(labels)
    precisions = [average_precision_score(labels == name, scores[:, name]) for name in present]
    return float(np.mean(precisions))
