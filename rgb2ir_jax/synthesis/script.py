"""What a performer is to do in a clip, as tracks of keys over time; `motion` turns them into movement."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.synthesis.kinematics import smooth_noise, through_keys
from rgb2ir_jax.synthesis.performer import Performer
from rgb2ir_jax.synthesis.skeleton import FootTrack, Proportions, Torso
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
    """A thing is in a hand from `start` until `end` seconds.

    When let go it flies off at `velocity` (root frame), or is gone into the bag when `stowed`.
    """

    thing: Thing
    side: int
    start: float
    end: float = np.inf
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    axis: list[Key] = field(default_factory=list)
    stowed: bool = False


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
        treads: How each foot moves, by side; empty where the feet stay in their place.
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
        self.treads: dict[int, FootTrack] = {}
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
