"""An under-exposed colour sensor at night: few photons, read noise, a colour cast, and eight bits."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rgb2ir_jax.synthesis.camera import PinholeCamera
from rgb2ir_jax.synthesis.dark.place import NightLight
from rgb2ir_jax.synthesis.raster import Surface
from rgb2ir_jax.synthesis.sensor import lit_colours

# The exponent between light and the pixel values of pictures made for the eye.
_ENCODING = 2.2
_DARKEST, _BRIGHTEST = 10.0, 30.0
_BANK_MARGIN = 24
_LEVELS = 1 << 14


class NightSensor:
    """The colour camera of the dark clips, at the end of its automatic exposure.

    The scene is painted as a well-exposed picture. `record` turns that into electrons (the fewer,
    the less light there is), adds what photons and the amplifier scatter, encodes and rounds.
    """

    gain = 1.15
    """Factor that makes the painted picture a well-exposed one."""

    def __init__(self, light: NightLight, camera: PinholeCamera, rng: np.random.Generator) -> None:
        """A sensor for one clip; `rng` draws exposure, colour cast, noise and sharpness."""
        self._light = light
        self._wanted = float(np.exp(rng.uniform(np.log(_DARKEST), np.log(_BRIGHTEST))))
        self._well = float(np.exp(rng.uniform(np.log(6000), np.log(16_000))))
        self._read = float(rng.uniform(1.0, 2.2))
        self._cast: Float[np.ndarray, " 3"] = np.exp(rng.normal(0, 0.06, 3))
        self._blur = float(rng.uniform(0.8, 1.5)) * camera.height / 480
        self._trail = float(rng.uniform(0.0, 0.45))
        self._rng, self._shape = rng, (camera.height, camera.width)
        bank = rng.standard_normal(
            (camera.height + _BANK_MARGIN, camera.width + _BANK_MARGIN, 3), dtype=np.float32
        )
        # The camera's own smoothing leaves grains larger than a pixel.
        grains = cv2.GaussianBlur(bank, (3, 3), float(rng.uniform(0.35, 0.7)))
        self._noise: Float[np.ndarray, "row column 3"] = grains / grains.std()
        self._before: np.ndarray | None = None
        self._expected: np.ndarray | None = None

    def shade(self, surface: Surface) -> UInt8[np.ndarray, "frame face 3"]:
        """Colours of all faces as in a well-exposed picture."""
        return lit_colours(surface, self._light, self.gain)

    def record(
        self, picture: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """One picture as the sensor delivers it; the clip's first one sets the exposure."""
        if self._blur > 0.3:
            picture = cv2.GaussianBlur(picture, (5, 5), self._blur)
        if self._before is None or self._expected is None:
            self._before, self._expected = picture, self._expose(float(picture.mean()))
        # The shutter is open nearly all the time: what moves leaves a trail.
        seen = cv2.addWeighted(picture, 1 - self._trail, self._before, self._trail, 0.0)
        self._before = picture
        electrons = np.take_along_axis(
            self._expected, seen.reshape(-1, 3).astype(np.intp), axis=0
        ).reshape(seen.shape)
        y, x = self._rng.integers(0, _BANK_MARGIN, 2)
        noise = self._noise[y : y + self._shape[0], x : x + self._shape[1]]
        counted = electrons + np.sqrt(electrons + np.float32(self._read**2)) * noise
        return self._encoded(counted)

    def _expose(self, mean: float) -> Float[np.ndarray, "256 3"]:
        """Electrons for each value of the painted picture and each channel."""
        factor = self._wanted / max(mean, 1.0) * self._cast
        share = np.arange(256)[:, None] / 255 * factor
        return (self._well * share**_ENCODING).astype(np.float32)

    def _encoded(self, electrons: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
        level = np.clip(electrons * np.float32((_LEVELS - 1) / self._well), 0, _LEVELS - 1)
        return _TABLE[level.astype(np.int32)]


_TABLE = np.round(255 * np.linspace(0, 1, _LEVELS) ** (1 / _ENCODING)).astype(np.uint8)
