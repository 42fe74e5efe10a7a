"""From tracks to motion: scripts played one after another become the movement of body and things."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.synthesis.kinematics import (
    apply,
    minimum_jerk,
    normalised,
    smooth_noise,
    through_keys,
)
from rgb2ir_jax.synthesis.script import LEFT, RIGHT, Hold, Key, Script
from rgb2ir_jax.synthesis.skeleton import (
    Frames,
    Limb,
    Torso,
    place_torso,
    reach,
    shoulder_of,
    stand,
    tread,
)
from rgb2ir_jax.synthesis.stage import FRAMES_PER_SECOND, Thing


@dataclass
class Performance:
    """Scripts played: where everything is in every frame.

    Attributes:
        frames: The torso's frames.
        arms: By side.
        legs: By side.
        things: For each thing its rotation (frame, 3, 3) and position (frame, 3); a rotation of
            zeros shrinks to a point what nobody sees.
    """

    frames: Frames
    arms: dict[int, Limb]
    legs: dict[int, Limb]
    things: list[tuple[np.ndarray, np.ndarray]]


@dataclass
class Take:
    """A script within a longer performance.

    Attributes:
        script: What is done, in its own time.
        start: The frame of the performance that the script's first frame is.
        fade: Frames at the beginning during which the take before, which still runs, gives way to
            this one; 0 for the first.
    """

    script: Script
    start: int
    fade: int

    @property
    def stop(self) -> int:
        """The frame after the script's last one."""
        return self.start + len(self.script.time)


def play(script: Script) -> Performance:
    """Plays one script on its stage."""
    return play_takes([Take(script, 0, 0)], script.stage.things, script.rng)


def play_takes(
    takes: Sequence[Take], things: Sequence[Thing], rng: np.random.Generator
) -> Performance:
    """Plays scripts of one person one after another, without a jump between them.

    Where two takes overlap, the controls of the body (not the pictures) pass from one to the other
    by a minimum-jerk movement. The feet stay where the first take put them, or follow its tracks.

    Args:
        takes: In order; the first starts at frame 0, and each overlaps the one before by its own
            `fade` and no other.
        things: All things of the performance, whose motion is wanted.
        rng: Draws the tremor of the hands.

    Raises:
        ValueError: when the takes do not follow each other so.
    """
    shares = _shares(takes)
    first = takes[0].script
    body, count = first.body, takes[-1].stop
    time = np.arange(count) / FRAMES_PER_SECOND
    frames = place_torso(_mixed_torso(takes, shares, count), body)
    arms = {}
    for side in (RIGHT, LEFT):
        frames.rotation["shoulder"] = frames.rotation["root"]
        frames.origin["shoulder"] = shoulder_of(frames, body, side)
        target, lift = np.zeros((count, 3)), np.zeros(count)
        for take, share in zip(takes, shares, strict=True):
            script, span = take.script, slice(take.start, take.stop)
            goal = _follow(script.time, _between(frames, span), script.hands[side])
            target[span] += share[:, None] * goal
            lift[span] += share * through_keys(script.time, script.lift[side])
        target += np.stack([smooth_noise(rng, time, 0.004, 2.5) for _ in range(3)], axis=1)
        arms[side] = reach(frames, body, side, target, lift)
    still = _between(frames, slice(0, 1))
    legs = {}
    for side in (RIGHT, LEFT):
        if side in first.treads:
            legs[side] = tread(frames, body, side, first.treads[side], first.toe_out)
            continue
        foot = np.repeat(still.world("root", first.feet[side]), count, axis=0)
        legs[side] = stand(frames, body, side, foot, first.toe_out)
    holds = [hold for take in takes for hold in _holds_of(take)]
    hidden = 0.55 * first.who.height
    played = []
    for thing in things:
        own = [hold for hold in holds if hold.thing is thing]
        played.append(_follow_thing(time, own, frames, still, arms, thing, hidden))
    return Performance(frames, arms, legs, played)


def _shares(takes: Sequence[Take]) -> list[Float[np.ndarray, " _"]]:
    """How much each take counts in each of its frames; in every frame all shares add up to one."""
    if takes[0].start != 0 or takes[0].fade != 0:
        raise ValueError("the first take must start at frame 0 and fade in from nothing")
    shares = [np.ones(len(take.script.time)) for take in takes]
    for (last, take), (before, share) in zip(pairwise(takes), pairwise(shares), strict=True):
        if take.start != last.stop - take.fade:
            raise ValueError(
                f"a take starts at frame {take.start}, the one before stops at {last.stop}: "
                f"they must overlap by {take.fade} frames"
            )
        if take.fade:
            rise = minimum_jerk(np.arange(1, take.fade + 1) / (take.fade + 1))
            before[-take.fade :] *= 1 - rise
            share[: take.fade] *= rise
    return shares


