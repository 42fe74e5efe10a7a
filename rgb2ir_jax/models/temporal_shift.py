"""Temporal shift: Lin et al., "TSM: Temporal shift module", ICCV 2019, arXiv:1811.08383."""

import jax.numpy as jnp
from jaxtyping import Array, Float

DIVISOR = 8
"""An eighth of the channels moves each way, as in the paper's sec. 3.2."""


def temporal_shift(
    frames: Float[Array, "frame height width channel"], segments: int
) -> Float[Array, "frame height width channel"]:
    """Exchanges channels between neighbouring segments of each clip.

    The first eighth of the channels comes from the next segment, the second eighth from the one
    before, the rest stays; what comes from beyond the clip's ends is zero. With fewer than eight
    channels nothing moves. The order is that of the authors' code, so that their weights fit.

    Args:
        frames: the segments of one clip after those of the other.
        segments: of each clip.

    Raises:
        ValueError: the frames are no whole number of clips.
    """
    count, height, width, channels = frames.shape
    if segments < 1 or count % segments:
        raise ValueError(f"{count} frames are no whole number of clips of {segments} segments")
    clips = frames.reshape(count // segments, segments, height, width, channels)
    fold = channels // DIVISOR
    nothing = ((0, 0), (0, 0), (0, 0), (0, 0))
    later = jnp.pad(clips[:, 1:, ..., :fold], (nothing[0], (0, 1), *nothing[:3]))
    earlier = jnp.pad(clips[:, :-1, ..., fold : 2 * fold], (nothing[0], (1, 0), *nothing[:3]))
    shifted = jnp.concatenate([later, earlier, clips[..., 2 * fold :]], axis=-1)
    return shifted.reshape(frames.shape)
