"""From posed meshes to pictures: faces in painter's order, filled by OpenCV."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from rgb2ir_jax.synthesis.camera import PinholeCamera
from rgb2ir_jax.synthesis.mesh import PosedMesh

_FRACTION_BITS = 4
_NEAREST = 0.2
# Faces that cover less than this share of a picture element add nothing but time.
_SMALLEST_AREA = 0.35


@dataclass
class Surface:
    """The faces of all posed meshes together, in the world.

    Attributes:
        vertices: (frame, vertex, 3) metres.
        faces: Vertex numbers, (face, 4).
        centres: Middles of the faces, (frame, face, 3).
        normals: Outward unit normals, (frame, face, 3).
        colour: 0-255, (face, 3).
        reflectance: Infrared, 0-1, (face,).
        gloss: 0-1, (face,).
        bias: Metres added to a face's distance when the painter orders them, (face,).
    """

    vertices: Float[np.ndarray, "frame vertex 3"]
    faces: Int[np.ndarray, "face 4"]
    centres: Float[np.ndarray, "frame face 3"]
    normals: Float[np.ndarray, "frame face 3"]
    colour: Float[np.ndarray, "face 3"]
    reflectance: Float[np.ndarray, " face"]
    gloss: Float[np.ndarray, " face"]
    bias: Float[np.ndarray, " face"]


def gather(parts: list[PosedMesh], frames: int) -> Surface:
    """Places all parts in the world for every frame, in single precision."""
    vertices, faces, bias = [], [], []
    offset = 0
    for part in parts:
        rotation = part.rotation.astype(np.float32)
        local = part.mesh.vertices.astype(np.float32)
        world = (
            np.matmul(local[None], rotation.transpose(0, 2, 1))
            + part.position.astype(np.float32)[:, None]
        )
        vertices.append(np.broadcast_to(world, (frames, *world.shape[1:])))
        faces.append(part.mesh.faces + offset)
        bias.append(np.full(len(part.mesh.faces), part.bias, dtype=np.float32))
        offset += len(local)
    points = np.concatenate(vertices, axis=1)
    index = np.concatenate(faces)
    a, b, c, d = (points[:, index[:, k]] for k in range(4))
    normals = np.cross(c - a, d - b)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    return Surface(
        points,
        index,
        (a + b + c + d) / 4,
        normals,
        np.concatenate([part.mesh.colour for part in parts]).astype(np.float32),
        np.concatenate([part.mesh.reflectance for part in parts]).astype(np.float32),
        np.concatenate([part.mesh.gloss for part in parts]).astype(np.float32),
        np.concatenate(bias),
    )


@dataclass
class View:
    """A surface seen by a camera.

    Attributes:
        corners: Faces' corners in fixed-point pixels, (frame, face, 4, 2).
        distance: Metres from the lens to the faces' middles, (frame, face).
        facing: Cosine between normal and direction to the lens, (frame, face).
        visible: Whether a face turns to the lens, lies before it and is large enough, (frame,
            face).
        order: Faces from far to near, (frame, face).
    """

    corners: Int[np.ndarray, "frame face 4 2"]
    distance: Float[np.ndarray, "frame face"]
    facing: Float[np.ndarray, "frame face"]
    visible: Bool[np.ndarray, "frame face"]
    order: Int[np.ndarray, "frame face"]


def look(surface: Surface, camera: PinholeCamera) -> View:
    """Projects a surface and sorts its faces."""
    pixels, depth = camera.project(surface.vertices)
    corners = pixels[:, surface.faces]
    to_lens = camera.position.astype(np.float32) - surface.centres
    distance = np.linalg.norm(to_lens, axis=-1)
    facing = np.einsum("tfi,tfi->tf", surface.normals, to_lens) / np.maximum(distance, 1e-6)
    diagonal = corners[:, :, 2] - corners[:, :, 0]
    other = corners[:, :, 3] - corners[:, :, 1]
    area = 0.5 * np.abs(diagonal[..., 0] * other[..., 1] - diagonal[..., 1] * other[..., 0])
    near = depth[:, surface.faces].min(axis=-1) > _NEAREST
    visible = (facing > 0) & near & (area > _SMALLEST_AREA)
    order = np.argsort(-(distance + surface.bias), axis=1)
    # A pixel's centre lies at half a pixel, where OpenCV counts it as whole.
    limit = 4.0 * max(camera.width, camera.height)
    fixed = np.clip(corners - 0.5, -limit, limit) * (1 << _FRACTION_BITS)
    return View(np.round(fixed).astype(np.int32), distance, facing, visible, order)


def paint(
    picture: UInt8[np.ndarray, "..."],
    view: View,
    shades: UInt8[np.ndarray, "frame face channel"],
    frame: int,
    *,
    smooth: bool,
) -> None:
    """Fills the visible faces of one frame into a picture, far ones first.

    Args:
        picture: (height, width, 3) or (height, width); changed in place.
        view: The faces as the camera sees them.
        shades: Their colours or grey values.
        frame: Which frame.
        smooth: Whether edges are antialiased (not needed where the picture is shrunk afterwards).
    """
    order = view.order[frame]
    order = order[view.visible[frame, order]]
    corners = view.corners[frame, order]
    colours = shades[frame, order].tolist()
    line = cv2.LINE_AA if smooth else cv2.LINE_8
    fill = cv2.fillConvexPoly
    for polygon, colour in zip(corners, colours, strict=True):
        fill(picture, polygon, colour, line, _FRACTION_BITS)