def _mixed_torso(takes: Sequence[Take], shares: list[Float[np.ndarray, " _"]], count: int) -> Torso:
    mixed: dict[str, np.ndarray] = {}
    for control in fields(Torso):
        total: np.ndarray | None = None
        for take, share in zip(takes, shares, strict=True):
            value = getattr(take.script.torso, control.name)
            if total is None:
                total = np.zeros((count, *value.shape[1:]))
            total[take.start : take.stop] += share.reshape(-1, *[1] * (value.ndim - 1)) * value
        if total is not None:
            mixed[control.name] = total
    return Torso(**mixed)


def _between(frames: Frames, span: slice) -> Frames:
    return Frames(
        {name: value[span] for name, value in frames.rotation.items()},
        {name: value[span] for name, value in frames.origin.items()},
    )


def _holds_of(take: Take) -> list[Hold]:
    """The take's holds in the time of the performance."""
    offset = take.start / FRAMES_PER_SECOND
    return [
        replace(
            hold,
            start=hold.start + offset,
            end=hold.end + offset,
            axis=[replace(key, time=key.time + offset) for key in hold.axis],
        )
        for hold in take.script.holds
    ]


def _follow(
    time: Float[np.ndarray, " frame"], frames: Frames, keys: list[Key], *, directions: bool = False
) -> Float[np.ndarray, "frame 3"]:
    """World goals (or directions) that pass through the keys by minimum-jerk movements."""

    def world(key: Key) -> np.ndarray:
        if directions:
            return apply(frames.rotation[key.frame], key.point)
        return frames.world(key.frame, key.point)

    value = world(keys[0]).copy()
    for last, key in pairwise(keys):
        share = minimum_jerk((time - last.time) / max(key.time - last.time, 1e-3))[:, None]
        value = (1 - share) * value + share * world(key)
    return value


_GRAVITY = 9.81
_BOUNCE = 0.3
_BLEND_SECONDS = 0.12


def _follow_thing(
    time: Float[np.ndarray, " frame"],
    holds: list[Hold],
    frames: Frames,
    still: Frames,
    arms: dict[int, Limb],
    thing: Thing,
    hidden: float,
) -> tuple[np.ndarray, np.ndarray]:
    """A thing lies, is held, falls or flies; or is hidden in the bag, `hidden` metres above its point."""
    count = len(time)
    position = np.repeat(still.world("root", thing.point), count, axis=0)
    cosine, sine = np.cos(thing.turn), np.sin(thing.turn)
    lying = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    if thing.flat:
        lying = lying @ np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    rotation = np.repeat(lying[None], count, axis=0)
    if thing.place == "bag":
        rotation[:] = 0.0  # shrunk to a point: nothing to see until a hand brings it out
        position[:, 2] += hidden
    for hold in holds:
        up = Key(0.0, "root", np.array([0.0, 0.12, 1.0]))
        axis = normalised(_follow(time, frames, [up, *hold.axis], directions=True))
        side = frames.rotation["root"][:, :, 0]
        y = normalised(np.cross(axis, side))
        carried = np.stack([np.cross(y, axis), y, axis], axis=-1)
        inside = (time >= hold.start) & (time < hold.end)
        # The hand closes over what is left of the way between it and the thing.
        share = minimum_jerk((time - hold.start) / _BLEND_SECONDS)[:, None]
        grip = arms[hold.side].grip
        position = np.where(inside[:, None], (1 - share) * position + share * grip, position)
        rotation = np.where(inside[:, None, None], carried, rotation)
        after = time >= hold.end
        if after.any():
            first = int(np.argmax(after))
            if hold.stowed:
                rotation[first:] = 0.0
                position[first:] = grip[first]
                continue
            velocity = apply(frames.rotation["root"][first : first + 1], hold.velocity)[0]
            position[first:] = _fall(grip[first], velocity, time[first:] - time[first], thing.foot)
            rotation[first:] = carried[first]
    return rotation, position


def _fall(
    start: Float[np.ndarray, " 3"],
    velocity: Float[np.ndarray, " 3"],
    time: Float[np.ndarray, " frame"],
    foot: float,
) -> Float[np.ndarray, "frame 3"]:
    """Free fall to the floor, one bounce, then rest."""
    floor = max(foot, 0.03)
    speed = velocity[2]
    drop = max(start[2] - floor, 0.0)
    landing = (speed + np.sqrt(speed**2 + 2 * _GRAVITY * drop)) / _GRAVITY
    rebound = _BOUNCE * abs(speed - _GRAVITY * landing)
    stop = landing + 2 * rebound / _GRAVITY
    late = np.maximum(time - landing, 0.0)
    height = np.where(
        time < landing,
        start[2] + speed * time - 0.5 * _GRAVITY * time**2,
        floor + np.maximum(rebound * late - 0.5 * _GRAVITY * late**2, 0.0) * (time < stop),
    )
    travelled = np.minimum(time, landing) + _BOUNCE * np.minimum(late, stop - landing)
    flat = start[None, :2] + travelled[:, None] * velocity[None, :2]
    return np.concatenate([flat, height[:, None]], axis=1)
