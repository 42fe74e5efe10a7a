"""Runs a network over the batches of a split and keeps each clip's logits once."""

from collections.abc import Callable, Iterable, Mapping

import jax
import numpy as np
from jaxtyping import Float, Int

Predict = Callable[[Mapping[str, np.ndarray]], jax.Array]


def predict_split(
    predict: Predict, batches: Iterable[Mapping[str, np.ndarray]], *, limit: int = 0
) -> tuple[Float[np.ndarray, "clip cls"], Int[np.ndarray, " clip"]]:
    """Logits and labels of every clip in the batches, padding left out by the batches' mask.

    Args:
        predict: a batch of host arrays to its (B, C) logits on the devices.
        batches: with `label` and `mask` entries; the mask is 0 where a batch was filled up.
        limit: stop when so many clips were seen; 0 for all.

    Returns:
        (N, C) float32 logits and (N,) labels, in the order of the batches.
    """
    logits: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    seen = 0
    pending: tuple[jax.Array, np.ndarray, np.ndarray] | None = None

    def collect(item: tuple[jax.Array, np.ndarray, np.ndarray]) -> None:
        output, label, mask = item
        logits.append(np.asarray(output, np.float32)[mask])
        labels.append(label[mask])

    for batch in batches:
        # One batch is computed while the next one is read: fetch the result a step later.
        item = (predict(batch), np.asarray(batch["label"]), np.asarray(batch["mask"]) > 0)
        if pending is not None:
            collect(pending)
        pending = item
        seen += int(item[2].sum())
        if limit and seen >= limit:
            break
    if pending is None:
        raise ValueError("there are no clips to predict: the batches are empty")
    collect(pending)
    end = limit or None
    return np.concatenate(logits)[:end], np.concatenate(labels)[:end]
