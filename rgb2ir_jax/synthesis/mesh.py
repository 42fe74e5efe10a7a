"""Rigid shapes of four-sided faces, and where they are in every frame."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass
class Mesh:
    """A closed shape in its own frame (metres).

    Attributes:
        vertices: (vertex, 3).
        faces: Vertex numbers of each face, counter-clockwise from outside; a triangle repeats its
            last one.
        colour: Red, green, blue of each face under white light of strength one, 0-255.
        reflectance: Share of the infrared light that each face sends back, 0-1.
        gloss: Strength of each face's mirror highlight, 0-1.
    """

    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 4"]
    colour: Float[np.ndarray, "face 3"]
    reflectance: Float[np.ndarray, " face"]
    gloss: Float[np.ndarray, " face"]

    def painted(
        self,
        colour: tuple[float, float, float] | Float[np.ndarray, "*shape"],
        reflectance: float | Float[np.ndarray, "..."],
        gloss: float = 0.0,
    ) -> "Mesh":
        """The same shape of another material; each value may be one for all faces or one a face."""
        count = len(self.faces)
        return Mesh(
            self.vertices,
            self.faces,
            np.broadcast_to(np.asarray(colour, float), (count, 3)).copy(),
            np.broadcast_to(np.asarray(reflectance, float), (count,)).copy(),
            np.full(count, float(gloss)),
        )

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Mesh":
        """The same shape elsewhere in its frame."""
        return Mesh(
            self.vertices + np.array([x, y, z]),
            self.faces,
            self.colour,
            self.reflectance,
            self.gloss,
        )


@dataclass
class PosedMesh:
    """A mesh and its place in the world.

    Attributes:
        rotation: (frame, 3, 3), or one for all frames.
        position: (frame, 3), or one for all frames.
        bias: Metres by which the painter takes it to be farther away than it is; a negative value
            makes it come out in front of what it touches.
    """

    mesh: Mesh
    rotation: Float[np.ndarray, "frame 3 3"]
    position: Float[np.ndarray, "frame 3"]
    bias: float = 0.0

    def between(self, start: int, stop: int) -> "PosedMesh":
        """The same mesh in the frames from `start` to before `stop` only."""
        rotation, position = (
            value[start:stop] if len(value) > 1 else value
            for value in (self.rotation, self.position)
        )
        return PosedMesh(self.mesh, rotation, position, self.bias)


def _mesh(vertices: Float[np.ndarray, "vertex 3"], faces: list[tuple[int, ...]]) -> Mesh:
    count = len(faces)
    return Mesh(
        vertices.astype(float),
        np.array(faces, dtype=np.int64),
        np.full((count, 3), 128.0),
        np.full(count, 0.5),
        np.zeros(count),
    )


def tube(
    rings: list[tuple[float, float, float]] | list[tuple[float, float, float, float, float]],
    sides: int,
) -> Mesh:
    """A closed surface through elliptic rings stacked along z.

    Args:
        rings: (z, radius along x, radius along y[, centre x, centre y]) from bottom to top.
        sides: Faces around. Faces are ordered ring by ring from the bottom, then bottom and top
            caps (`sides` triangles each).
    """
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    parts = []
    for ring in rings:
        z, rx, ry = ring[:3]
        cx, cy = ring[3:] if len(ring) == 5 else (0.0, 0.0)
        parts.append(
            np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle), np.full(sides, z)], axis=1)
        )
    ends = [part.mean(axis=0, keepdims=True) for part in (parts[0], parts[-1])]
    vertices = np.concatenate([*parts, *ends])
    faces: list[tuple[int, ...]] = []
    for i in range(len(rings) - 1):
        for j in range(sides):
            k = (j + 1) % sides
            a, b = i * sides, (i + 1) * sides
            faces.append((a + j, a + k, b + k, b + j))
    bottom, top = len(rings) * sides, len(rings) * sides + 1
    last = (len(rings) - 1) * sides
    after = [(j + 1) % sides for j in range(sides)]
    faces.extend((bottom, after[j], j, j) for j in range(sides))
    faces.extend((top, last + j, last + after[j], last + after[j]) for j in range(sides))
    return _mesh(vertices, faces)


def limb(length: float, start: float, end: float, sides: int, *, bulge: float = 1.0) -> Mesh:
    """A rounded limb along z from 0 to `length`, of radius `start` at the bottom and `end` at the top."""
    middle = bulge * (start + end) / 2
    return tube(
        [
            (-0.6 * start, 0.6 * start, 0.6 * start),
            (0.0, start, start),
            (0.4 * length, middle, middle),
            (length, end, end),
            (length + 0.6 * end, 0.6 * end, 0.6 * end),
        ],
        sides,
    )


def ellipsoid(
    x: float, y: float, z: float, sides: int, rings: int, low: float = -1.0, high: float = 1.0
) -> Mesh:
    """An ellipsoid of the given half axes, cut at `low` and `high` (shares of z)."""
    heights = np.sin(np.linspace(np.arcsin(max(low, -0.985)), np.arcsin(min(high, 0.985)), rings))
    circle = np.sqrt(1 - heights**2)
    return tube(
        [(z * h, x * c, y * c) for h, c in zip(heights.tolist(), circle.tolist(), strict=True)],
        sides,
    )


def box(x: float, y: float, z: float, cells: int = 1) -> Mesh:
    """A box of the given edge lengths around the origin, each face divided into cells x cells.

    Painter's order goes by the faces' centres: large faces must be divided.
    """
    half = np.array([x, y, z]) / 2
    corners = [(1, 2, 0), (2, 0, 1), (0, 1, 2)]
    vertices: list[np.ndarray] = []
    faces: list[tuple[int, ...]] = []
    steps = np.linspace(-1, 1, cells + 1)
    for u, v, w in corners:
        for sign in (-1.0, 1.0):
            start = len(vertices)
            for a in steps:
                for b in steps:
                    point = np.zeros(3)
                    point[u], point[v], point[w] = a, b, sign
                    vertices.append(point * half)
            for i in range(cells):
                for j in range(cells):
                    k = start + i * (cells + 1) + j
                    face = (k, k + cells + 1, k + cells + 2, k + 1)
                    faces.append(face if sign > 0 else face[::-1])
    return _mesh(np.array(vertices), faces)


def joined(*meshes: Mesh) -> Mesh:
    """Several shapes as one rigid one."""
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + o for mesh, o in zip(meshes, offsets, strict=False)]),
        np.concatenate([mesh.colour for mesh in meshes]),
        np.concatenate([mesh.reflectance for mesh in meshes]),
        np.concatenate([mesh.gloss for mesh in meshes]),
    )
