"""Rotations, smooth interpolation and two-bone inverse kinematics, for all frames at once.

World and body frames are right-handed with z up, in metres; a body's x points to its right and its
y forward. Angles are in radians.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float


def rotation_x(angle: Float[np.ndarray, " frame"]) -> Float[np.ndarray, "frame 3 3"]:
    """Rotations about x (counter-clockwise seen from the axis' tip)."""
    return _rotation(angle, 1, 2)


def rotation_y(angle: Float[np.ndarray, " frame"]) -> Float[np.ndarray, "frame 3 3"]:
    """Rotations about y (counter-clockwise seen from the axis' tip)."""
    return _rotation(angle, 2, 0)


def rotation_z(angle: Float[np.ndarray, " frame"]) -> Float[np.ndarray, "frame 3 3"]:
    """Rotations about z (counter-clockwise seen from the axis' tip)."""
    return _rotation(angle, 0, 1)


def _rotation(angle: Float[np.ndarray, " frame"], i: int, j: int) -> Float[np.ndarray, "frame 3 3"]:
    matrix = np.zeros((angle.shape[0], 3, 3))
    matrix[:] = np.eye(3)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix[:, i, i] = cosine
    matrix[:, j, j] = cosine
    matrix[:, i, j] = -sine
    matrix[:, j, i] = sine
    return matrix


def apply(
    rotation: Float[np.ndarray, "frame 3 3"], vector: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "frame 3"]:
    """Rotates one vector (3,) or one a frame (frame, 3)."""
    if vector.ndim == 1:
        return rotation @ vector
    return np.einsum("tij,tj->ti", rotation, vector)


def normalised(vector: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Vectors of length one; a zero vector stays zero."""
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return vector / np.maximum(length, 1e-12)


def frame_along(
    direction: Float[np.ndarray, "frame 3"], side: Float[np.ndarray, "frame 3"]
) -> Float[np.ndarray, "frame 3 3"]:
    """Rotations whose z is the direction and whose x is as close to `side` as that allows (columns are axes)."""
    z = normalised(direction)
    y = np.cross(z, side)
    # A side parallel to the direction leaves x open: any perpendicular vector will do.
    lost = np.linalg.norm(y, axis=-1) < 1e-6
    if lost.any():
        y[lost] = np.cross(z[lost], np.array([0.31, 0.77, 0.55]))
    y = normalised(y)
    return np.stack([np.cross(y, z), y, z], axis=-1)


def minimum_jerk(progress: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Share of the way covered by a reaching movement: 10p^3 - 15p^4 + 6p^5 (Flash and Hogan, 1985)."""
    p = np.clip(progress, 0.0, 1.0)
    return p * p * p * (10.0 + p * (6.0 * p - 15.0))


def through_keys(
    time: Float[np.ndarray, " frame"], keys: list[tuple[float, float]]
) -> Float[np.ndarray, " frame"]:
    """A scalar that passes through (time, value) keys by minimum-jerk movements and rests outside them."""
    value = np.full(time.shape, keys[0][1], dtype=float)
    for (t0, v0), (t1, v1) in pairwise(keys):
        value += (v1 - v0) * minimum_jerk((time - t0) / max(t1 - t0, 1e-3))
    return value


def smooth_noise(
    rng: np.random.Generator, time: Float[np.ndarray, " frame"], amplitude: float, hertz: float
) -> Float[np.ndarray, " frame"]:
    """A slow random wander of about the given amplitude: five sines below `hertz`."""
    frequency = rng.uniform(0.15, 1.0, 5) * hertz
    phase = rng.uniform(0, 2 * np.pi, 5)
    weight = rng.normal(0, 1, 5) / np.sqrt(2.5)
    return amplitude * (weight @ np.sin(2 * np.pi * frequency[:, None] * time + phase[:, None]))


def two_bone_ik(
    root: Float[np.ndarray, "frame 3"],
    target: Float[np.ndarray, "frame 3"],
    pole: Float[np.ndarray, "frame 3"],
    upper: float,
    lower: float,
) -> tuple[Float[np.ndarray, "frame 3"], Float[np.ndarray, "frame 3"]]:
    """Middle and end joint of a limb of two bones that reaches for a target.

    The law of cosines places the middle joint on the side of `pole`. A target out of reach is
    approached as far as the bones allow; their lengths are always kept.

    Args:
        root: Shoulder or hip.
        target: Where the end (hand or ankle) should be.
        pole: Direction to which the elbow or knee points; its part along the limb is ignored.
        upper: Length of the first bone.
        lower: Length of the second bone.

    Returns:
        Positions of the middle and the end joint.
    """
    way = target - root
    distance = np.linalg.norm(way, axis=-1, keepdims=True)
    along = np.where(distance > 1e-9, way / np.maximum(distance, 1e-9), np.array([0.0, 0.0, -1.0]))
    reach = np.clip(distance, abs(upper - lower) + 1e-4, upper + lower - 1e-4)
    foot = (upper**2 - lower**2 + reach**2) / (2 * reach)
    height = np.sqrt(np.maximum(upper**2 - foot**2, 0.0))
    outward = frame_along(along, pole)[..., 0]
    return root + foot * along + height * outward, root + reach * along
