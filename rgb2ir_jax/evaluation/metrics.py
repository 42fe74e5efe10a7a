"""Accuracy figures of a classifier from its logits."""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rgb2ir_jax.evaluation.calibration import reliability
from rgb2ir_jax.evaluation.pku_detection import mean_average_precision_of_clips


@dataclasses.dataclass(frozen=True)
class ClassificationMetrics:
    """How well logits name the classes of a test set. All accuracies are fractions in [0, 1].

    Means over classes are over those that have examples.

    Attributes:
        examples: number of examples judged.
        top1: share of examples whose largest logit is the label's.
        top5: share of examples whose label is among the five largest logits, or among all where
            there are fewer than five classes.
        mean_class_accuracy: mean of `per_class_accuracy`, which is also the macro recall.
        macro_precision: mean of `precision`.
        macro_f1: mean of `f1`.
        mAP_classification: mean over the classes of the average precision of "this class or
            another", examples ranked by the class's softmax (scikit-learn's definition).
        mAP_detection: PKU-MMD's official `mAP_action` with the clips' own segments as proposals,
            see `pku_detection.mean_average_precision_of_clips`; the mean is over all classes, as
            the owners take it.
        ece: expected calibration error over 15 bins of equal width, see `calibration`.
        per_class_accuracy: (class,) share of each class's examples that are right, its recall; NaN
            for a class without examples.
        precision: (class,) share of the examples given to a class that are of it; 0 for a class
            that is never named, NaN if it has no examples either.
        f1: (class,) 2 right / (examples of the class + examples given to it); NaN as `precision`.
        confusion: (true, predicted) number of examples.
    """

    examples: int
    top1: float
    top5: float
    mean_class_accuracy: float
    macro_precision: float
    macro_f1: float
    mAP_classification: float  # noqa: N815 - the literature's spelling
    mAP_detection: float  # noqa: N815
    ece: float
    per_class_accuracy: Float[np.ndarray, " classes"]
    precision: Float[np.ndarray, " classes"]
    f1: Float[np.ndarray, " classes"]
    confusion: Int[np.ndarray, "classes classes"]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values, by the attributes' names; NaN becomes None."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


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
    # It takes two seconds to load, which a training's first step need not wait for.
    from sklearn.metrics import confusion_matrix

    check_examples(logits, labels)
    examples, classes = logits.shape
    predictions = np.argmax(logits, axis=1)
    confusion = confusion_matrix(labels, predictions, labels=np.arange(classes)).astype(np.int64)
    right, of_class, named = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    occurs = of_class + named > 0
    recall = _ratio(right, of_class, of_class > 0)
    precision = _ratio(right, np.maximum(named, 1), occurs)
    f1 = _ratio(2 * right, of_class + named, occurs)
    present = of_class > 0
    log_softmax = _log_softmax(logits)
    confidences = np.exp(log_softmax.max(axis=1))
    return ClassificationMetrics(
        examples=examples,
        top1=top_k_accuracy(logits, labels, 1),
        top5=top_k_accuracy(logits, labels, 5),
        mean_class_accuracy=float(np.mean(recall[present])),
        macro_precision=float(np.mean(precision[present])),
        macro_f1=float(np.mean(f1[present])),
        mAP_classification=_mean_average_precision(log_softmax, labels),
        mAP_detection=mean_average_precision_of_clips(labels, predictions, confidences, classes),
        ece=reliability(logits, labels).expected_calibration_error,
        per_class_accuracy=recall,
        precision=precision,
        f1=f1,
        confusion=confusion,
    )


def check_examples(
    logits: Float[np.ndarray, "example classes"], labels: Int[np.ndarray, " example"]
) -> None:
    """Raises ValueError unless logits and labels can be judged; see `classification_metrics`."""
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


def label_ranks(
    logits: Float[np.ndarray, "example classes"], labels: Int[np.ndarray, " example"]
) -> Int[np.ndarray, " example"]:
    """How many classes come before the label, by logit and, of equal ones, by class number."""
    of_label = np.take_along_axis(logits, labels[:, None].astype(np.int64), axis=1)
    precedes = np.arange(logits.shape[1])[None, :] < labels[:, None]
    return np.sum((logits > of_label) | ((logits == of_label) & precedes), axis=1)


def top_k_accuracy(
    logits: Float[np.ndarray, "example classes"], labels: Int[np.ndarray, " example"], k: int
) -> float:
    """Share of the examples whose label is among the `k` largest logits."""
    return float(np.mean(label_ranks(logits, labels) < k))


def _ratio(numerator: np.ndarray, denominator: np.ndarray, defined: np.ndarray) -> np.ndarray:
    result = np.full(len(numerator), np.nan)
    return np.divide(numerator, denominator, out=result, where=defined)


def _log_softmax(logits: np.ndarray) -> Float[np.ndarray, "example classes"]:
    wide = logits.astype(np.float64)
    return wide - np.logaddexp.reduce(wide, axis=1, keepdims=True)


def _mean_average_precision(
    log_softmax: Float[np.ndarray, "example classes"], labels: Int[np.ndarray, " example"]
) -> float:
    from sklearn.metrics import average_precision_score

    # The softmax's logarithm ranks as the softmax does, and far below its underflow.
    present = np.unique(labels)
    precisions = [average_precision_score(labels == name, log_softmax[:, name]) for name in present]
    return float(np.mean(precisions))
