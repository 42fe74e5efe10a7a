"""The two cameras of a Kinect v2 as pinholes, and where the seventeen setups put them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.synthesis.naming import SETUPS, SampleName, random_stream

RGB_FIELD_OF_VIEW = (84.1, 53.8)
IR_FIELD_OF_VIEW = (70.6, 60.0)
"""Horizontal and vertical fields of view of a Kinect v2 in degrees."""

LENS_DISTANCE = 0.05
"""Metres between the two lenses; the infrared one lies to the right, as the sensor sees the scene."""

FULL_HEIGHT = 1080
SMALLEST_IR_HEIGHT = 48

_AZIMUTHS = (0.0, 45.0, -45.0)

# Height and distance of the cameras in metres for S001-S017 as listed by the owners of NTU RGB+D.
_SETUP_HEIGHTS = (
    1.7,
    1.7,
    1.4,
    1.2,
    1.2,
    0.8,
    0.5,
    1.4,
    0.8,
    1.8,
    1.9,
    2.0,
    2.1,
    2.2,
    2.3,
    2.7,
    2.5,
)
_SETUP_DISTANCES = (
    3.5,
    2.5,
    2.5,
    3.0,
    3.0,
    3.5,
    4.5,
    3.5,
    2.0,
    3.0,
    3.0,
    3.0,
    3.0,
    3.0,
    3.5,
    3.5,
    3.0,
)

# The cameras stand nearer than the owners' list says: small pictures then still hold a person whose
# hands can be told from the rest. The person fills 60 to 80% of the frame's height in most setups.
_DISTANCE_SCALE = 0.7
_NEAREST, _FARTHEST, _LEAST_ACROSS = 2.0, 2.5, 1.6
_AIM_HEIGHT = 0.92


@dataclass(frozen=True)
class PinholeCamera:
    """A camera without distortion.

    Attributes:
        position: Centre of projection in the world, (3,).
        rotation: Rows are the camera's right, down and forward axes in the world, (3, 3).
        width: Pixels across.
        height: Pixels down.
        focal: Focal lengths (x, y) in pixels.
    """

    position: Float[np.ndarray, " 3"]
    rotation: Float[np.ndarray, "3 3"]
    width: int
    height: int
    focal: tuple[float, float]

    def project(
        self, points: Float[np.ndarray, "*shape 3"]
    ) -> tuple[Float[np.ndarray, "*shape 2"], Float[np.ndarray, "*shape"]]:
        """Pixel coordinates and depth in metres.

        x points right and y down; the picture's centre is at (width / 2, height / 2).
        Points nearer than 5 cm, or behind the camera, are projected as if 5 cm away: test the depth
        first.
        """
        seen = (points - self.position.astype(points.dtype)) @ self.rotation.T.astype(points.dtype)
        depth = seen[..., 2]
        scale = np.array(self.focal, dtype=points.dtype) / np.maximum(depth, 0.05)[..., None]
        centre = np.array((self.width / 2, self.height / 2), dtype=points.dtype)
        return seen[..., :2] * scale + centre, depth

    def rays(self) -> Float[np.ndarray, "height width 3"]:
        """World directions through the pixels' centres, scaled to depth one."""
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal[0]
        y = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal[1]
        local = np.stack(np.broadcast_arrays(x[None, :], y[:, None], np.float64(1.0)), axis=-1)
        return local @ self.rotation

    def enlarged(self, factor: int) -> "PinholeCamera":
        """The same view with more pixels."""
        focal = (self.focal[0] * factor, self.focal[1] * factor)
        return PinholeCamera(
            self.position, self.rotation, self.width * factor, self.height * factor, focal
        )


def rgb_size(height: int) -> tuple[int, int]:
    """Width and height of the colour picture: 16:9, both even."""
    return _even(height * 16 / 9), height


def ir_size(height: int) -> tuple[int, int]:
    """Width and height of the infrared picture that goes with a colour picture of the given height.

    At full size 512x424 beside 1920x1080, and in that proportion below; but it keeps at least 48
    lines (or as many as the colour picture), or too little would be left of the person in a small
    picture.
    """
    lines = max(height * 424 / FULL_HEIGHT, min(height, SMALLEST_IR_HEIGHT))
    return _even(lines * 512 / 424), _even(lines)


def _even(value: float | int) -> int:
    return 2 * round(value / 2)


def place_cameras(name: SampleName, seed: int, height: int) -> tuple[PinholeCamera, PinholeCamera]:
    """The colour and the infrared camera of a sample.

    Height and distance follow from the setup, the direction from the camera (C001 in the middle,
    C002 at +45 and C003 at -45 degrees); every session (setup and performer) moves them by a few
    centimetres and degrees.
    """
    rng = random_stream(seed, "view", name.setup, name.performer, name.camera)
    setup = (name.setup - 1) % SETUPS
    lens = _SETUP_HEIGHTS[setup] + rng.uniform(-0.05, 0.05)
    slant = np.hypot(_SETUP_DISTANCES[setup], lens - _AIM_HEIGHT) * _DISTANCE_SCALE
    slant = float(np.clip(slant, _NEAREST, _FARTHEST)) + rng.uniform(-0.1, 0.1)
    distance = max(np.sqrt(slant**2 - (lens - _AIM_HEIGHT) ** 2), _LEAST_ACROSS)
    azimuth = np.radians(_AZIMUTHS[name.camera - 1] + rng.uniform(-4, 4))
    position = np.array(
        [
            distance * np.sin(azimuth),
            -distance * np.cos(azimuth),
            lens,
        ]
    )
    aim = np.array(
        [rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12), _AIM_HEIGHT + rng.uniform(-0.07, 0.07)]
    )
    rotation = look_at(position, aim, roll=np.radians(rng.uniform(-1.5, 1.5)))
    infrared = position + LENS_DISTANCE * rotation[0]
    return (
        _pinhole(position, rotation, rgb_size(height), RGB_FIELD_OF_VIEW),
        _pinhole(infrared, rotation, ir_size(height), IR_FIELD_OF_VIEW),
    )


def look_at(
    position: Float[np.ndarray, " 3"], aim: Float[np.ndarray, " 3"], roll: float = 0.0
) -> Float[np.ndarray, "3 3"]:
    """Rows right, down, forward of a camera at `position` that looks at `aim`."""
    forward = (aim - position) / np.linalg.norm(aim - position)
    right = np.cross(forward, np.array([0.0, 0.0, 1.0]))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cosine, sine = np.cos(roll), np.sin(roll)
    return np.stack([cosine * right + sine * down, cosine * down - sine * right, forward])


def _pinhole(
    position: Float[np.ndarray, " 3"],
    rotation: Float[np.ndarray, "3 3"],
    size: tuple[int, int],
    field_of_view: tuple[float, float],
) -> PinholeCamera:
    focal = tuple(
        pixels / 2 / np.tan(np.radians(degrees) / 2)
        for pixels, degrees in zip(size, field_of_view, strict=True)
    )
    return PinholeCamera(position, rotation, *size, (float(focal[0]), float(focal[1])))
