"""Several networks' scores of the same clips as one: late fusion, by a weighted sum.

Simonyan and Zisserman, "Two-stream convolutional networks for action recognition in videos", NIPS 2014,
average their streams' softmax scores; Wang et al., "Temporal Segment Networks", ECCV 2016, weigh them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

FUSIONS = ("probabilities", "logits")
"""What is summed."""


def fuse(
    logits: Sequence[Float[np.ndarray, "clip classes"]],
    weights: Sequence[Any],
    kind: str = "probabilities",
) -> Float[np.ndarray, "clip classes"]:
    """The fused class scores of clips, as logits, in float64.

    Args:
        logits: of each network, of the same clips in the same order.
        weights: one a network, finite and none below 0; only their ratios count.
        kind: "probabilities": the logarithms of the weighted mean of the networks' softmax, so that their
            softmax is that mean. "logits": the weighted mean of the logits.

    Raises:
        ValueError: there is no such kind, the weights are not that, or the shapes differ.
    """
    if kind not in FUSIONS:
        raise ValueError(f"fusion is {kind!r}, expected one of {', '.join(map(repr, FUSIONS))}")
    check_weights(weights)
    shapes = [scores.shape for scores in logits]
    if len(weights) != len(logits) or len(set(shapes)) != 1:
        raise ValueError(
            f"{len(weights)} weights for scores of {shapes}; expected one for each network, and the same "
            "clips and classes of each"
        )
    shares = np.asarray(weights, np.float64)
    shares = shares / shares.sum()
    # A weight of 0 has no logarithm.
    used = [
        (np.asarray(scores, np.float64), share)
        for scores, share in zip(logits, shares.tolist(), strict=True)
        if share
    ]
    if kind == "logits":
        return np.sum([share * scores for scores, share in used], axis=0)
    return np.logaddexp.reduce([_log_softmax(scores) + np.log(share) for scores, share in used])


def check_weights(weights: Sequence[Any]) -> None:
    """Raises ValueError unless these can weigh networks: finite, none below 0, and not all of them 0."""
    numbers = all(isinstance(w, int | float) and not isinstance(w, bool) for w in weights)
    if not (numbers and all(np.isfinite(w) and w >= 0 for w in weights) and any(weights)):
        raise ValueError(
            f"weights are {tuple(weights)!r}, expected finite numbers of 0 or more, not all 0"
        )


def _log_softmax(
    logits: Float[np.ndarray, "clip classes"],
) -> Float[np.ndarray, "clip classes"]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
