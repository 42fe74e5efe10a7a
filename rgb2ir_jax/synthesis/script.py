"""What a performer is to do in a clip, as tracks of keys over time, and how the tracks become motion."""

from dataclasses import dataclass, field
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
from rgb2ir_jax.synthesis.performer import Performer
from rgb2ir_jax.synthesis.skeleton import (
    Frames,
    Limb,
    Proportions,
    Torso,
    place_torso,
    reach,
    shoulder_of,
    stand,
)
from rgb2ir_jax.synthesis.stage import FRAMES_PER_SECOND, Stage, Thing

RIGHT, LEFT = 1, -1


@dataclass
class Key:
    """A hand's (or a thing's axis') goal at a time, given in a moving frame of the body.

    Attributes:
        time: Seconds at which it is reached.
        frame: "root", "chest", "head", or "shoulder" (at the hand's own shoulder, turned as the
            root).
        point: (3,), or (frame, 3) when the goal itself moves.
    """

    time: float
    frame: str
    point: np.ndarray


@dataclass
class Hold:
    """A thing is in a hand from `start` until `end` seconds; when let go it flies off at `velocity` (root frame)."""

    thing: Thing
    side: int
    start: float
    end: float = np.inf
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    axis: list[Key] = field(default_factory=list)


class Script:
    """The tracks of one clip; the actions write into them.

    Attributes:
        time: Seconds of each frame.
        begin: When the action may begin.
        end: When it must have ended.
        torso: Controls of the trunk, to which actions add.
        hands: Goals of each hand, by side, in order of time.
        lift: Elbow lift (time, value) by side.
        holds: What is in which hand and when.
    """

    def __init__(self, who: Performer, stage: Stage, rng: np.random.Generator) -> None:
        """An idle performer on a stage; `rng` varies the motion."""
        self.who, self.stage, self.rng = who, stage, rng
        self.body = Proportions(who.height, who.shoulder)
        self.time = np.arange(stage.frames) / FRAMES_PER_SECOND
        self.begin = stage.begin
        self.end = stage.seconds - stage.rest
        self.tempo = who.tempo * float(rng.uniform(0.85, 1.18))
        self.amplitude = who.amplitude * float(rng.uniform(0.85, 1.15))
        time = self.time
        sway = who.sway
        self.torso = Torso(
            ground=stage.ground
            + np.stack([smooth_noise(rng, time, 0.3 * sway, 0.6) for _ in range(2)], axis=1),
            yaw=stage.yaw + smooth_noise(rng, time, 2.5 * sway, 0.5),
            hip=np.stack(
                [
                    smooth_noise(rng, time, sway, 0.5),
                    self.body.hip_height - abs(smooth_noise(rng, time, 0.5 * sway, 0.5)),
                ],
                axis=1,
            ),
            pitch=who.stoop + smooth_noise(rng, time, 2 * sway, 0.6),
            roll=smooth_noise(rng, time, 2 * sway, 0.5),
            twist=smooth_noise(rng, time, 3 * sway, 0.5),
            head_pitch=0.06 + float(rng.normal(0, 0.07)) + smooth_noise(rng, time, 4 * sway, 0.8),
            head_yaw=float(rng.normal(0, 0.12)) + smooth_noise(rng, time, 5 * sway, 0.6),
            head_roll=smooth_noise(rng, time, 3 * sway, 0.6),
        )
        self.feet = {
            s: np.array([s * who.stance / 2, float(rng.normal(0, 0.025)), self.body.ankle])
            for s in (RIGHT, LEFT)
        }
        self.toe_out = float(rng.uniform(0.05, 0.3))
        rest_lift = 0.1 + 0.12 * who.elbow_lift
        self.lift: dict[int, list[tuple[float, float]]] = {
            s: [(0.0, rest_lift)] for s in (RIGHT, LEFT)
        }
        self.idle_points = {s: self._idle_point(s) for s in (RIGHT, LEFT)}
        self.hands: dict[int, list[Key]] = {s: [self.idle_key(s, 0.0)] for s in (RIGHT, LEFT)}
        self.holds: list[Hold] = []
        if stage.held is not None:
            self.holds.append(Hold(stage.held, -stage.free_side, -1.0))

    def _idle_point(self, side: int) -> tuple[str, np.ndarray]:
        reach_down = self.body.upper_arm + self.body.forearm + self.body.grip
        noise = self.rng.normal(0, 0.012, 3)
        held = self.stage.held is not None and side == -self.stage.free_side
        if held and self.rng.random() < 0.7:
            low = float(self.rng.uniform(0.45, 0.8))
            return "shoulder", noise + np.array([side * 0.02, 0.26, -low * reach_down])
        if not held and self.stage.idle[side] == 1:
            return "chest", noise + np.array([side * 0.13 * self.body.stature, 0.05, -0.02])
        if not held and self.stage.idle[side] == 2:
            return "chest", noise + np.array([side * 0.05, 0.19, 0.02])
        return "shoulder", noise + np.array([side * 0.07, 0.06, -0.955 * reach_down])

    def idle_key(self, side: int, time: float) -> Key:
        """The hand at rest."""
        frame, point = self.idle_points[side]
        return Key(time, frame, point)

    def move(self, side: int, time: float, frame: str, point: object, hold: float = 0.0) -> None:
        """Lets a hand be at a point at a time, and stay for `hold` seconds."""
        goal = np.asarray(point, dtype=float)
        self.hands[side].append(Key(time, frame, goal))
        if hold > 0:
            self.hands[side].append(Key(time + hold, frame, goal))

    def wait(self, side: int, time: float) -> None:
        """Lets a hand stay where it last was until a time."""
        last = self.hands[side][-1]
        if time > last.time:
            self.hands[side].append(Key(time, last.frame, last.point))

    def relax(self, side: int, time: float) -> None:
        """Lets a hand be at rest again at a time."""
        self.hands[side].append(self.idle_key(side, time))

    def bump(self, keys: list[tuple[float, float]]) -> Float[np.ndarray, " frame"]:
        """A scalar through (time, value) keys, to be added to a control."""
        return through_keys(self.time, keys)


