"""What a performer is to do in a dark clip: the tracks of the other layouts, and what goes beyond them."""

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.synthesis.dark.footwork import Gait, Way, step_along
from rgb2ir_jax.synthesis.dark.stage import NightStage
from rgb2ir_jax.synthesis.kinematics import apply, rotation_z
from rgb2ir_jax.synthesis.performer import Performer
from rgb2ir_jax.synthesis.script import LEFT, RIGHT, Hold, Script


class NightScript(Script):
    """A script whose performer may leave the place, push the crate, and pour.

    Attributes:
        night: The stage with its crate and floor.
        slide: How far the crate has been pushed, metres, (frame,).
        pour: The holds of the vessel that is emptied and of the one that is filled.
    """

    def __init__(self, who: Performer, night: NightStage, rng: np.random.Generator) -> None:
        """An idle performer on a stage; `rng` varies the motion."""
        super().__init__(who, night.stage, rng)
        self.night = night
        self.slide: Float[np.ndarray, " frame"] = np.zeros(len(self.time))
        self.pour: tuple[Hold, Hold] | None = None

    @property
    def spare(self) -> float:
        """Seconds between the earliest begin and the latest end of the action."""
        return self.end - self.begin

    def standing(self) -> dict[int, Float[np.ndarray, " 2"]]:
        """Where the feet stand in the first frame, world metres, by side."""
        turn = rotation_z(self.torso.yaw[:1])
        return {
            side: self.torso.ground[0] + apply(turn, self.feet[side])[0, :2]
            for side in (RIGHT, LEFT)
        }

    def go(self, way: Way, first: int, gait: Gait) -> None:
        """Moves the body along a way that begins where it stands, and lets the feet step."""
        count = len(self.time)
        self.torso.ground += way.place[:count] - way.place[0]
        self.torso.yaw += way.heading[:count] - way.heading[0]
        self.treads = step_along(way, count, self.standing(), first, gait, self.body)

    def to_root(self, points: Float[np.ndarray, "frame 3"]) -> Float[np.ndarray, "frame 3"]:
        """World points of each frame in the body's root frame, as its way stands now."""
        floor = np.concatenate([self.torso.ground, np.zeros((len(self.time), 1))], axis=1)
        back = rotation_z(self.torso.yaw).transpose(0, 2, 1)
        return apply(back, points - floor)
