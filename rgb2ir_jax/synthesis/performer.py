"""Who acts: body, skin, hair and habits of a performer, and the clothes of a session."""

import colorsys
from dataclasses import dataclass

import numpy as np

from rgb2ir_jax.synthesis.naming import random_stream

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Performer:
    """A body and its habits; the same in all clips of the performer.

    Attributes:
        height: Metres.
        girth: Factor on all thicknesses of the body.
        shoulder: Factor on the width of the shoulders.
        skin: Colour of the skin, 0-255.
        hair: Colour of the hair, 0-255.
        hair_style: 0 short, 1 half long, 2 long, 3 cap.
        glasses: Whether glasses are worn.
        hair_reflectance: Of the infrared light, 0-1.
        right_handed: Which hand is preferred.
        tempo: Factor on the speed of movements.
        amplitude: Factor on the size of movements.
        elbow_lift: How far the elbows are held from the body, 0-1.
        sway: Metres of idle sway.
        stoop: Radians by which the performer stands bent forward.
        stance: Metres between the feet.
        turn: Radians by which the performer misses the direction to face.
    """

    height: float
    girth: float
    shoulder: float
    skin: Colour
    hair: Colour
    hair_style: int
    glasses: bool
    hair_reflectance: float
    right_handed: bool
    tempo: float
    amplitude: float
    elbow_lift: float
    sway: float
    stoop: float
    stance: float
    turn: float


@dataclass(frozen=True)
class Clothes:
    """What a performer wears in one session.

    Reflectances are of the infrared light and do not follow the colours.

    Attributes:
        shirt: Colour of the upper body.
        shirt_second: Second colour of the pattern.
        pattern: 0 plain, 1 stripes, 2 checks, 3 print on the chest, 4 open jacket.
        sleeve: 0 short, 1 to the elbow, 2 long.
        trousers: Colour of the legs.
        leg: 0 shorts, 1 long.
        shoes: Colour of the feet.
        shirt_reflectance: 0-1.
        trousers_reflectance: 0-1.
        shoes_reflectance: 0-1.
    """

    shirt: Colour
    shirt_second: Colour
    pattern: int
    sleeve: int
    trousers: Colour
    leg: int
    shoes: Colour
    shirt_reflectance: float
    trousers_reflectance: float
    shoes_reflectance: float


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Red, green, blue 0-255 of a hue in degrees, saturation and value 0-1."""
    r, g, b = colorsys.hsv_to_rgb((hue % 360.0) / 360.0, saturation, value)
    return 255 * r, 255 * g, 255 * b


def cast_performer(number: int, seed: int) -> Performer:
    """The performer of the given number (1-40)."""
    rng = random_stream(seed, "performer", number)
    tone = rng.uniform(0, 1)
    skin = hsv(rng.uniform(16, 28), 0.25 + 0.35 * tone, 0.93 - 0.5 * tone**1.3)
    if rng.random() < 0.7:
        hair = hsv(rng.uniform(15, 40), rng.uniform(0.2, 0.6), rng.uniform(0.06, 0.3))
    else:
        hair = hsv(rng.uniform(20, 45), rng.uniform(0.3, 0.65), rng.uniform(0.35, 0.75))
    return Performer(
        height=float(np.clip(rng.normal(1.7, 0.08), 1.48, 1.92)),
        girth=float(np.clip(rng.normal(1.0, 0.11), 0.8, 1.3)),
        shoulder=float(rng.uniform(0.93, 1.07)),
        skin=skin,
        hair=hair,
        hair_style=int(rng.choice(4, p=[0.45, 0.2, 0.25, 0.1])),
        glasses=bool(rng.random() < 0.3),
        hair_reflectance=float(rng.uniform(0.3, 0.6)),
        right_handed=bool(rng.random() < 0.85),
        tempo=float(rng.uniform(0.82, 1.2)),
        amplitude=float(rng.uniform(0.8, 1.2)),
        elbow_lift=float(rng.uniform(0.0, 1.0)),
        sway=float(rng.uniform(0.004, 0.015)),
        stoop=float(rng.uniform(-0.02, 0.12)),
        stance=float(rng.uniform(0.2, 0.34)),
        turn=float(rng.normal(0, 0.1)),
    )


def dress(setup: int, performer: int, seed: int) -> Clothes:
    """The clothes that a performer wears in a setup: sessions lie weeks apart, so each has its own."""
    rng = random_stream(seed, "clothes", setup, performer)

    def cloth() -> Colour:
        # Duller than the objects in people's hands, as clothes are.
        if rng.random() < 0.4:
            return hsv(rng.uniform(0, 360), rng.uniform(0.0, 0.12), rng.uniform(0.3, 0.98))
        return hsv(rng.uniform(0, 360), rng.uniform(0.1, 0.38), rng.uniform(0.4, 0.95))

    def reflectance() -> float:
        # Most dyes that look dark are bright to infrared light; some (and some blacks) are not.
        return float(rng.uniform(0.55, 0.95) if rng.random() < 0.8 else rng.uniform(0.15, 0.45))

    jeans = hsv(rng.uniform(210, 228), rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.75))
    dark = hsv(rng.uniform(0, 360), rng.uniform(0, 0.2), rng.uniform(0.1, 0.3))
    trousers = [jeans, dark, cloth()][int(rng.choice(3, p=[0.4, 0.3, 0.3]))]
    return Clothes(
        shirt=cloth(),
        shirt_second=cloth(),
        pattern=int(rng.choice(5, p=[0.35, 0.2, 0.15, 0.15, 0.15])),
        sleeve=int(rng.choice(3, p=[0.45, 0.15, 0.4])),
        trousers=trousers,
        leg=int(rng.random() < 0.85),
        shoes=hsv(rng.uniform(0, 360), rng.uniform(0, 0.35), rng.uniform(0.1, 0.95)),
        shirt_reflectance=reflectance(),
        trousers_reflectance=reflectance(),
        shoes_reflectance=reflectance(),
    )
