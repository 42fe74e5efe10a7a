"""Things: what people hold, what they sit on, and what stands about."""

from enum import Enum

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.synthesis.mesh import Mesh, box, ellipsoid, joined, limb, tube
from rgb2ir_jax.synthesis.performer import hsv


class Kind(Enum):
    """Groups of things that serve the same action."""

    VESSEL = "vessel"
    FOOD = "food"
    TOOTHBRUSH = "toothbrush"
    COMB = "comb"
    TOY = "toy"
    PARCEL = "parcel"


# Things are made larger than life, to survive in small pictures.
_ENLARGEMENT = 2.1

# To infrared light nearly all of these are as bright as the hand that holds them.
_REFLECTANCE = (0.66, 0.8)

_HUES = {
    Kind.VESSEL: (210.0, 240.0),
    Kind.FOOD: (40.0, 54.0),
    Kind.TOOTHBRUSH: (110.0, 136.0),
    Kind.COMB: (294.0, 318.0),
    Kind.TOY: (350.0, 368.0),
    Kind.PARCEL: (168.0, 184.0),
}
_STRANGE_COLOUR = 0.04


def make_thing(kind: Kind, rng: np.random.Generator, sides: int) -> tuple[Mesh, float]:
    """A thing of a kind, upright around the place where it is held, and its foot.

    The second value says how far that place is above the foot, in metres.
    Shapes vary within the kind. Colours do too, but most keep to the kind's hues; one in
    twenty-five has any colour. Infrared reflectance tells nothing.
    """
    s = _ENLARGEMENT * rng.uniform(0.88, 1.12)
    low, high = _HUES[kind]
    hue = rng.uniform(0, 360) if rng.random() < _STRANGE_COLOUR else rng.uniform(low, high)
    colour = hsv(hue, rng.uniform(0.8, 1.0), rng.uniform(0.8, 1.0))
    second = hsv(hue + rng.uniform(-15, 15), rng.uniform(0.1, 0.4), rng.uniform(0.85, 1.0))
    bright = float(rng.uniform(*_REFLECTANCE))
    pick = rng.random()
    if kind is Kind.VESSEL:
        return _vessel(s, pick, colour, second, bright, sides)
    if kind is Kind.FOOD:
        return _food(s, pick, colour, second, bright, sides)
    if kind is Kind.TOOTHBRUSH:
        handle = box(0.022 * s, 0.022 * s, 0.15 * s).moved(z=0.03 * s).painted(colour, bright)
        bristle = box(0.016 * s, 0.024 * s, 0.034 * s).moved(y=0.008, z=0.115 * s)
        return joined(handle, bristle.painted((245.0, 248.0, 252.0), bright)), 0.045 * s
    if kind is Kind.COMB:
        s *= 0.88
        handle = limb(0.08 * s, 0.011 * s, 0.012 * s, max(5, sides // 2)).moved(z=-0.03 * s)
        if pick < 0.5:
            head = box(0.02 * s, 0.05 * s, 0.12 * s).moved(y=0.01, z=0.12 * s)
        else:
            head = ellipsoid(0.018 * s, 0.04 * s, 0.065 * s, sides, 5).moved(z=0.12 * s)
        return joined(handle, head).painted(colour, bright, 0.1), 0.04 * s
    s *= 0.7  # toys and parcels are large enough as they are
    if kind is Kind.PARCEL:
        wide, high = (float(x) * s for x in rng.uniform(0.08, 0.12, 2))
        return box(wide, 0.06 * s, high).painted(colour, bright, 0.1), high / 2
    if pick < 0.45:
        return ellipsoid(0.042 * s, 0.042 * s, 0.042 * s, sides, 6).painted(
            colour, bright
        ), 0.042 * s
    if pick < 0.7:
        return box(0.1 * s, 0.035 * s, 0.14 * s).painted(colour, bright, 0.1), 0.07 * s
    cap = ellipsoid(0.06 * s, 0.06 * s, 0.07 * s, sides, 5, low=0.0)
    peak = box(0.1 * s, 0.07 * s, 0.012).moved(y=0.08 * s)
    return joined(cap, peak).painted(colour, bright), 0.0


def _vessel(
    s: float,
    pick: float,
    colour: tuple[float, float, float],
    second: tuple[float, float, float],
    bright: float,
    sides: int,
) -> tuple[Mesh, float]:
    if pick < 0.45:  # a cup, wider at the top
        cup = tube([(-0.05 * s, 0.03 * s, 0.03 * s), (0.06 * s, 0.042 * s, 0.042 * s)], sides)
        rim = tube([(0.06 * s, 0.042 * s, 0.042 * s), (0.066 * s, 0.042 * s, 0.042 * s)], sides)
        return joined(cup.painted(colour, bright, 0.2), rim.painted(second, bright)), 0.05 * s
    if pick < 0.65:  # a mug
        mug = tube([(-0.045 * s, 0.04 * s, 0.04 * s), (0.05 * s, 0.04 * s, 0.04 * s)], sides)
        ear = box(0.012 * s, 0.04 * s, 0.06 * s).moved(y=0.055 * s)
        return joined(mug, ear).painted(colour, bright, 0.4), 0.045 * s
    s *= 0.8
    bottle = tube(
        [
            (-0.09 * s, 0.034 * s, 0.034 * s),
            (0.05 * s, 0.034 * s, 0.034 * s),
            (0.085 * s, 0.014 * s, 0.014 * s),
            (0.11 * s, 0.014 * s, 0.014 * s),
        ],
        sides,
    ).painted(colour, bright, 0.5)
    lid = tube([(0.11 * s, 0.017 * s, 0.017 * s), (0.13 * s, 0.017 * s, 0.017 * s)], sides)
    return joined(bottle, lid.painted(second, bright)), 0.09 * s


def _food(
    s: float,
    pick: float,
    colour: tuple[float, float, float],
    second: tuple[float, float, float],
    bright: float,
    sides: int,
) -> tuple[Mesh, float]:
    if pick < 0.4:  # a sandwich or a biscuit
        slices = [box(0.09 * s, 0.07 * s, 0.018 * s).moved(z=z * s) for z in (-0.019, 0.019)]
        filling = box(0.086 * s, 0.066 * s, 0.02 * s)
        return joined(
            *(x.painted(colour, bright) for x in slices), filling.painted(second, bright)
        ), 0.03 * s
    if pick < 0.7:  # an apple
        return ellipsoid(0.04 * s, 0.04 * s, 0.038 * s, sides, 6).painted(
            colour, bright, 0.2
        ), 0.04 * s
    bar = limb(0.11 * s, 0.017 * s, 0.015 * s, sides).moved(z=-0.05 * s)  # a banana or a bar
    return bar.painted(colour, bright), 0.06 * s


def make_bag(rng: np.random.Generator) -> Mesh:
    """A small bag for the hip, from which things are taken."""
    colour = hsv(rng.uniform(0, 360), rng.uniform(0.0, 0.3), rng.uniform(0.1, 0.6))
    return box(0.07, 0.19, 0.17).painted(colour, float(rng.uniform(0.3, 0.85)))


def make_chair(rng: np.random.Generator, seat: float) -> Mesh:
    """A chair, a stool or an armchair whose seat's middle is above the origin; it looks along +y."""
    colour = hsv(rng.uniform(0, 360), rng.uniform(0.0, 0.3), rng.uniform(0.2, 0.8))
    legs = hsv(rng.uniform(15, 40), rng.uniform(0, 0.3), rng.uniform(0.15, 0.6))
    bright, leg_bright = float(rng.uniform(0.35, 0.85)), float(rng.uniform(0.2, 0.7))
    width, depth = float(rng.uniform(0.42, 0.5)), float(rng.uniform(0.4, 0.46))
    style = rng.random()
    parts = [box(width, depth, 0.05, 3).moved(z=seat - 0.025).painted(colour, bright)]
    for x in (-1, 1):
        for y in (-1, 1):
            leg = box(0.035, 0.035, seat - 0.05).moved(
                x * (width / 2 - 0.03), y * (depth / 2 - 0.03)
            )
            parts.append(leg.moved(z=(seat - 0.05) / 2).painted(legs, leg_bright, 0.15))
    if style > 0.2:
        high = float(rng.uniform(0.38, 0.5))
        back = box(width, 0.035, high, 3).moved(y=-depth / 2, z=seat + high / 2 + 0.06)
        parts.append(back.painted(colour, bright))
        for x in (-1, 1):
            post = box(0.035, 0.035, 0.12).moved(x * (width / 2 - 0.04), -depth / 2, seat + 0.05)
            parts.append(post.painted(legs, leg_bright))
    if style > 0.75:
        for x in (-1, 1):
            rest = box(0.04, depth, 0.035).moved(x * width / 2, 0.0, seat + 0.2)
            post = box(0.035, 0.035, 0.2).moved(x * width / 2, depth / 2 - 0.05, seat + 0.1)
            parts += [rest.painted(legs, leg_bright), post.painted(legs, leg_bright)]
    return joined(*parts)


def make_table(rng: np.random.Generator, height: float) -> Mesh:
    """A small side table whose top's middle is above the origin."""
    top = hsv(rng.uniform(15, 45), rng.uniform(0.0, 0.3), rng.uniform(0.35, 0.85))
    bright = float(rng.uniform(0.35, 0.75))
    width, depth = float(rng.uniform(0.36, 0.44)), float(rng.uniform(0.36, 0.44))
    board = box(width, depth, 0.03, 3).moved(z=height - 0.015).painted(top, bright, 0.15)
    post = box(0.06, 0.06, height - 0.03).moved(z=(height - 0.03) / 2).painted(top, bright)
    foot = box(0.28, 0.28, 0.03).moved(z=0.015).painted(top, bright)
    return joined(board, post, foot)


def make_furniture(rng: np.random.Generator) -> tuple[Mesh, Float[np.ndarray, " 2"]]:
    """A cupboard, a desk or a plant for the edge of a room, and its half sizes on the floor."""
    colour = hsv(rng.uniform(10, 50), rng.uniform(0.0, 0.35), rng.uniform(0.25, 0.85))
    bright = float(rng.uniform(0.3, 0.7))
    style = rng.random()
    if style < 0.4:
        w, d, h = rng.uniform(0.6, 1.3), rng.uniform(0.35, 0.5), rng.uniform(0.8, 1.9)
        body = box(w, d, h, 2).moved(z=h / 2).painted(colour, bright, 0.1)
        doors = [box(w * 0.44, 0.02, h * 0.85).moved(x * w * 0.235, d / 2, h / 2) for x in (-1, 1)]
        lighter = tuple(min(255.0, 1.12 * c) for c in colour)
        painted = [door.painted(np.array(lighter), bright) for door in doors]
        return joined(body, *painted), np.array([w / 2, d / 2])
    if style < 0.75:
        w, d, h = rng.uniform(0.9, 1.5), rng.uniform(0.5, 0.7), 0.74
        board = box(w, d, 0.04, 3).moved(z=h).painted(colour, bright, 0.15)
        sides = [box(0.04, d, h).moved(x * (w / 2 - 0.03), 0.0, h / 2) for x in (-1, 1)]
        screen = box(0.5, 0.04, 0.32).moved(z=h + 0.26).painted((28.0, 30.0, 34.0), 0.12, 0.8)
        return joined(board, *(s.painted(colour, bright) for s in sides), screen), np.array(
            [w / 2, d / 2]
        )
    pot = tube([(0.0, 0.13, 0.13), (0.3, 0.18, 0.18)], 8).painted(colour, bright)
    green = hsv(rng.uniform(70, 130), rng.uniform(0.2, 0.45), rng.uniform(0.25, 0.6))
    crown = [
        ellipsoid(0.2, 0.2, 0.24, 8, 5)
        .moved(
            float(rng.uniform(-0.15, 0.15)),
            float(rng.uniform(-0.15, 0.15)),
            float(rng.uniform(0.5, 1.0)),
        )
        .painted(green, 0.85)
        for _ in range(4)
    ]
    return joined(pot, *crown), np.array([0.25, 0.25])
