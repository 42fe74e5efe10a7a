"""What both cameras film: the person, the chair and the things, placed in a room for every frame."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from rgb2ir_jax.synthesis.actions import ACTIONS
from rgb2ir_jax.synthesis.figure import build_figure
from rgb2ir_jax.synthesis.kinematics import rotation_z
from rgb2ir_jax.synthesis.mesh import PosedMesh
from rgb2ir_jax.synthesis.motion import Performance, play
from rgb2ir_jax.synthesis.naming import SampleName, random_stream
from rgb2ir_jax.synthesis.performer import Performer, cast_performer, dress
from rgb2ir_jax.synthesis.props import make_bag
from rgb2ir_jax.synthesis.raster import Surface, gather
from rgb2ir_jax.synthesis.room import Room, furnish
from rgb2ir_jax.synthesis.script import Script
from rgb2ir_jax.synthesis.skeleton import Proportions
from rgb2ir_jax.synthesis.stage import Stage, Thing, set_stage

FINE_HEIGHT = 400
"""From this height on pictures are painted at their own size with antialiasing and finer shapes."""

# No clip of NTU's layout is longer, so that it is placed in one piece; long videos take several.
_FRAMES_AT_ONCE = 150


def sides_at(height: int) -> int:
    """Faces around a round shape in pictures of a height."""
    return 14 if height >= FINE_HEIGHT else 7


@dataclass
class Scene:
    """Everything that both cameras film.

    Attributes:
        stage: The stage, which says how many frames each camera keeps.
        room: The room and its light.
        parts: All that moves or stands on the stage.
        shadows: Soft spots on the floor: (x, y, radius) in world metres.
    """

    stage: Stage
    room: Room
    parts: list[PosedMesh]
    shadows: list[tuple[float, float, float]]
    _whole: Surface | None = field(default=None, repr=False)

    def surfaces(self) -> Iterator[Surface]:
        """The surface of all parts for consecutive frames, a few seconds at a time: memory is bounded."""
        frames = self.stage.frames
        if frames <= _FRAMES_AT_ONCE:
            if self._whole is None:
                self._whole = gather(self.parts, frames)
            yield self._whole
            return
        for start in range(0, frames, _FRAMES_AT_ONCE):
            stop = min(start + _FRAMES_AT_ONCE, frames)
            shown = (part.between(start, stop) for part in self.parts)
            yield gather([part for part in shown if part.rotation.any()], stop - start)


def stage_scene(name: SampleName, seed: int, height: int) -> Scene:
    """Builds the scene of a sample; it depends on the camera in nothing but the level of detail."""
    who = cast_performer(name.performer, seed)
    stage = set_stage(name, who, seed, sides_at(height))
    rng = random_stream(seed, "motion", name.setup, name.performer, name.replication, name.action)
    script = Script(who, stage, rng)
    ACTIONS[name.action - 1](script)
    session = (name.setup, name.performer)
    return compose_scene(session, who, stage, play(script), stage.things, seed, height)


def compose_scene(
    session: tuple[int, int],
    who: Performer,
    stage: Stage,
    played: Performance,
    things: Sequence[Thing],
    seed: int,
    height: int,
    room: Room | None = None,
) -> Scene:
    """Dresses and furnishes a performance.

    Args:
        session: Setup and performer, whose room and clothes are used.
        who: The performer.
        stage: Where and how long.
        played: The motion.
        things: What can be handled, in the order of `played.things`.
        seed: Seed of the world.
        height: Lines of the colour picture, which sets the level of detail.
        room: The room where it is not the session's by day.
    """
    setup, performer = session
    wear = dress(setup, performer, seed)
    body = Proportions(who.height, who.shoulder)
    parts = build_figure(who, wear, body, played.frames, played.arms, played.legs, stage.sides)
    root = rotation_z(np.array([stage.yaw]))
    ground = np.array([*stage.ground, 0.0])

    def stand(x: float, y: float) -> np.ndarray:
        return ground + root[0] @ np.array([x, y, 0.0])

    chair, table = stand(*stage.chair_point), stand(*stage.table_point)
    # The seat is below and behind whoever sits on it: pushed back, it never covers the thighs.
    turned = rotation_z(np.array([stage.yaw + stage.chair_turn]))
    parts.append(PosedMesh(stage.chair, turned, chair[None], bias=0.22))
    if stage.table is not None:
        parts.append(PosedMesh(stage.table, root, table[None], bias=0.05))
    bag = make_bag(random_stream(seed, "clothes", setup, performer, 1))
    hip = np.array([1.12 * stage.bag_point[0], -0.03, 0.0])
    pelvis = played.frames
    parts.append(PosedMesh(bag, pelvis.rotation["pelvis"], pelvis.world("pelvis", hip), bias=-0.01))
    for thing, (rotation, position) in zip(things, played.things, strict=True):
        parts.append(PosedMesh(thing.mesh, rotation, position, bias=-0.06))
    shadows = [(chair[0], chair[1], 0.3), (ground[0], ground[1], 0.3)]
    if stage.table is not None:
        shadows.append((table[0], table[1], 0.2))
    if room is None:
        room = furnish(setup, performer, seed, scale=130.0 if height >= FINE_HEIGHT else 45.0)
    return Scene(stage, room, parts, [(float(x), float(y), r) for x, y, r in shadows])
