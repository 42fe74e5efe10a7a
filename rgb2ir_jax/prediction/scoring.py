"""Ways to compute the logits of clips: by the run's own scorer, or by an exported program.

All take uint8 frames (clip, time, height, width, channel), or (clip, view, time, ...) with several
crops, and give float32 logits (clip, class), the mean over the views.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from rgb2ir_jax.prediction.description import StudentDescription

if TYPE_CHECKING:
    from flax import nnx

    from rgb2ir_jax.models.network import NetworkSpec

Score = Callable[[np.ndarray], np.ndarray]

LARGE_BATCH = 8


class BatchedScore:
    """Scores any number of clips with programs of two sizes, since each further one is compiled anew.

    A batch that is not full is filled up with black clips. The first single clip does not wait for a
    large batch's worth of them.

    Args:
        score: for batches of `unit` and of `LARGE_BATCH * unit` clips.
        unit: a multiple of the devices.
    """

    def __init__(self, score: Score, unit: int = 1):
        self._score, self._unit = score, unit
        self._large_is_compiled = False

    def __call__(
        self, clips: UInt8[np.ndarray, "clip *view time height width channel"]
    ) -> Float[np.ndarray, "clip classes"]:
        """Returns the logits of the clips."""
        found, large = [], LARGE_BATCH * self._unit
        while len(clips):
            self._large_is_compiled |= len(clips) > self._unit
            size = large if self._large_is_compiled else self._unit
            chosen, clips = clips[:size], clips[size:]
            batch = np.zeros((size, *chosen.shape[1:]), np.uint8)
            batch[: len(chosen)] = chosen
            found.append(np.asarray(self._score(batch), np.float32)[: len(chosen)])
        return np.concatenate(found)


def network_score(
    network: "nnx.Module", spec: "NetworkSpec", description: StudentDescription, dtype: Any
) -> BatchedScore:
    """The scorer of the project's own tests: equal to `evaluate` to the last bit on the same frames.

    BatchNorm is therefore not folded here.

    Args:
        network: a `TSN` with its weights, computing in `dtype`.
        spec: of the network.
        description: which views there are.
        dtype: compute dtype.
    """
    import jax

    from rgb2ir_jax.evaluation.inference import make_scorer
    from rgb2ir_jax.training.sharding import make_mesh, replicated
    from rgb2ir_jax.training.state import Split, merge

    mesh = make_mesh()
    graph, variables = Split.of(network)
    placed = jax.device_put(variables, replicated(mesh))

    def logits_of(variables: Any, frames: Any) -> Any:
        return merge(graph, variables)(spec.normalise(frames, dtype), train=False).logits

    score = make_scorer(logits_of, mesh, sub_clips=description.sub_clips)
    return BatchedScore(lambda clips: np.asarray(score(placed, clips)), mesh.devices.size)


def program_score(run: Score, description: StudentDescription) -> BatchedScore:
    """Scores by an exported program, which knows one view of a clip.

    Args:
        run: the program: uint8 frames, or normalised ones where it wants them, (clip, time, height,
            width, channel) to logits (clip, class).
        description: what the program wants.
    """

    def score(clips: np.ndarray) -> np.ndarray:
        time, *picture = clips.shape[-4:]
        parts = description.sub_clips
        dealt = clips.reshape(len(clips), -1, time // parts, parts, *picture).swapaxes(2, 3)
        views = dealt.reshape(len(clips), -1, *dealt.shape[3:])
        # One view at a time of all clips: memory holds the activations of one view.
        by_view = [run(_fed(views[:, view], description)) for view in range(views.shape[1])]
        return np.stack(by_view).mean(axis=0, dtype=np.float32)

    return BatchedScore(score)


def _fed(
    frames: UInt8[np.ndarray, "clip time height width channel"], description: StudentDescription
) -> np.ndarray:
    frames = np.ascontiguousarray(frames)
    if description.preprocessing:
        return frames
    mean, std = (np.asarray(values, np.float32) for values in (description.mean, description.std))
    return (frames.astype(np.float32) / np.float32(255) - mean) / std
