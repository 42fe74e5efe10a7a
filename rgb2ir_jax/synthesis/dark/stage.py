"""What is there before anyone acts at night; drawn from the same distribution for every class."""

from dataclasses import dataclass, replace

import numpy as np

from rgb2ir_jax.synthesis.camera import PinholeCamera
from rgb2ir_jax.synthesis.dark.clips import DarkClip
from rgb2ir_jax.synthesis.dark.floor import FreeFloor, forward
from rgb2ir_jax.synthesis.mesh import Mesh, box, joined
from rgb2ir_jax.synthesis.naming import SampleName, random_stream
from rgb2ir_jax.synthesis.performer import Performer, hsv
from rgb2ir_jax.synthesis.props import Kind, make_bag, make_thing
from rgb2ir_jax.synthesis.room import Room
from rgb2ir_jax.synthesis.stage import Stage, Thing, set_stage

# Clips last 1.8 to 3.6 seconds; ARID's last 2.3 on average.
_FEWEST_FRAMES, _MOST_FRAMES = 54, 108

_WIDEST_FACING = np.radians(75.0)
_CRATE_ANGLES = np.radians(25.0), np.radians(65.0)
# A crate nearer to the line of sight than this would hide who stands behind it.
_CLEAR_VIEW = np.radians(40.0)
_SLIDE_METRES = 0.9
_ATTEMPTS = 60


@dataclass
class Crate:
    """A box at hand height that can be pushed.

    Attributes:
        mesh: Its shape above the middle of its foot; +y is the way it is pushed.
        place: Where it stands at first, world metres (2,).
        heading: The way in which it is pushed, radians (0 is world +y, positive turns left).
        depth: Metres along that way.
        height: Metres.
        way: Metres that it may slide before something stops it.
    """

    mesh: Mesh
    place: np.ndarray
    heading: float
    depth: float
    height: float
    way: float


@dataclass
class NightStage:
    """One clip before it begins.

    Attributes:
        stage: Length, facing, chair, table and things, as in the other layouts.
        crate: The crate that stands before the performer's full hand in every clip.
        second_bag: The bag on the other hip, in which there is a second vessel.
        floor: Where there is room to walk.
        room: Walls, furniture and light.
        camera: What films it.
    """

    stage: Stage
    crate: Crate
    second_bag: Mesh
    floor: FreeFloor
    room: Room
    camera: PinholeCamera


def set_night_stage(
    clip: DarkClip, who: Performer, room: Room, camera: PinholeCamera, seed: int, sides: int
) -> NightStage:
    """The stage of a clip.

    Args:
        clip: Which.
        who: Its performer.
        room: Where.
        camera: What films it.
        seed: Seed of the world.
        sides: Faces around a round shape, the level of detail.
    """
    rng = random_stream(seed, "dark stage", 1, clip.label, clip.group, clip.number)
    of_group = random_stream(seed, "dark stage", 0, clip.group)
    # Worlds of their own draw the clip's things and poses, and the group's chair and table. The
    # name is the same for all: nothing can follow from the class.
    name = SampleName(1, 1, 1, 1, 1)
    place = set_stage(name, who, int(of_group.integers(2**31)), sides)
    own = set_stage(name, who, int(rng.integers(2**31)), sides)
    frames = int(rng.integers(_FEWEST_FRAMES, _MOST_FRAMES + 1))
    depth, crate_mesh, height = _make_crate(of_group, who.height)
    floor = FreeFloor.of(room, camera)
    ground, yaw, heading, spot = _choose_places(floor, own.free_side, who.height, depth, rng)
    steps = np.linspace(0.2, _SLIDE_METRES, 15)
    blocked = floor.beyond_walls(spot + steps[:, None] * forward(heading)) > 0
    way = float(steps[max(int(np.argmax(blocked)) - 1, 0)] if blocked.any() else steps[-1])
    stage = replace(
        own,
        frames=frames,
        rgb_frames=frames,
        ir_frames=frames,
        yaw=yaw,
        ground=ground,
        table=place.table,
        table_height=place.table_height,
        chair=place.chair,
        seat=place.seat,
        things=[thing for thing in own.things if thing.place != "table"],
    )
    stage.things.append(_second_vessel(stage, rng))
    _note_obstacles(floor, stage, spot)
    bag = make_bag(of_group)
    crate = Crate(crate_mesh, spot, heading, depth, height, way)
    return NightStage(stage, crate, bag, floor, room, camera)


