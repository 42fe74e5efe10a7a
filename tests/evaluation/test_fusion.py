"""Late fusion against NumPy in float64, SciPy and scikit-learn's voting."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression

from rgb2ir_jax.evaluation.fusion import fuse
from rgb2ir_jax.evaluation.metrics import classification_metrics


def scores(seed, networks=3, clips=20, classes=5, spread=4.0):
    rng = np.random.default_rng(seed)
    return list((spread * rng.standard_normal((networks, clips, classes))).astype(np.float32))


@given(
    seed=st.integers(0, 2**32),
    weights=st.lists(st.floats(0.01, 100), min_size=3, max_size=3),
)
def test_probabilities_and_logits_are_weighted_means(seed, weights):
    logits = scores(seed)
    shares = np.array(weights) / sum(weights)
    exact = [scipy.special.softmax(x.astype(np.float64), axis=1) for x in logits]
    found = fuse(logits, weights)
    np.testing.assert_allclose(np.exp(found), np.tensordot(shares, exact, 1), rtol=1e-10)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)
    expected = np.tensordot(shares, np.stack(logits).astype(np.float64), 1)
    np.testing.assert_allclose(fuse(logits, weights, "logits"), expected, rtol=1e-9, atol=1e-9)


def test_it_is_what_soft_voting_says():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 6)), rng.integers(0, 4, 200)
    members = [(str(c), LogisticRegression(C=c, max_iter=500)) for c in (0.01, 1.0, 100.0)]
    weights = [1.0, 2.0, 0.5]
    voting = VotingClassifier(members, voting="soft", weights=weights).fit(x, y)
    logits = [member.decision_function(x) for member in voting.estimators_]
    found = fuse(logits, weights)
    np.testing.assert_allclose(np.exp(found), voting.predict_proba(x), rtol=1e-9)
    metrics = classification_metrics(found, y)
    assert metrics.top1 == pytest.approx(voting.score(x, y))


def test_a_weight_of_0_leaves_a_network_out_and_far_apart_scores_stay_finite():
    logits = scores(1)
    only = fuse(logits, (0, 1, 0))
    np.testing.assert_allclose(only, scipy.special.log_softmax(logits[1].astype(float), axis=1))
    np.testing.assert_array_equal(fuse(logits, (0, 2.0, 0), "logits"), logits[1])
    np.testing.assert_allclose(fuse(logits, (1, 2, 3)), fuse(logits, (10, 20, 30)), rtol=1e-12)
    far = [np.array([[3e4, -3e4]], np.float32), np.array([[2e4, -2e4]], np.float32)]
    assert np.isfinite(fuse(far, (1, 1))).all()


@pytest.mark.parametrize(
    ("weights", "kind", "message"),
    [
        ((1, 1, 1), "votes", "fusion is 'votes', expected one of 'probabilities', 'logits'"),
        ((1, -1, 1), "logits", "expected finite numbers of 0 or more, not all 0"),
        ((0, 0, 0), "logits", "not all 0"),
        ((1, float("nan"), 1), "probabilities", "expected finite numbers"),
        ((1, "1", 1), "probabilities", "expected finite numbers"),
        ((1, 1), "probabilities", "2 weights for scores of"),
    ],
)
def test_what_cannot_be_fused_is_refused(weights, kind, message):
    with pytest.raises(ValueError, match=message):
        fuse(scores(2), weights, kind)


def test_scores_of_other_clips_are_refused():
    one, two, three = scores(3)
    with pytest.raises(ValueError, match="the same clips and classes"):
        fuse([one, two, three[1:]], (1, 1, 1))
