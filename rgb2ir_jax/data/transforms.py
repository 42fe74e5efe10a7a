"""Crop, flip and jitter, drawn once a clip, so that all frames and both modalities are seen alike.

Geometry is relative, because the modalities differ in size: a crop is a square whose side is a
share of the picture's short side, placed at a share of the room that is left.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

# Grain's threads and processes already fill the cores; OpenCV's own threads would fight with them.
cv2.setNumThreads(0)

# Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2 (corner cropping) and its
# published code: corners, centre, edges' middles and quarter points, as shares (top, left) of the
# free room.
_OFFSETS = (
    (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5), (0.5, 0.0), (0.5, 1.0),
    (1.0, 0.5), (0.0, 0.5), (0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75),
)  # fmt: skip


CROP_COUNTS = (1, 3, 10)


class View(NamedTuple):
    """How a clip is looked at.

    Attributes:
        scale: Side of the square crop as a share of the picture's short side, in (0, 1].
        top: Place of the crop's upper edge as a share of the free room, 0 (top) to 1 (bottom).
        left: The same for its left edge.
        flip: Whether left and right are exchanged.
    """

    scale: float
    top: float
    left: float
    flip: bool


class CropBox(NamedTuple):
    """A square of a picture, in pixels: its upper left corner and its side."""

    top: int
    left: int
    side: int


class Jitter(NamedTuple):
    """A change of light: `(x * brightness - m) * contrast + m`, m the brightened clip's mean."""

    brightness: float
    contrast: float


def draw_view(
    rng: np.random.Generator,
    scales: tuple[float, ...],
    flip_probability: float,
    reach: float | int = 1.0,
) -> View:
    """Draws a multi-scale corner crop and a flip (three numbers from `rng`, whatever the settings).

    Args:
        rng: Source of randomness.
        scales: The sizes to choose from, shares of the short side in (0, 1].
        flip_probability: Chance of a horizontal flip, 0-1.
        reach: How far the crop goes to the sides, 1 to the picture's edges, 0 not from its middle.

    Returns:
        The drawn view.
    """
    size, place, flip = rng.random(3)
    top, left = _OFFSETS[int(place * len(_OFFSETS))]
    left = 0.5 + reach * (left - 0.5)
    return View(scales[int(size * len(scales))], top, left, bool(flip < flip_probability))


def draw_jitter(rng: np.random.Generator, strengths: tuple[float, float]) -> Jitter:
    """Draws a change of brightness and contrast (two numbers from `rng`, whatever the settings).

    Args:
        rng: Source of randomness.
        strengths: Largest relative change of brightness and of contrast, each in [0, 1).

    Returns:
        Factors drawn uniformly from [1 - strength, 1 + strength].
    """
    brightness, contrast = 1 + np.asarray(strengths) * (2 * rng.random(2) - 1)
    return Jitter(float(brightness), float(contrast))


def resize(
    picture: UInt8[np.ndarray, "h w c"], height: int, width: int
) -> UInt8[np.ndarray, "height width c"]:
    """Scales a picture: area averaging when it shrinks, bilinear when it grows.

    Args:
        picture: Pixels, 0-255.
        height: Wanted height in pixels.
        width: Wanted width in pixels.

    Returns:
        The scaled picture (the given one where the size fits already).
    """
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = height * width < picture.shape[0] * picture.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled = cv2.resize(picture, (width, height), interpolation=interpolation)
    return scaled.reshape(height, width, picture.shape[2])


def crop_box(view: View, height: int, width: int) -> CropBox:
    """Returns what a view cuts out of pictures of a size, given in pixels."""
    side = max(1, round(min(height, width) * view.scale))
    return CropBox(round((height - side) * view.top), round((width - side) * view.left), side)


def apply_view(
    picture: UInt8[np.ndarray, "h w c"], view: View, size: int
) -> UInt8[np.ndarray, "size size c"]:
    """Cuts a view out of a picture and scales it to a square.

    Args:
        picture: Pixels, 0-255.
        view: What to cut out, and whether to flip.
        size: Side of the result in pixels.

    Returns:
        The square picture.
    """
    top, left, side = crop_box(view, *picture.shape[:2])
    square = resize(picture[top : top + side, left : left + side], size, size)
    # OpenCV mirrors twenty times as fast as a copy with negative strides.
    return cv2.flip(square, 1).reshape(square.shape) if view.flip else square


def center_crop(
    picture: UInt8[np.ndarray, "h w c"], short_side: int, size: int
) -> UInt8[np.ndarray, "size size c"]:
    """Scales a picture so that its short side is `short_side` and cuts the middle square out.

    Args:
        picture: Pixels, 0-255.
        short_side: Short side after scaling, in pixels, at least `size`.
        size: Side of the result in pixels.

    Returns:
        The square picture.
    """
    return crop_views(picture, short_side, size, 1)[0]


def crop_views(
    picture: UInt8[np.ndarray, "h w c"], short_side: int, size: int, crops: int
) -> UInt8[np.ndarray, "crops size size c"]:
    """Scales a picture as `center_crop` does and cuts one, three or ten squares out.

    One is the middle. Three lie along the longer side, at its two ends and in the middle of it, in
    the middle of the shorter side. Ten are TSN's (its published code's GroupOverSample): the middle,
    the four corners, and the five mirrored.

    Args:
        picture: Pixels, 0-255.
        short_side: Short side after scaling, in pixels, at least `size`.
        size: Side of the squares in pixels.
        crops: 1, 3 or 10.

    Returns:
        The squares; the middle one is the same for every number of crops.

    Raises:
        ValueError: another number of crops.
    """
    height, width = picture.shape[:2]
    scale = short_side / min(height, width)
    scaled = resize(picture, round(height * scale), round(width * scale))
    room = (scaled.shape[0] - size, scaled.shape[1] - size)
    squares = [scaled[top : top + size, left : left + size] for top, left in _corners(room, crops)]
    if crops == 10:
        squares += [cv2.flip(square, 1).reshape(square.shape) for square in squares]
    return np.stack(squares)


def _corners(room: tuple[int, int], crops: int) -> list[tuple[int, int]]:
    """The upper left corners (top, left) of the squares in what room there is for them."""
    down, right = room
    middle = (down // 2, right // 2)
    if crops == 1:
        return [middle]
    if crops == 3:
        ends = [(0, middle[1]), (down, middle[1])]
        return [middle, *(ends if down > right else [(middle[0], 0), (middle[0], right)])]
    if crops == 10:
        return [middle, (0, 0), (0, right), (down, 0), (down, right)]
    raise ValueError(f"{crops} crops were asked for; expected one of {CROP_COUNTS}")


def apply_jitter(
    clip: UInt8[np.ndarray, "time h w c"], jitter: Jitter
) -> UInt8[np.ndarray, "time h w c"]:
    """Changes the light of all frames of a clip in the same way.

    Args:
        clip: Pixels, 0-255.
        jitter: The factors.

    Returns:
        The changed clip, rounded and clipped to 0-255.
    """
    if jitter == (1.0, 1.0):
        return clip
    brightened = np.arange(256) * jitter.brightness
    mean = float(clip.mean()) * jitter.brightness
    table = (brightened - mean) * jitter.contrast + mean
    return np.clip(np.rint(table), 0, 255).astype(np.uint8)[clip]