def _make_crate(rng: np.random.Generator, stature: float) -> tuple[float, Mesh, float]:
    """A crate's depth, shape and height; at its edge a board of another colour."""
    width, depth = rng.uniform(0.36, 0.5), rng.uniform(0.3, 0.42)
    height = rng.uniform(0.57, 0.66) * stature
    colour = hsv(rng.uniform(0, 360), rng.uniform(0.05, 0.4), rng.uniform(0.35, 0.9))
    second = hsv(rng.uniform(0, 360), rng.uniform(0.05, 0.3), rng.uniform(0.3, 0.9))
    body = box(width, depth, height, 3).moved(z=height / 2).painted(colour, 0.5)
    board = box(1.06 * width, 1.06 * depth, 0.08, 3).moved(z=height - 0.12)
    return float(depth), joined(body, board.painted(second, 0.5)), float(height)


def _choose_places(
    floor: FreeFloor, free_side: int, stature: float, depth: float, rng: np.random.Generator
) -> tuple[np.ndarray, float, float, np.ndarray]:
    """Where the performer stands and looks, and the crate's way and place.

    The crate stands on the side of the full hand, away from table and lying things, where it hides
    nobody and can be pushed.
    """
    best: tuple[float, tuple[np.ndarray, float, float, np.ndarray]] | None = None
    for _ in range(_ATTEMPTS):
        ground = np.array([rng.uniform(-0.8, 0.8), rng.uniform(-0.7, 0.4)])
        to_camera = floor.camera - ground
        facing = float(np.arctan2(-to_camera[0], to_camera[1]))
        yaw = facing + float(rng.uniform(-_WIDEST_FACING, _WIDEST_FACING))
        heading = yaw + free_side * float(rng.uniform(*_CRATE_ANGLES))
        # In reach of arms that are still bent.
        near = float(rng.uniform(0.215, 0.25)) * stature
        spot = ground + (near + depth / 2) * forward(heading)
        miss = abs(float(np.angle(np.exp(1j * (heading - facing)))))
        end = spot + 0.6 * _SLIDE_METRES * forward(heading)
        fault = 2 * max(_CLEAR_VIEW - miss, 0.0) + float(floor.beyond_walls(end[None])[0])
        out = floor.excess(np.stack([ground, spot]))
        fault += float(out[0]) + 0.3 * float(out[1])
        if best is None or fault < best[0]:
            best = fault, (ground, yaw, heading, spot)
        if fault == 0:
            break
    if best is None:
        raise ValueError("no place was tried; _ATTEMPTS must be positive")
    return best[1]


def _second_vessel(stage: Stage, rng: np.random.Generator) -> Thing:
    """In the bag on the other hip; or, when that hand holds the first vessel, where the first one would be."""
    mesh, foot = make_thing(Kind.VESSEL, rng, stage.sides)
    pale = hsv(rng.uniform(0, 360), rng.uniform(0.0, 0.3), rng.uniform(0.75, 1.0))
    mesh = mesh.painted(pale, 0.7, 0.2)
    held = stage.held
    mirror = 1.0 if held is not None and held.kind is Kind.VESSEL else -1.0
    point = np.array([mirror * stage.bag_point[0], stage.bag_point[1], foot])
    return Thing(Kind.VESSEL, mesh, foot, "bag", point, float(rng.uniform(0, 2 * np.pi)), False)


def _note_obstacles(floor: FreeFloor, stage: Stage, crate: np.ndarray) -> None:
    right, ahead = forward(stage.yaw - np.pi / 2), forward(stage.yaw)
    chair = stage.ground + stage.chair_point[0] * right + stage.chair_point[1] * ahead
    floor.obstacles += [(*chair.tolist(), 0.5), (*crate.tolist(), 0.55)]
    if stage.table is not None:
        table = stage.ground + stage.table_point[0] * right + stage.table_point[1] * ahead
        floor.obstacles.append((*table.tolist(), 0.45))
