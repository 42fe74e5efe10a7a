"""Where there is room to walk, and routes there."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.synthesis.camera import PinholeCamera
from rgb2ir_jax.synthesis.room import Room
from rgb2ir_jax.synthesis.stage import FRAMES_PER_SECOND

# Furniture stands along the back wall and is up to this deep.
_FURNITURE = 1.15
_BODY = 0.4
_NEAREST_TO_CAMERA = 2.7
_SHARE_OF_VIEW = 0.8
_CANDIDATES = 96
_PLACES = 400
_ARRIVED = 0.5
_TURN_LAG_SECONDS = 0.12


def forward(heading: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape 2"]:
    """Unit vectors on the floor in which one goes at a heading (0 is world +y, positive turns left)."""
    angle = np.asarray(heading)
    return np.stack([-np.sin(angle), np.cos(angle)], axis=-1)


@dataclass
class FreeFloor:
    """The floor between the walls, before the camera, and around what stands on it.

    Attributes:
        half: Half the room's width, metres.
        back: Where the back wall is.
        camera: Where the camera stands, world metres (2,).
        axis: The way it looks, unit vector (2,).
        spread: Half the picture's width at a distance of one.
        obstacles: Round things on the floor: (x, y, radius).
    """

    half: float
    back: float
    camera: Float[np.ndarray, " 2"]
    axis: Float[np.ndarray, " 2"]
    spread: float
    obstacles: list[tuple[float, float, float]] = field(default_factory=list)

    @classmethod
    def of(cls, room: Room, camera: PinholeCamera) -> "FreeFloor":
        """The floor of a room before a camera, with nothing on it."""
        axis = camera.rotation[2, :2]
        return cls(
            half=max(wall.offset for wall in room.walls if wall.axis == 0),
            back=max(wall.offset for wall in room.walls if wall.axis == 1),
            camera=camera.position[:2],
            axis=axis / np.linalg.norm(axis),
            # Of the exact shape, 4:3: the way must be the same at every picture size.
            spread=4 / 3 * camera.height / 2 / camera.focal[1],
        )

    def beyond_walls(self, points: Float[np.ndarray, "*shape 2"]) -> Float[np.ndarray, "*shape"]:
        """Metres by which a body at a place would be in a wall; 0 where it is not."""
        across = np.maximum(np.abs(points[..., 0]) - (self.half - _BODY), 0.0)
        return across + np.maximum(points[..., 1] - (self.back - _BODY), 0.0)

    def excess(self, points: Float[np.ndarray, "*shape 2"]) -> Float[np.ndarray, "*shape"]:
        """Metres by which places are in walls, furniture or obstacles, or out of the picture."""
        behind = max(self.back - _FURNITURE, 0.1)
        total = self.beyond_walls(points) + np.maximum(points[..., 1] - behind, 0.0)
        away = points - self.camera
        depth = away @ self.axis
        side = np.abs(away @ np.array([-self.axis[1], self.axis[0]]))
        total += np.maximum(_NEAREST_TO_CAMERA - depth, 0.0)
        total += np.maximum(side - _SHARE_OF_VIEW * self.spread * depth, 0.0)
        for x, y, radius in self.obstacles:
            distance = np.hypot(points[..., 0] - x, points[..., 1] - y)
            total += 2.0 * np.maximum(radius - distance, 0.0)
        return total


def plan_route(
    floor: FreeFloor,
    start: Float[np.ndarray, " 2"],
    heading: float,
    speed: Float[np.ndarray, " frame"],
    turning: float,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "frame 2"], Float[np.ndarray, " frame"]]:
    """A way from place to place that stays on the free floor as far as it can.

    Many people, so to speak, go to random places; the one who keeps best to the floor is taken.

    Args:
        floor: Where to go.
        start: World metres (2,).
        heading: Direction at the start, radians.
        speed: Metres a second at each frame.
        turning: The most radians a second by which the heading changes.
        rng: Draws the places.

    Returns:
        Place and heading at each frame.
    """
    count, step = len(speed), 1 / FRAMES_PER_SECOND
    anywhere = rng.uniform((-floor.half, -1.6), (floor.half, floor.back), (_PLACES, 2))
    free = anywhere[np.argsort(floor.excess(anywhere), kind="stable")[: _PLACES // 10]]
    goals = free[rng.integers(0, len(free), (_CANDIDATES, count // 15 + 2))]
    place = np.repeat(start[None], _CANDIDATES, axis=0)
    angle, rate = np.full(_CANDIDATES, heading), np.zeros(_CANDIDATES)
    which, everyone = np.zeros(_CANDIDATES, int), np.arange(_CANDIDATES)
    places, angles = np.empty((count, _CANDIDATES, 2)), np.empty((count, _CANDIDATES))
    fastest = max(float(speed.max()), 1e-6)
    for frame in range(count):
        places[frame], angles[frame] = place, angle
        way = goals[everyone, which] - place
        wanted = np.arctan2(-way[:, 0], way[:, 1]) - angle
        wanted = np.angle(np.exp(1j * wanted))
        limit = turning * min(1.0, float(speed[frame]) / fastest)
        rate += (np.clip(3.0 * wanted, -limit, limit) - rate) * step / _TURN_LAG_SECONDS
        angle = angle + rate * step
        place = place + speed[frame] * step * forward(angle)
        near = np.hypot(way[:, 0], way[:, 1]) < _ARRIVED
        which = np.minimum(which + near, goals.shape[1] - 1)
    best = int(np.argmin(floor.excess(places).sum(axis=0)))
    return places[:, best], angles[:, best]
