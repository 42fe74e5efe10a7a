"""Runs a network over the batches of a split and keeps each clip's logits once."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, UInt8

Predict = Callable[[Mapping[str, np.ndarray]], jax.Array]
LogitsOf = Callable[[Any, Array], Array]
Score = Callable[[Any, np.ndarray], jax.Array]


def make_scorer(logits_of: LogitsOf, mesh: Mesh, *, sub_clips: int = 1) -> Score:
    """Compiles the scores of a batch of clips, the same to the last bit for every size of batch.

    The clips are shared out to the devices, and each device looks at one view after the other. A
    clip's logits then come out of one and the same computation whatever stands beside it in the
    batch, and however many devices there are; a batched convolution would add up in another order
    for another size. Memory holds the activations of one view.

    Args:
        logits_of: the network in evaluation mode: its variables and the frames of one clip, uint8
            (1, time, height, width, channel), to its logits (1, class).
        mesh: the devices, in one axis.
        sub_clips: the segments are dealt out to so many clips, each of which spans the whole time,
            for networks that mix the segments of a clip; see `Protocol.sub_clips`.

    Returns:
        A function of the variables and of a batch of uint8 frames, (clip, time, height, width,
        channel) or, with several crops, (clip, view, time, height, width, channel), the clips a
        multiple of the devices, to float32 logits (clip, class): the mean over all views.
    """
    (axis,) = mesh.axis_names
    by_clip, everywhere = PartitionSpec(axis), PartitionSpec()

    def score_view(
        variables: Any, frames: UInt8[Array, "time height width channel"]
    ) -> Float[Array, " classes"]:
        return logits_of(variables, frames[None])[0].astype(jnp.float32)

    def score_clip(
        variables: Any, frames: UInt8[Array, "*view time height width channel"]
    ) -> Float[Array, " classes"]:
        if frames.ndim == 4 and sub_clips == 1:
            return score_view(variables, frames)
        time, *picture = frames.shape[-4:]
        dealt = frames.reshape(-1, time // sub_clips, sub_clips, *picture).swapaxes(1, 2)
        views = dealt.reshape(-1, *dealt.shape[2:])
        logits = jax.lax.map(lambda view: score_view(variables, view), views)
        return jnp.mean(logits, axis=0)

    def score(
        variables: Any, clips: UInt8[Array, "clip *view time height width channel"]
    ) -> Float[Array, "clip classes"]:
        return jax.lax.map(lambda frames: score_clip(variables, frames), clips)

    return jax.jit(
        jax.shard_map(
            score,
            mesh=mesh,
            in_specs=(everywhere, by_clip),
            out_specs=by_clip,
            # Networks start their sums from plain zeros, which the check would have declared.
            check_vma=False,
        ),
        in_shardings=(NamedSharding(mesh, everywhere), NamedSharding(mesh, by_clip)),
    )


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
