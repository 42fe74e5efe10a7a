"""Steps: from the way of a body to where each foot is put down, and how it gets there."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.synthesis.dark.floor import forward
from rgb2ir_jax.synthesis.kinematics import minimum_jerk
from rgb2ir_jax.synthesis.script import LEFT, RIGHT
from rgb2ir_jax.synthesis.skeleton import FootTrack, Proportions

# Ankle to the ball of the foot, about which the heel rises, as a share of the stature.
_BALL = 0.08
_HEEL_OFF_STEPS = 0.35


@dataclass(frozen=True)
class Gait:
    """How steps are made.

    Attributes:
        swing: How long a foot is in the air, in steps. Below one, both feet share the ground for a
            while (walking); above one, neither touches it for a while (running).
        lift: Metres by which the ankle is raised.
        toe_off: Radians by which the toes point down when the foot leaves the ground.
        half_width: Metres from the middle to each foot.
    """

    swing: float
    lift: float
    toe_off: float
    half_width: float


@dataclass
class Way:
    """Where a body goes; longer than the clip where it goes on.

    Attributes:
        place: World metres on the floor, (frame, 2).
        heading: Radians, (frame,).
        steps: Steps made so far, (frame,), never falling.
    """

    place: Float[np.ndarray, "frame 2"]
    heading: Float[np.ndarray, " frame"]
    steps: Float[np.ndarray, " frame"]

    def at(self, step: float) -> tuple[Float[np.ndarray, " 2"], float]:
        """Place and heading when so many steps have been made; the last ones later on."""
        frame = np.arange(len(self.steps), dtype=float)
        # Where the body rests no time is better than another; the slope makes the first one it.
        when = float(np.interp(step, self.steps + 1e-9 * frame, frame))
        x, y = (float(np.interp(when, frame, self.place[:, k])) for k in range(2))
        return np.array([x, y]), float(np.interp(when, frame, self.heading))


def ball_lever(body: Proportions) -> float:
    """Metres from the ankle to the ball of the foot."""
    return _BALL * body.stature


def step_along(
    way: Way,
    frames: int,
    standing: dict[int, Float[np.ndarray, " 2"]],
    first: int,
    gait: Gait,
    body: Proportions,
) -> dict[int, FootTrack]:
    """The feet of a body that goes its way: they stand still on the ground while they carry it.

    A foot is put down where the body will be in the middle of the foot's time on the ground. Step
    k, from 0, is over when `way.steps` has passed k + 1/2 by half of the swing.

    Args:
        way: Where the body goes.
        frames: How many frames are wanted.
        standing: Where each foot stands at first, world metres, by side.
        first: The side that steps first.
        gait: How.
        body: Segment lengths.

    Returns:
        Each foot by side.
    """
    steps = way.steps[:frames]
    last = float(way.steps[-1])
    tracks = {}
    for side in (RIGHT, LEFT):
        at = np.repeat(standing[side][None], frames, axis=0)
        heading = np.full(frames, float(way.heading[0]))
        raised, turned = np.zeros(frames), np.zeros(frames)
        for k in range(0 if side == first else 1, int(np.ceil(last)), 2):
            # Whoever stops there puts the last foot beside the other.
            place, toward = way.at(k + 1.5 if k + 2 < last else last + 1)
            goal = place + side * gait.half_width * forward(toward - np.pi / 2)
            up = max(k + 0.5 - gait.swing / 2, 0.0)
            down = k + 0.5 + gait.swing / 2
            progress = (steps - up) / (down - up)
            share = minimum_jerk(progress)
            at += share[:, None] * (goal - at)
            heading += share * (toward - heading)
            raised += gait.lift * np.sin(np.pi * np.clip(progress, 0, 1)) ** 1.5
            turned += np.interp(
                steps,
                [up - _HEEL_OFF_STEPS, up, up + 0.5 * (down - up), down - 0.05, down + 0.1],
                [0.0, gait.toe_off, 0.4 * gait.toe_off, -0.35 * gait.toe_off, 0.0],
            )
        # The first heel-off would begin before the first frame.
        turned -= turned[0] * np.clip(1 - steps / 0.3, 0, 1)
        tracks[side] = raise_heel(at, heading, raised, turned, body)
    return tracks


def raise_heel(
    at: Float[np.ndarray, "frame 2"],
    heading: Float[np.ndarray, " frame"],
    raised: Float[np.ndarray, " frame"],
    pitch: Float[np.ndarray, " frame"],
    body: Proportions,
) -> FootTrack:
    """A foot whose heel turns about its ball.

    Args:
        at: Where the ankle is on the floor when the foot is flat, world metres.
        heading: Radians.
        raised: Metres by which the whole foot is above the floor.
        pitch: Radians by which the toes point down.
        body: Segment lengths.
    """
    lever, down = ball_lever(body), np.maximum(pitch, 0.0)
    shifted = at + (lever * (1 - np.cos(down)))[:, None] * forward(heading)
    height = body.ankle + raised + lever * np.sin(down)
    return FootTrack(np.concatenate([shifted, height[:, None]], axis=1), heading, pitch)
