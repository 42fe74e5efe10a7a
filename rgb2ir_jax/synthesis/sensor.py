"""How each camera turns lit surfaces into pixel values, and what its sensor adds."""

from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Int16, UInt8

from rgb2ir_jax.synthesis.camera import PinholeCamera
from rgb2ir_jax.synthesis.raster import Surface, View
from rgb2ir_jax.synthesis.room import Light

_NOISE_BANK_MARGIN = 24


class _Noise:
    """Noise for every frame, cut at a random place from one larger random picture, which is cheap."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> None:
        self._rng, self._shape = rng, shape
        bank = (shape[0] + _NOISE_BANK_MARGIN, shape[1] + _NOISE_BANK_MARGIN, *shape[2:])
        self._bank: Int16[np.ndarray, ...] = np.round(
            sigma * rng.standard_normal(bank, dtype=np.float32)
        ).astype(np.int16)

    def cut(self) -> Int16[np.ndarray, "..."]:
        y, x = self._rng.integers(0, _NOISE_BANK_MARGIN, 2)
        return self._bank[y : y + self._shape[0], x : x + self._shape[1]]


def lit_colours(surface: Surface, light: Light, gain: float) -> UInt8[np.ndarray, "frame face 3"]:
    """Colours of all faces: ambient and Lambert's law in room light, with a faint highlight where glossy."""
    lambert = np.maximum(surface.normals @ light.direction.astype(np.float32), 0.0)
    # Faces that look down get less of the ambient light.
    ambient = light.ambient * (0.86 + 0.14 * surface.normals[..., 2])
    strength = gain * (ambient + light.direct * lambert)
    strength = strength * light.lamp(surface.centres[..., 0], surface.centres[..., 1])
    shine = 90.0 * surface.gloss * lambert**12
    colour = surface.colour * strength[..., None] * light.tint.astype(np.float32) + shine[..., None]
    return np.clip(colour, 0, 255).astype(np.uint8)


@runtime_checkable
class ColourCamera(Protocol):
    """What turns lit surfaces into colour pictures."""

    gain: float

    def shade(self, surface: Surface) -> UInt8[np.ndarray, "frame face 3"]:
        """Colours of all faces as they are painted."""

    def record(
        self, picture: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """A painted picture as the sensor delivers it."""


class ColourSensor:
    """The colour camera: room light, exposure, a soft lens and noise that grows when light is scarce."""

    def __init__(self, light: Light, camera: PinholeCamera, rng: np.random.Generator) -> None:
        """A sensor for one clip; `rng` draws exposure and noise."""
        self._light = light
        level = light.ambient + light.direct
        # Automatic exposure makes up for part of what is missing in a dim room.
        self.gain = float(rng.uniform(1.15, 1.35) * level**-0.45)
        sigma = rng.uniform(1.5, 3.5) * (1.0 if level > 0.7 else 1.8)
        self._noise = _Noise(rng, (camera.height, camera.width, 3), float(sigma))
        self._blur = float(rng.uniform(0.7, 1.2)) * camera.height / 1080

    def shade(self, surface: Surface) -> UInt8[np.ndarray, "frame face 3"]:
        """Colours of all faces in room light as it is exposed."""
        return lit_colours(surface, self._light, self.gain)

    def record(
        self, picture: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """One picture as the sensor delivers it."""
        if self._blur > 0.3:
            picture = cv2.GaussianBlur(picture, (5, 5), self._blur)
        return cv2.add(picture, self._noise.cut(), dtype=cv2.CV_8U)


class InfraredSensor:
    """The infrared camera with its own lamp beside the lens: no room light, no colour, much noise."""

    def __init__(self, camera: PinholeCamera, rng: np.random.Generator) -> None:
        """A sensor for one clip; `rng` draws the lamp's strength and noise."""
        # The driver opens the sensor farther away, but not enough to make up for the lost light.
        away = float(np.linalg.norm(camera.position - np.array([0.0, 0.0, 1.0])))
        self.gain = float(rng.uniform(0.85, 1.2)) * 4.6 * (away / 2.2) ** 1.4
        shape = (camera.height, camera.width)
        self._noise = _Noise(rng, shape, float(rng.uniform(10.0, 16.0)))
        self._speckle = _Noise(rng, shape, float(rng.uniform(28.0, 44.0)))
        self._blur = max(0.9, 1.1 * camera.height / 424)

    def shade(self, surface: Surface, view: View) -> UInt8[np.ndarray, "frame face 1"]:
        """Grey values: reflectance times the cosine to the lamp over the square of the distance; gloss saturates."""
        diffuse = surface.reflectance * (0.25 + 0.75 * np.maximum(view.facing, 0.0))
        mirror = surface.gloss * np.maximum(view.facing, 0.0) ** 40
        grey = self.gain * 255.0 * (diffuse + 1.2 * mirror) / view.distance**2
        return np.clip(grey, 0, 255).astype(np.uint8)[..., None]

    def record(
        self, picture: UInt8[np.ndarray, "height width"]
    ) -> UInt8[np.ndarray, "height width"]:
        """One picture as the sensor delivers it: blurred, with speckle in proportion to brightness and read noise."""
        picture = cv2.GaussianBlur(picture, (5, 5), self._blur)
        speckle = cv2.multiply(self._speckle.cut(), picture, scale=1 / 256.0, dtype=cv2.CV_16S)
        noise = cv2.add(speckle, self._noise.cut())
        return cv2.add(picture, noise, dtype=cv2.CV_8U)
