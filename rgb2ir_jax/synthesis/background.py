"""What each camera sees of the empty room: one ray a pixel to the walls, then the furniture."""

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from rgb2ir_jax.synthesis.camera import PinholeCamera
from rgb2ir_jax.synthesis.room import Room

_CORNER_SHADE = 0.3
_CORNER_METRES = 0.35


def _hits(
    room: Room, camera: PinholeCamera
) -> tuple[
    Int[np.ndarray, "height width"],
    Float[np.ndarray, "height width 3"],
    Float[np.ndarray, "height width"],
]:
    """For each pixel the wall that its ray meets first, the point of the world there, and the cosine of incidence."""
    rays = camera.rays()
    steps = []
    for wall in room.walls:
        direction = rays[..., wall.axis]
        with np.errstate(divide="ignore"):
            step = (wall.offset - camera.position[wall.axis]) / direction
        steps.append(np.where(np.isfinite(step) & (step > 0), step, np.inf))
    stacked = np.stack(steps)
    which = stacked.argmin(axis=0)
    nearest = np.minimum(stacked.min(axis=0), 50.0)
    points = camera.position + nearest[..., None] * rays
    axes = np.array([wall.axis for wall in room.walls])[which]
    along = np.take_along_axis(rays, axes[..., None], axis=-1)[..., 0]
    return which, points, np.abs(along) / np.linalg.norm(rays, axis=-1)


def _sample(
    room: Room, which: np.ndarray, points: np.ndarray, *, infrared: bool
) -> Float[np.ndarray, "height width channel"]:
    height, width = which.shape
    seen = np.zeros((height, width, 1 if infrared else 3), np.float32)
    for number, wall in enumerate(room.walls):
        mask = which == number
        if not mask.any():
            continue
        picture = wall.reflectance if infrared else wall.colour
        u = (points[..., wall.along[0]] - wall.origin[0]) * wall.scale
        v = (wall.origin[1] - points[..., wall.along[1]]) * wall.scale
        values = cv2.remap(
            picture,
            u.astype(np.float32),
            v.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        seen[mask] = values.reshape(height, width, -1)[mask]
    return seen


def _corner_shade(room: Room, points: np.ndarray) -> Float[np.ndarray, "height width"]:
    """Corners receive less light: a soft shadow where two walls meet."""
    shade = np.ones(points.shape[:2])
    nearest = np.sort(
        np.stack([np.abs(points[..., w.axis] - w.offset) for w in room.walls]), axis=0
    )
    shade -= _CORNER_SHADE * np.exp(-nearest[1] / _CORNER_METRES)
    return shade


def rgb_background(
    room: Room, camera: PinholeCamera, shadows: list[tuple[float, float, float]]
) -> Float[np.ndarray, "height width 3"]:
    """Colours (0-255, not yet exposed) of walls and floor in room light.

    Args:
        room: The room.
        camera: The colour camera.
        shadows: Soft spots on the floor where something stands: (x, y, radius) in world metres.
    """
    which, points, _ = _hits(room, camera)
    colour = _sample(room, which, points, infrared=False)
    light = room.light
    normals = np.zeros((len(room.walls), 3))
    for number, wall in enumerate(room.walls):
        normals[number, wall.axis] = -1.0 if wall.offset > 0 else 1.0
    lit = light.ambient + light.direct * np.maximum(normals @ light.direction, 0.0)
    strength = lit[which] * _corner_shade(room, points)
    strength = strength * light.lamp(points[..., 0], points[..., 1])
    floor = np.array([wall.axis == 2 and wall.offset == 0 for wall in room.walls])[which]
    for x, y, radius in shadows:
        square = (points[..., 0] - x) ** 2 + (points[..., 1] - y) ** 2
        strength = strength * np.where(floor, 1 - 0.45 * np.exp(-square / radius**2), 1.0)
    return (colour * strength[..., None] * light.tint).astype(np.float32)


def ir_background(
    room: Room, camera: PinholeCamera, gain: float
) -> Float[np.ndarray, "height width"]:
    """Grey values of walls and floor lit from the camera itself: they fall with the square of the distance."""
    which, points, incidence = _hits(room, camera)
    reflectance = _sample(room, which, points, infrared=True)[..., 0]
    square = np.sum((points - camera.position) ** 2, axis=-1)
    return (gain * reflectance * incidence / square).astype(np.float32)


def exposed(values: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Rounds to eight bits; what is too bright saturates."""
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)
