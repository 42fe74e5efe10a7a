"""Which frames of a clip are read: temporal segment sampling by relative position.

Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.1: a clip is cut into T equal
segments and each gives one frame, a random one in training and the middle one in testing. Positions
are relative, so that two videos of one action that differ in their count of frames are read at the
same moments.
"""

import numpy as np
from jaxtyping import Float64, Int64


def random_positions(rng: np.random.Generator, segments: int) -> Float64[np.ndarray, " segment"]:
    """Draws one moment in each of `segments` equal parts of a clip.

    Args:
        rng: Source of randomness; `segments` numbers are drawn from it.
        segments: Number of parts, at least 1.

    Returns:
        Moments in [0, 1), rising; the k-th lies in [k / segments, (k + 1) / segments).
    """
    positions = (np.arange(segments) + rng.random(segments)) / segments
    # Rounding may lift a moment to the next segment's first.
    return np.minimum(positions, np.nextafter(np.arange(1, segments + 1) / segments, 0))


def center_positions(segments: int) -> Float64[np.ndarray, " segment"]:
    """Returns the middle of each of `segments` equal parts of a clip.

    Args:
        segments: Number of parts, at least 1.

    Returns:
        Moments in (0, 1), rising.
    """
    return (np.arange(segments) + 0.5) / segments


def frame_indices(
    positions: Float64[np.ndarray, " segment"], num_frames: int
) -> Int64[np.ndarray, " segment"]:
    """Returns the frames that are shown at some moments: `floor(position * num_frames)`.

    A video of fewer frames than moments shows some of its frames more than once.

    Args:
        positions: Moments in [0, 1).
        num_frames: Number of frames of the video, at least 1.

    Returns:
        Indices in [0, num_frames).

    Raises:
        ValueError: the video has no frame.
    """
    if num_frames < 1:
        raise ValueError(f"a video of {num_frames} frames; expected at least 1")
    return np.minimum(np.floor(positions * num_frames).astype(np.int64), num_frames - 1)
