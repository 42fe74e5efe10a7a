"""Runs a network over the batches of a split and keeps each clip's logits once."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, UInt8

Predict = Callable[[Mapping[str, np.ndarray]], jax.Array | np.ndarray]
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
        mesh: the devices.
        sub_clips: the segments are dealt out to so many clips, each of which spans the whole time,
            for networks that mix the segments of a clip; see `Protocol.sub_clips`.

    Returns:
        A function of the variables and of a batch of uint8 frames, (clip, time, height, width,
        channel) or, with several crops, (clip, view, time, height, width, channel), the clips a
        multiple of the devices, to float32 logits (clip, class): the mean over all views. Of
        several processes each gives its own clips, see `predict_split`.
    """
    by_clip, everywhere = PartitionSpec(mesh.axis_names), PartitionSpec()

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

    compiled = jax.jit(
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
    if jax.process_count() == 1 and len(mesh.axis_names) == 1:
        return compiled

    def score_own(variables: Any, clips: np.ndarray) -> jax.Array:
        # A classifier that is split over a model axis is put together again.
        variables = jax.device_put(variables, NamedSharding(mesh, everywhere))
        own = jax.make_array_from_process_local_data(NamedSharding(mesh, by_clip), clips)
        return compiled(variables, own)

    return score_own


def predict_split(
    predict: Predict, batches: Iterable[Mapping[str, np.ndarray]], *, limit: int = 0
) -> tuple[Float[np.ndarray, "clip cls"], Int[np.ndarray, " clip"]]:
    """Logits and labels of every clip in the batches, padding left out by the batches' mask.

    Of several processes each brings its rows of every batch, and all get the clips of all.

    Args:
        predict: a batch of host arrays to its (B, C) logits, on the devices or not.
        batches: with `label` and `mask` entries; the mask is 0 where a batch was filled up, which
            none but the last one may be.
        limit: stop when so many clips were seen; 0 for all.

    Returns:
        (N, C) float32 logits and (N,) labels, in the order of the batches.
    """
    found: list[_Rows] = []
    rows = 0
    pending: tuple[jax.Array | np.ndarray, np.ndarray, np.ndarray] | None = None

    def collect(item: tuple[jax.Array | np.ndarray, np.ndarray, np.ndarray]) -> None:
        output, label, mask = item
        found.append(_Rows(_own_rows(output), label, mask))

    for batch in batches:
        # One batch is computed while the next one is read: fetch the result a step later.
        item = (predict(batch), np.asarray(batch["label"]), np.asarray(batch["mask"]) > 0)
        if pending is not None:
            collect(pending)
        pending = item
        rows += len(item[2]) * jax.process_count()
        # Padding is in the last batch alone, after which there is none: all processes stop alike.
        if limit and rows >= limit:
            break
    if pending is None:
        raise ValueError("there are no clips to predict: the batches are empty")
    collect(pending)
    logits, labels, mask = _of_all_processes(found)
    end = limit or None
    return logits[mask][:end], labels[mask][:end]


class _Rows(NamedTuple):
    """Logits, labels and mask of some clips."""

    logits: np.ndarray
    labels: np.ndarray
    mask: np.ndarray


def _own_rows(logits: jax.Array | np.ndarray) -> Float[np.ndarray, "clip cls"]:
    """The rows of this process."""
    if not isinstance(logits, jax.Array) or logits.is_fully_addressable:
        return np.asarray(logits, np.float32)
    shards = sorted(logits.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(shard.data, np.float32) for shard in shards])


def _of_all_processes(found: list[_Rows]) -> _Rows:
    """Puts the batches, and within each the processes, one after the other."""
    if jax.process_count() == 1:
        return _Rows(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))
    own = _Rows(*(np.stack(arrays) for arrays in zip(*found, strict=True)))
    everyones = multihost_utils.process_allgather(own)  # (process, batch, row, ...)
    return _Rows(*(array.swapaxes(0, 1).reshape(-1, *array.shape[3:]) for array in everyones))
