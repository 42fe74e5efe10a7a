"""The flesh and clothes on the skeleton: posed meshes of a whole person."""

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.synthesis.kinematics import frame_along
from rgb2ir_jax.synthesis.mesh import Mesh, PosedMesh, box, ellipsoid, joined, limb, tube
from rgb2ir_jax.synthesis.performer import Clothes, Performer
from rgb2ir_jax.synthesis.skeleton import Frames, Limb, Proportions

SKIN_REFLECTANCE = 0.74


def _head(who: Performer, sides: int) -> Mesh:
    scale = who.height / 1.7
    rings = max(5, sides // 2 + 2)
    rx, ry, rz = 0.076 * scale, 0.095 * scale, 0.118 * scale
    skull = ellipsoid(rx, ry, rz, sides, rings).painted(who.skin, SKIN_REFLECTANCE)
    nose = box(0.018, 0.03, 0.035).moved(y=1.02 * ry, z=-0.012).painted(who.skin, SKIN_REFLECTANCE)
    ears = joined(*(box(0.014, 0.03, 0.045).moved(x=s * rx, y=-0.005) for s in (-1, 1)))
    ears = ears.painted(who.skin, 0.7)
    parts = [skull, nose, ears]
    for s in (-1, 1):
        eye = box(0.026, 0.008, 0.012).moved(x=s * 0.03 * scale, y=0.93 * ry, z=0.02 * scale)
        brow = box(0.034, 0.008, 0.007).moved(x=s * 0.03 * scale, y=0.93 * ry, z=0.038 * scale)
        parts += [eye.painted((40.0, 32.0, 30.0), 0.25, 0.5), brow.painted(who.hair, 0.5)]
        if who.glasses:
            rim = box(0.042, 0.006, 0.03).moved(x=s * 0.03 * scale, y=0.99 * ry, z=0.018 * scale)
            parts.append(rim.painted((55.0, 55.0, 65.0), 0.3, 1.0))
    lips = tuple(min(255.0, c * f) for c, f in zip(who.skin, (0.85, 0.6, 0.6), strict=True))
    mouth = box(0.042, 0.008, 0.011).moved(y=0.9 * ry, z=-0.055 * scale)
    parts.append(mouth.painted((lips[0], lips[1], lips[2]), 0.66))
    # Hair: a larger shell over the skull without its face.
    length = (0.0, -0.45, -1.0, 0.2)[who.hair_style]
    shell = ellipsoid(1.13 * rx, 1.12 * ry, 1.1 * rz, sides, rings + 2)
    centre = shell.vertices[shell.faces].mean(axis=1) / np.array([rx, ry, rz])
    keep = ((centre[:, 1] < 0.45) | (centre[:, 2] > 0.62)) & (
        centre[:, 2] > np.where(centre[:, 1] < 0.1, length - 0.1, 0.3)
    )
    hair = Mesh(
        shell.vertices,
        shell.faces[keep],
        shell.colour[keep],
        shell.reflectance[keep],
        shell.gloss[keep],
    )
    parts.append(hair.painted(who.hair, who.hair_reflectance, 0.1))
    if who.hair_style == 2:
        tail = tube(
            [
                (-0.3 * scale, 0.05 * scale, 0.02),
                (-0.2 * scale, 0.075 * scale, 0.035),
                (0.02 * scale, 0.08 * scale, 0.04),
            ],
            sides,
        ).moved(y=-0.072 * scale)
        parts.append(tail.painted(who.hair, who.hair_reflectance, 0.1))
    if who.hair_style == 3:
        peak = box(0.13 * scale, 0.1, 0.012).moved(y=1.2 * ry, z=0.062 * scale)
        parts.append(peak.painted(who.hair, who.hair_reflectance))
    return joined(*parts)


def _patterned(mesh: Mesh, sides: int, wear: Clothes) -> Mesh:
    """Stripes, checks, a print or an open jacket on the torso; dyes, so all but invisible to infrared light."""
    mesh = mesh.painted(wear.shirt, wear.shirt_reflectance)
    count = len(mesh.faces)
    ring, side = np.arange(count) // sides, np.arange(count) % sides
    front = np.sin(2 * np.pi * (side + 1) / sides)
    last_ring = count // sides - 2
    second = {
        0: np.zeros(count, bool),
        1: ring % 2 == 0,
        2: (ring + side) % 2 == 0,
        3: (front > 0.75) & (ring >= last_ring // 2 - 1) & (ring < last_ring - 2),
        4: front > 0.9,
    }[wear.pattern]
    second = second & (ring < last_ring)
    mesh.colour[second] = wear.shirt_second
    mesh.reflectance[second] *= 0.94
    return mesh


def _torso(who: Performer, wear: Clothes, body: Proportions, sides: int) -> tuple[Mesh, Mesh]:
    h, g = body.stature, who.girth
    profile = np.array(
        [  # share of the chest's length, half width, half depth, centre forward (shares of the stature)
            (-0.16, 0.092, 0.066, 0.0),
            (0.05, 0.084, 0.060, 0.0),
            (0.35, 0.090, 0.064, 0.004),
            (0.62, 0.098, 0.069, 0.006),
            (0.80, 0.103, 0.062, 0.002),
            (0.92, 0.092, 0.050, 0.0),
            (1.02, 0.040, 0.036, 0.004),
        ]
    )
    rows = np.linspace(-0.16, 1.02, max(9, sides + 1))
    width = np.interp(rows, profile[:, 0], profile[:, 1]) * h * g**0.7 * body.shoulder_factor
    depth = np.interp(rows, profile[:, 0], profile[:, 2]) * h * g
    forward = np.interp(rows, profile[:, 0], profile[:, 3]) * h
    rings = [
        (float(z), float(w), float(d), 0.0, float(f))
        for z, w, d, f in zip(rows * body.chest, width, depth, forward, strict=True)
    ]
    chest = _patterned(tube(rings, sides), sides, wear)
    low = -0.05 * h
    pelvis = tube(
        [
            (low, 0.07 * h * g, 0.05 * h * g),
            (0.0, 0.098 * h * g**0.8, 0.066 * h * g),
            (0.6 * body.waist, 0.093 * h * g**0.8, 0.064 * h * g),
            (body.waist, 0.083 * h * g**0.8, 0.058 * h * g),
        ],
        sides,
    )
    return chest, pelvis.painted(wear.trousers, wear.trousers_reflectance)


def _along(
    start: Float[np.ndarray, "frame 3"],
    end: Float[np.ndarray, "frame 3"],
    side: Float[np.ndarray, "frame 3"],
    mesh: Mesh,
    bias: float = 0.0,
) -> PosedMesh:
    return PosedMesh(mesh, frame_along(end - start, side), start, bias)


def build_figure(
    who: Performer,
    wear: Clothes,
    body: Proportions,
    frames: Frames,
    arms: dict[int, Limb],
    legs: dict[int, Limb],
    sides: int,
) -> list[PosedMesh]:
    """All parts of the person. `arms` and `legs` are by side (1 right, -1 left); `sides` sets the detail."""
    h, g = body.stature, who.girth
    chest, pelvis = _torso(who, wear, body, sides)
    neck = limb(0.75 * body.neck, 0.034 * h * g**0.5, 0.032 * h * g**0.5, sides)
    parts = [
        PosedMesh(chest, frames.rotation["chest"], frames.origin["chest"]),
        PosedMesh(pelvis, frames.rotation["pelvis"], frames.origin["pelvis"]),
        PosedMesh(
            neck.painted(who.skin, SKIN_REFLECTANCE), frames.rotation["neck"], frames.origin["neck"]
        ),
        PosedMesh(_head(who, sides), frames.rotation["head"], frames.origin["head"]),
    ]
    shirt, trousers = (
        (wear.shirt, wear.shirt_reflectance),
        (wear.trousers, wear.trousers_reflectance),
    )
    skin = (who.skin, SKIN_REFLECTANCE)
    for side, arm in arms.items():
        across = frames.rotation["chest"][:, :, 0]
        upper = limb(body.upper_arm, 0.034 * h * g, 0.027 * h * g, sides, bulge=1.03)
        lower = limb(body.forearm, 0.026 * h * g, 0.018 * h * g**0.5, sides, bulge=1.06)
        upper = upper.painted(*shirt)
        if wear.sleeve == 0:
            bare = np.arange(len(upper.faces)) // sides >= 2
            upper.colour[bare], upper.reflectance[bare] = skin
        palm = ellipsoid(0.017 * h, 0.026 * h, 0.036 * h, sides, 5).painted(*skin)
        thumb = box(0.012 * h, 0.014 * h, 0.03 * h).moved(y=0.026 * h, z=-0.006 * h).painted(*skin)
        parts += [
            _along(arm.start, arm.middle, across, upper, -0.01),
            _along(
                arm.middle,
                arm.end,
                across,
                lower.painted(*(shirt if wear.sleeve == 2 else skin)),
                -0.02,
            ),
            PosedMesh(joined(palm, thumb), arm.frame, arm.grip, -0.03),
        ]
        del side
    for leg in legs.values():
        across = leg.frame[:, :, 0]
        thigh = limb(body.thigh, 0.051 * h * g, 0.036 * h * g**0.8, sides).painted(*trousers)
        shin = limb(body.shin, 0.034 * h * g**0.8, 0.022 * h * g**0.5, sides, bulge=1.08)
        sole = ellipsoid(0.028 * h, 0.075 * h, 0.026 * h, sides, 5, low=-0.6)
        sole = sole.moved(y=0.04 * h, z=-0.02 * h)
        parts += [
            _along(leg.start, leg.middle, across, thigh),
            _along(leg.middle, leg.end, across, shin.painted(*(trousers if wear.leg else skin))),
            PosedMesh(sole.painted(wear.shoes, wear.shoes_reflectance), leg.frame, leg.end),
        ]
    return parts
