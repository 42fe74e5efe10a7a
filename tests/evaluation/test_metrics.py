"""Metrics against scikit-learn on random inputs, and the cases where it has no opinion."""

import json

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.evaluation.metrics import classification_metrics, top_k_accuracy


def _average_precision(logits, labels, name):
    """By the definition: the mean, over the class's examples, of the precision at their rank."""
    likelihood = np.exp(logits.astype(np.float64))
    scores = likelihood[:, name] / likelihood.sum(axis=1)
    return np.mean(
        [np.mean(labels[scores >= scores[i]] == name) for i in np.flatnonzero(labels == name)]
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    examples=st.integers(1, 60),
    classes=st.integers(2, 12),
)
def test_agrees_with_scikit_learn(seed: int, examples: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, examples)
    logits = rng.normal(size=(examples, classes)).astype(np.float32)
    logits[np.arange(examples), labels] += 1.0

    metrics = classification_metrics(logits, labels)

    predicted = logits.argmax(axis=1)
    names = np.arange(classes)
    assert metrics.examples == examples
    assert metrics.top1 == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    if classes > 5:
        expected = sklearn.metrics.top_k_accuracy_score(labels, logits, k=5, labels=names)
        assert metrics.top5 == pytest.approx(expected)
    else:
        assert metrics.top5 == 1.0
    present = np.unique(labels)
    recall = sklearn.metrics.recall_score(labels, predicted, labels=present, average=None)
    np.testing.assert_allclose(metrics.per_class_accuracy[present], recall)
    assert metrics.mean_class_accuracy == pytest.approx(np.mean(recall))
    precisions = [_average_precision(logits, labels, name) for name in present]
    assert metrics.mAP_classification == pytest.approx(np.mean(precisions))
    absent = np.setdiff1d(names, present)
    assert np.isnan(metrics.per_class_accuracy[absent]).all()
    # A class that is never named has precision 0, as scikit-learn's zero_division=0 has it.
    fields = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=names, zero_division=0
    )
    occurs = np.union1d(labels, predicted)
    np.testing.assert_allclose(metrics.precision[occurs], fields[0][occurs])
    np.testing.assert_allclose(metrics.f1[occurs], fields[2][occurs])
    unseen = np.setdiff1d(names, occurs)
    assert np.isnan(metrics.precision[unseen]).all()
    assert np.isnan(metrics.f1[unseen]).all()
    macro = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=present, average="macro", zero_division=0
    )
    assert (metrics.macro_precision, metrics.mean_class_accuracy, metrics.macro_f1) == (
        pytest.approx(macro[:3])
    )
    counted = np.zeros((classes, classes), int)
    for true, guess in zip(labels, predicted, strict=True):
        counted[true, guess] += 1
    np.testing.assert_array_equal(metrics.confusion, counted)


def test_classes_without_examples_are_none_in_json_and_out_of_the_mean() -> None:
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 3.0], [5.0, 1.0, 3.0]])
    metrics = classification_metrics(logits, np.array([0, 2, 2]))

    found = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))

    assert found == {
        "examples": 3,
        "top1": pytest.approx(2 / 3),
        "top5": 1.0,
        "mean_class_accuracy": 0.75,
        "macro_precision": 0.75,
        "macro_f1": pytest.approx((2 / 3 + 2 / 3) / 2),
        "mAP_classification": pytest.approx((1 / 2 + 1) / 2),
        # By hand: of class 0 the surer proposal is the wrong one, P = 1/2 throughout; of class 2
        # one of two is found, P = 1; class 1 has no clip and counts 0.
        "mAP_detection": pytest.approx((1 / 2 + 1 / 2 + 0) / 3),
        "ece": pytest.approx(metrics.ece),
        "per_class_accuracy": [1.0, None, 0.5],
        "precision": [0.5, None, 1.0],
        "f1": [pytest.approx(2 / 3), None, pytest.approx(2 / 3)],
        "confusion": [[1, 0, 0], [0, 0, 0], [1, 0, 1]],
    }


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_top_k_agrees_with_scikit_learn(k: int) -> None:
    rng = np.random.default_rng(k)
    logits, labels = rng.normal(size=(200, 8)).astype(np.float32), rng.integers(0, 8, 200)
    expected = sklearn.metrics.top_k_accuracy_score(labels, logits, k=k, labels=np.arange(8))
    assert top_k_accuracy(logits, labels, k) == pytest.approx(expected)


def test_a_constant_network_gets_one_guess_an_example() -> None:
    metrics = classification_metrics(np.zeros((20, 10)), np.repeat(np.arange(10), 2))
    assert metrics.top1 == pytest.approx(0.1)
    assert metrics.top5 == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "no example"),
        (np.zeros((2, 3)), np.array([0, 3]), r"labels \[3\] with 3 logits"),
        (np.zeros((2, 3)), np.array([0, -1]), r"labels \[-1\]"),
        (np.array([[0.0, np.nan], [0.0, 1.0]]), np.array([0, 1]), "1 of 2 examples are NaN"),
    ],
)
def test_input_that_makes_no_sense_is_named(
    logits: np.ndarray, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        classification_metrics(logits, labels)