@dataclass
class Performance:
    """A script played: where everything is in every frame.

    Attributes:
        frames: The torso's frames.
        arms: By side.
        legs: By side.
        things: For each thing of the stage its rotation (frame, 3, 3) and position (frame, 3).
    """

    frames: Frames
    arms: dict[int, Limb]
    legs: dict[int, Limb]
    things: list[tuple[np.ndarray, np.ndarray]]


def play(script: Script) -> Performance:
    """Turns the tracks of a script into the motion of body and things."""
    body, time = script.body, script.time
    frames = place_torso(script.torso, body)
    arms = {}
    for side in (RIGHT, LEFT):
        frames.rotation["shoulder"] = frames.rotation["root"]
        frames.origin["shoulder"] = shoulder_of(frames, body, side)
        target = _follow(time, frames, script.hands[side])
        target += np.stack([smooth_noise(script.rng, time, 0.004, 2.5) for _ in range(3)], axis=1)
        lift = through_keys(time, script.lift[side])
        arms[side] = reach(frames, body, side, target, lift)
    still = Frames(
        {"root": frames.rotation["root"][:1]},
        {"root": frames.origin["root"][:1]},
    )
    legs = {}
    for side in (RIGHT, LEFT):
        foot = np.repeat(still.world("root", script.feet[side]), len(time), axis=0)
        legs[side] = stand(frames, body, side, foot, script.toe_out)
    things = [_follow_thing(script, frames, still, arms, thing) for thing in script.stage.things]
    return Performance(frames, arms, legs, things)


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
    script: Script, frames: Frames, still: Frames, arms: dict[int, Limb], thing: Thing
) -> tuple[np.ndarray, np.ndarray]:
    """A thing lies, is held, falls or flies."""
    time = script.time
    count = len(time)
    position = np.repeat(still.world("root", thing.point), count, axis=0)
    cosine, sine = np.cos(thing.turn), np.sin(thing.turn)
    lying = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    if thing.flat:
        lying = lying @ np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    rotation = np.repeat(lying[None], count, axis=0)
    if thing.place == "bag":
        rotation[:] = 0.0  # shrunk to a point: nothing to see until a hand brings it out
        position[:, 2] += 0.55 * script.who.height
    for hold in script.holds:
        if hold.thing is not thing:
            continue
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
