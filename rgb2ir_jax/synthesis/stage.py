"""What is there before anyone acts: length, facing, chair, table, things and idle pose.

Every quantity here is drawn from the same distribution for every class, so that neither a clip's
length nor its first frame nor what stands or lies about gives the class away.
"""

from dataclasses import dataclass, field

import numpy as np

from rgb2ir_jax.synthesis.mesh import Mesh
from rgb2ir_jax.synthesis.naming import SampleName, random_stream
from rgb2ir_jax.synthesis.performer import Performer
from rgb2ir_jax.synthesis.props import Kind, make_chair, make_table, make_thing

FRAMES_PER_SECOND = 30

# Clips last two to five seconds.
_FEWEST_FRAMES, _MOST_FRAMES = 60, 150

_HELD_AT_FIRST = 0.15
_SECOND_ON_FLOOR = 0.3
_TABLE_STANDS = 0.3
_MISSING_FRAMES = 0.04


@dataclass
class Thing:
    """A thing on the stage.

    Attributes:
        kind: What it is for.
        mesh: Its shape around the place where it is held.
        foot: Metres from that place down to its foot.
        place: "bag" (unseen), "table", "floor" or "hand".
        point: Where it is held, in the body's root frame at the start (for "hand": not used).
        turn: Its direction about the vertical, radians.
        flat: Whether it lies on its side when nobody holds it.
    """

    kind: Kind
    mesh: Mesh
    foot: float
    place: str
    point: np.ndarray
    turn: float
    flat: bool


@dataclass
class Stage:
    """One performance before it begins.

    Attributes:
        frames: Pictures in the clip.
        rgb_frames: Pictures that the colour camera keeps; a few clips lose one or two at the end.
        ir_frames: The same for the infrared camera.
        yaw: Direction that the performer faces (0 is world +y, positive turns left).
        ground: Where the performer stands, world metres (2,).
        begin: Seconds of idling before the action.
        rest: Seconds of idling after it, at most.
        free_side: The hand that is empty at first and on whose side the bag hangs: 1 right, -1
            left.
        bag_point: Where the hand goes for things of the bag, root frame (2,).
        table: A table beside the performer, or None.
        table_point: The middle of its foot in the root frame, (2,).
        table_height: Metres.
        chair: Its mesh, whose seat's middle stands at `chair_point` in the root frame.
        chair_point: (2,).
        chair_turn: Radians.
        seat: Height of the seat in metres.
        idle: How each arm is held at rest, by side: 0 hangs, 1 on the hip, 2 before the belly.
        things: Everything that can be handled. At most one is in a hand: the one
            that is not free.
        sides: Faces around a round shape: the level of detail.
    """

    frames: int
    rgb_frames: int
    ir_frames: int
    yaw: float
    ground: np.ndarray
    begin: float
    rest: float
    free_side: int
    bag_point: np.ndarray
    table: Mesh | None
    table_point: np.ndarray
    table_height: float
    chair: Mesh
    chair_point: np.ndarray
    chair_turn: float
    seat: float
    idle: dict[int, int]
    sides: int
    things: list[Thing] = field(default_factory=list)

    @property
    def held(self) -> Thing | None:
        """The thing that is in a hand in the first frame."""
        return next((thing for thing in self.things if thing.place == "hand"), None)

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.frames / FRAMES_PER_SECOND


def set_stage(name: SampleName, who: Performer, seed: int, sides: int) -> Stage:
    """The stage of a sample; the same for its three cameras."""
    rng = random_stream(seed, "stage", name.setup, name.performer, name.replication, name.action)
    session = random_stream(seed, "room", name.setup, name.performer, 1)
    frames = int(rng.integers(_FEWEST_FRAMES, _MOST_FRAMES + 1))
    lost = int(rng.integers(1, 3)) if rng.random() < _MISSING_FRAMES else 0
    lost_from_ir = bool(rng.random() < 0.5)
    # Replication 1 faces camera 2 at +45 degrees, replication 2 camera 3 at -45; world +y is away
    # from the cameras.
    towards = np.radians(45.0 if name.replication == 1 else -45.0)
    yaw = float(np.pi + towards + who.turn + rng.normal(0, 0.09))
    right_free = (rng.random() < 0.8) == who.right_handed
    side = 1 if right_free else -1
    seat = float(session.uniform(0.41, 0.47)) * who.height / 1.7
    height = float(session.uniform(0.68, 0.8))
    stage = Stage(
        frames=frames,
        rgb_frames=frames - (0 if lost_from_ir else lost),
        ir_frames=frames - (lost if lost_from_ir else 0),
        yaw=yaw,
        ground=rng.normal(0, 0.05, 2),
        begin=float(rng.uniform(0.05, 0.3)),
        rest=float(rng.uniform(0.05, 0.4)),
        free_side=side,
        bag_point=np.array([side * 0.125 * who.height, 0.06]),
        table=make_table(session, height) if session.random() < _TABLE_STANDS else None,
        table_point=np.array([side * rng.uniform(0.7, 0.9), rng.uniform(-0.4, 0.1)]),
        table_height=height,
        chair=make_chair(session, seat),
        chair_point=np.array([rng.normal(0, 0.02), -0.46 - abs(rng.normal(0, 0.02))]),
        chair_turn=float(rng.normal(0, 0.08)),
        seat=seat,
        idle={s: int(rng.choice(3, p=[0.72, 0.12, 0.16])) for s in (1, -1)},
        sides=sides,
    )
    _lay_things(stage, rng)
    return stage


def _lay_things(stage: Stage, rng: np.random.Generator) -> None:
    """One thing of each kind, in the bag or in a hand; more that lie about on floor and table."""
    kinds = list(Kind)
    held = int(rng.integers(len(kinds))) if rng.random() < _HELD_AT_FIRST else -1
    for i, kind in enumerate(kinds):
        place = "hand" if i == held else "bag"
        _lay(stage, rng, kind, place, np.array([*stage.bag_point, 0.0]))
    # One lies before the feet on the free hand's side, where it can be picked up.
    near = np.array([stage.free_side * rng.uniform(-0.05, 0.2), rng.uniform(0.3, 0.5), 0.0])
    _lay(stage, rng, _lying_kind(rng), "floor", near)
    if rng.random() < _SECOND_ON_FLOOR:
        aside = np.array([-stage.free_side * rng.uniform(0.4, 0.8), rng.uniform(-0.2, 0.6), 0.0])
        _lay(stage, rng, _lying_kind(rng), "floor", aside)
    if stage.table is not None:
        for _ in range(int(rng.integers(0, 2))):
            spot = stage.table_point + rng.uniform(-0.12, 0.12, 2)
            kind = kinds[int(rng.integers(len(kinds)))]
            _lay(stage, rng, kind, "table", np.array([*spot, stage.table_height]))


def _lying_kind(rng: np.random.Generator) -> Kind:
    """Parcels lie on floors more often than cups do."""
    kinds = list(Kind)
    return Kind.PARCEL if rng.random() < 0.8 else kinds[int(rng.integers(len(kinds)))]


def _lay(
    stage: Stage, rng: np.random.Generator, kind: Kind, place: str, support: np.ndarray
) -> None:
    """Adds a thing that stands on a point of the root frame."""
    mesh, foot = make_thing(kind, rng, stage.sides)
    turn = float(rng.uniform(0, 2 * np.pi))
    flat = kind in (Kind.TOOTHBRUSH, Kind.COMB)
    point = support + np.array([0.0, 0.0, 0.02 if flat else foot])
    stage.things.append(Thing(kind, mesh, foot, place, point, turn, flat))
