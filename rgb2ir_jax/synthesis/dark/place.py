"""A place at night: the room of a group, its camera, and the dim light of a clip."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.synthesis.camera import PinholeCamera, look_at
from rgb2ir_jax.synthesis.dark.clips import DarkClip
from rgb2ir_jax.synthesis.naming import random_stream
from rgb2ir_jax.synthesis.room import Light, Room, furnish
from rgb2ir_jax.synthesis.scene import FINE_HEIGHT

# Beyond the numbers of NTU RGB+D's seventeen setups, so that no room is in both layouts.
_FIRST_PLACE = 100

_AIM_HEIGHT = 0.9
_LAMP_SHARE = 0.6


@dataclass
class NightLight(Light):
    """A lamp or the glow of a window, which leaves the rest of the room nearly black.

    Attributes:
        x: Where it is, world metres.
        y: The same, away from the camera.
        reach: Metres at which its light has fallen to a half.
        leak: Share of the light that is everywhere.
    """

    x: float
    y: float
    reach: float
    leak: float

    def lamp(self, x: Float[np.ndarray, "*shape"], y: Float[np.ndarray, "*shape"]) -> np.ndarray:
        """Share of the light that reaches a place."""
        square = (x - self.x) ** 2 + (y - self.y) ** 2
        return self.leak + (1 - self.leak) / (1 + square / self.reach**2)


def session_of(clip: DarkClip) -> tuple[int, int]:
    """Setup and performer, by which the room and the clothes of a group are looked up."""
    return _FIRST_PLACE + clip.group, clip.performer


def night_room(clip: DarkClip, seed: int, height: int) -> Room:
    """The room of a clip's group in the light of the clip; `height` sets the level of detail."""
    room = furnish(*session_of(clip), seed, scale=130.0 if height >= FINE_HEIGHT else 45.0)
    rng = random_stream(seed, "dark light", clip.label, clip.group, clip.number)
    return replace(room, light=_light(rng))


def _light(rng: np.random.Generator) -> NightLight:
    side = 1 if rng.random() < 0.5 else -1
    if rng.random() < _LAMP_SHARE:  # a lamp with a warm bulb
        x, y, up = rng.uniform(-1.5, 1.5), rng.uniform(-1.8, 1.0), rng.uniform(1.0, 2.2)
        reach, warmth = rng.uniform(1.4, 2.6), rng.uniform(0.0, 0.16)
    else:  # street light or the moon through a window, or the light of the corridor
        x, y, up = side * rng.uniform(1.8, 3.0), rng.uniform(-2.0, 1.0), rng.uniform(0.5, 1.5)
        reach, warmth = rng.uniform(2.4, 4.0), rng.uniform(-0.14, 0.06)
    away = np.array([x, y, up])
    direct = float(rng.uniform(0.35, 0.65))
    tint = np.array([1 + warmth, 1 + rng.normal(0, 0.02), 1 - warmth])
    return NightLight(
        ambient=1 - 0.75 * direct,
        direct=direct,
        direction=away / np.linalg.norm(away),
        tint=tint,
        x=float(x),
        y=float(y),
        reach=float(reach),
        leak=float(rng.uniform(0.1, 0.25)),
    )


def night_camera(clip: DarkClip, seed: int, height: int) -> PinholeCamera:
    """The camera of a clip's group, 4:3, a little displaced from clip to clip."""
    group = random_stream(seed, "dark view", 0, clip.group)
    azimuth = group.uniform(-24, 24)
    distance, lens = group.uniform(3.8, 4.2), group.uniform(0.9, 1.9)
    angle = group.uniform(37.0, 42.0)
    rng = random_stream(seed, "dark view", 1, clip.label, clip.group, clip.number)
    turned = np.radians(azimuth + rng.uniform(-2.0, 2.0))
    distance += rng.uniform(-0.08, 0.08)
    position = np.array(
        [distance * np.sin(turned), -distance * np.cos(turned), lens + rng.uniform(-0.05, 0.05)]
    )
    aim = np.array(
        [rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), _AIM_HEIGHT + rng.uniform(-0.06, 0.06)]
    )
    rotation = look_at(position, aim, roll=np.radians(rng.uniform(-1.5, 1.5)))
    width = 2 * round(height * 4 / 3 / 2)
    focal = float(height / 2 / np.tan(np.radians(angle) / 2))
    return PinholeCamera(position, rotation, width, height, (focal, focal))
