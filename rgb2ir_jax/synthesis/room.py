"""The room around the performer: walls, floor, posters, window, furniture, and its light."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rgb2ir_jax.synthesis.mesh import PosedMesh
from rgb2ir_jax.synthesis.naming import random_stream
from rgb2ir_jax.synthesis.performer import hsv
from rgb2ir_jax.synthesis.props import make_chair, make_furniture


@dataclass
class Wall:
    """One flat side of the room with its picture.

    Attributes:
        axis: World axis that it is perpendicular to (0, 1 or 2).
        offset: Where it cuts that axis, metres.
        along: The two world axes of the picture's x and y.
        origin: World coordinates (along the two axes) of the picture's first pixel.
        colour: The picture, (row, column, 3).
        reflectance: Infrared, 0-255, (row, column).
        scale: Pixels a metre.
    """

    axis: int
    offset: float
    along: tuple[int, int]
    origin: tuple[float, float]
    colour: UInt8[np.ndarray, "row column 3"]
    reflectance: UInt8[np.ndarray, "row column"]
    scale: float


@dataclass
class Light:
    """Room light as the colour camera records it.

    Attributes:
        ambient: Strength from everywhere.
        direct: Strength of a lamp or window.
        direction: Unit vector towards it.
        tint: Factor on red, green and blue.
    """

    ambient: float
    direct: float
    direction: Float[np.ndarray, " 3"]
    tint: Float[np.ndarray, " 3"]

    def lamp(self, x: Float[np.ndarray, "*shape"], y: Float[np.ndarray, "*shape"]) -> np.ndarray:
        """Share of the light that reaches a place: a lamp hangs above the performer."""
        return 0.2 + 0.8 / (1 + (x**2 + y**2) / 1.4**2)


@dataclass
class Room:
    """A box of walls, what stands at them, and the light."""

    walls: list[Wall]
    furniture: list[PosedMesh]
    light: Light


def furnish(setup: int, performer: int, seed: int, scale: float) -> Room:
    """The room of a setup in the light of a session; `scale` is in texture pixels a metre."""
    rng = random_stream(seed, "room", setup)
    # Fine grain takes as many numbers as the textures have pixels: from a stream of its own, so
    # that the room is the same at every picture size.
    grain = random_stream(seed, "room", setup, 2)
    half, back, high = rng.uniform(2.4, 3.6), rng.uniform(1.3, 3.2), rng.uniform(2.6, 3.3)
    front = -4.5
    paint = hsv(rng.uniform(0, 360), rng.uniform(0.0, 0.1), rng.uniform(0.5, 0.95))
    bright = float(rng.uniform(0.45, 0.75))
    walls = []
    for axis, offset, low, length in (
        (1, back, -half, 2 * half),
        (0, -half, front, back - front),
        (0, half, front, back - front),
    ):
        colour, reflectance = _wall(rng, grain, length, high, paint, bright, scale)
        walls.append(Wall(axis, offset, (1 - axis, 2), (low, high), colour, reflectance, scale))
    floor, floor_bright = _floor(rng, grain, 2 * half, back - front, scale)
    walls.append(Wall(2, 0.0, (0, 1), (-half, back), floor, floor_bright, scale))
    ceiling = np.full((4, 4, 3), 235, np.uint8)
    walls.append(Wall(2, high, (0, 1), (-half, back), ceiling, ceiling[:, :, 0].copy(), 0.0))
    return Room(
        walls,
        _stand_about(rng, half, back),
        _light(random_stream(seed, "room", setup, performer, 0)),
    )


def _light(rng: np.random.Generator) -> Light:
    level = float(rng.uniform(0.8, 1.1) if rng.random() < 0.8 else rng.uniform(0.5, 0.75))
    warmth = rng.normal(0, 0.06)
    tint = np.array([1 + warmth, 1 + rng.normal(0, 0.025), 1 - warmth])
    azimuth, height = rng.uniform(-1.9, 1.9), rng.uniform(0.4, 1.3)
    direction = np.array(
        [np.sin(azimuth) * np.cos(height), -np.cos(azimuth) * np.cos(height), np.sin(height)]
    )
    direct = float(rng.uniform(0.25, 0.6))
    return Light(level * (1 - 0.75 * direct), level * direct, direction, tint)


def _stand_about(rng: np.random.Generator, half: float, back: float) -> list[PosedMesh]:
    """Furniture along the back wall and in the far corners, and sometimes a chair that nobody uses."""
    pieces = []
    for _ in range(int(rng.integers(1, 3))):
        mesh, size = make_furniture(rng)
        x = float(rng.uniform(-half + size[0], half - size[0]))
        pieces.append((mesh, np.array([x, back - size[1] - 0.03, 0.0]), np.pi))
    if rng.random() < 0.6:
        side = 1 if rng.random() < 0.5 else -1
        mesh = make_chair(rng, float(rng.uniform(0.4, 0.48)))
        x = side * float(rng.uniform(1.2, max(1.3, half - 0.4)))
        pieces.append(
            (
                mesh,
                np.array([x, back - float(rng.uniform(0.5, 0.9)), 0.0]),
                float(rng.uniform(0, 6.3)),
            )
        )
    posed = []
    for mesh, place, turn in pieces:
        cosine, sine = np.cos(turn), np.sin(turn)
        rotation = np.array([[[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]]])
        posed.append(PosedMesh(mesh, rotation, place[None].astype(float)))
    return posed


def _grain(
    rng: np.random.Generator, rows: int, columns: int, cell: float, strength: float
) -> Float[np.ndarray, "row column"]:
    """Smooth random brightness around one, with patches of about `cell` pixels."""
    shape = (max(2, int(rows / cell) + 2), max(2, int(columns / cell) + 2))
    small = rng.normal(0, strength, shape).astype(np.float32)
    return 1 + cv2.resize(small, (columns, rows), interpolation=cv2.INTER_CUBIC)


def _wall(
    rng: np.random.Generator,
    grain: np.random.Generator,
    length: float,
    high: float,
    paint: tuple[float, float, float],
    bright: float,
    scale: float,
) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = int(high * scale), int(length * scale)
    colour = np.empty((rows, columns, 3), np.float32)
    colour[:] = np.array(paint) * rng.uniform(0.85, 1.05)
    reflectance = np.full((rows, columns), 255 * bright, np.float32)
    if rng.random() < 0.3:  # bricks or panels
        step_x, step_y = float(rng.uniform(0.2, 0.9)), float(rng.uniform(0.1, 0.9))
        for y in np.arange(0, high, step_y):
            cv2.line(
                colour,
                (0, int(y * scale)),
                (columns, int(y * scale)),
                _times(paint, 0.8),
                max(1, int(0.012 * scale)),
            )
        for x in np.arange(0, length, step_x):
            cv2.line(
                colour,
                (int(x * scale), 0),
                (int(x * scale), rows),
                _times(paint, 0.8),
                max(1, int(0.012 * scale)),
            )
    skirting = int(0.1 * scale)
    colour[rows - skirting :] = np.array(_times(paint, rng.uniform(0.4, 0.8)))

    def area(x: float, top: float, width: float, height: float) -> tuple[slice, slice]:
        y = int((high - top) * scale)
        return (
            slice(max(y, 0), max(y, 0) + max(1, int(height * scale))),
            slice(max(int(x * scale), 0), max(int(x * scale), 0) + max(1, int(width * scale))),
        )

    for _ in range(int(rng.integers(0, 3))):  # posters
        width, height = rng.uniform(0.3, 0.9), rng.uniform(0.4, 1.0)
        where = area(rng.uniform(0, length - width), rng.uniform(1.5, 2.4), width, height)
        _poster(rng, colour[where], reflectance[where])
    if rng.random() < 0.45:  # a window: bright to the eye, black to the sensor's own light
        width, height = rng.uniform(0.8, 1.5), rng.uniform(0.9, 1.3)
        x = rng.uniform(0, length - width)
        outer, inner = (
            area(x, 2.3, width, height),
            area(x + 0.06, 2.24, width - 0.12, height - 0.12),
        )
        colour[outer], reflectance[outer] = (225, 225, 220), 150
        glass = colour[inner]
        sky = np.linspace(1, 0.55, glass.shape[0])[:, None, None]
        colour[inner] = sky * np.array(
            hsv(rng.uniform(180, 220), rng.uniform(0.05, 0.35), rng.uniform(0.5, 1.0))
        )
        reflectance[inner] = 14
        middle = area(x + width / 2 - 0.02, 2.3, 0.04, height)
        colour[middle] = (225, 225, 220)
    if rng.random() < 0.35:  # a door
        x = rng.uniform(0, length - 0.9)
        where = area(x, 2.05, 0.9, 2.05)
        colour[where] = np.array(
            hsv(rng.uniform(15, 40), rng.uniform(0.05, 0.35), rng.uniform(0.3, 0.8))
        )
        reflectance[where] = 255 * rng.uniform(0.4, 0.6)
    for cell, strength in ((0.7 * scale, 0.04), (max(2.0, 0.03 * scale), 0.015)):
        colour *= _grain(grain, rows, columns, cell, strength)[:, :, None]
    return _bytes(colour), _bytes(reflectance)


def _poster(rng: np.random.Generator, colour: np.ndarray, reflectance: np.ndarray) -> None:
    """A printed sheet: inks are nothing to infrared light, so that it shows a pale sheet."""
    rows, columns = colour.shape[:2]
    colour[:] = np.array(hsv(rng.uniform(0, 360), rng.uniform(0.0, 0.35), rng.uniform(0.5, 1.0)))
    for _ in range(int(rng.integers(1, 6))):
        ink = hsv(rng.uniform(0, 360), rng.uniform(0.0, 0.5), rng.uniform(0.2, 1.0))
        x, y = int(rng.random() * columns), int(rng.random() * rows)
        if rng.random() < 0.5:
            cv2.circle(colour, (x, y), int(rng.uniform(0.08, 0.3) * columns) + 1, ink, -1)
        else:
            end = (x + int(rng.uniform(0.1, 0.6) * columns), y + int(rng.uniform(0.05, 0.3) * rows))
            cv2.rectangle(colour, (x, y), end, ink, -1)
    for line in range(int(rng.integers(0, 6))):
        y = int(rows * (0.55 + 0.07 * line))
        cv2.line(
            colour,
            (columns // 8, y),
            (int(columns * rng.uniform(0.5, 0.9)), y),
            (40, 40, 45),
            max(1, rows // 60),
        )
    reflectance[:] = 255 * rng.uniform(0.6, 0.85)


def _floor(
    rng: np.random.Generator, grain: np.random.Generator, width: float, depth: float, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = int(depth * scale), int(width * scale)
    base = np.array(
        hsv(
            rng.uniform(15, 45) if rng.random() < 0.7 else rng.uniform(0, 360),
            rng.uniform(0.0, 0.18),
            rng.uniform(0.3, 0.8),
        )
    )
    colour = np.empty((rows, columns, 3), np.float32)
    colour[:] = base
    style = rng.random()
    if style < 0.4:  # tiles
        step = float(rng.uniform(0.3, 0.6))
        tiles = rng.normal(1, 0.06, (int(depth / step) + 1, int(width / step) + 1)).astype(
            np.float32
        )
        row = np.minimum((np.arange(rows) / (step * scale)).astype(int), len(tiles) - 1)
        column = np.minimum((np.arange(columns) / (step * scale)).astype(int), tiles.shape[1] - 1)
        colour *= tiles[row][:, column, None]
        for y in np.arange(0, depth, step):
            cv2.line(
                colour, (0, int(y * scale)), (columns, int(y * scale)), (0.75 * base).tolist(), 1
            )
        for x in np.arange(0, width, step):
            cv2.line(colour, (int(x * scale), 0), (int(x * scale), rows), (0.75 * base).tolist(), 1)
    elif style < 0.75:  # planks
        step = float(rng.uniform(0.1, 0.2))
        planks = rng.normal(1, 0.08, int(width / step) + 2)
        column = np.minimum((np.arange(columns) / (step * scale)).astype(int), len(planks) - 1)
        colour *= planks[column][None, :, None]
    else:  # carpet
        colour *= _grain(grain, rows, columns, max(2.0, 0.02 * scale), 0.06)[:, :, None]
    colour *= _grain(grain, rows, columns, 0.8 * scale, 0.04)[:, :, None]
    reflectance = np.full((rows, columns), 255 * rng.uniform(0.25, 0.55), np.float32)
    return _bytes(colour), _bytes(reflectance)


def _times(colour: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)
