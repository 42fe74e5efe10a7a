"""The joints of a person: from a few controls a frame to every joint's place and direction."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.synthesis.kinematics import (
    apply,
    frame_along,
    normalised,
    rotation_x,
    rotation_y,
    rotation_z,
    two_bone_ik,
)


@dataclass(frozen=True)
class Proportions:
    """Lengths of a body's segments in metres, as shares of the stature (Drillis and Contini, 1966)."""

    stature: float
    shoulder_factor: float = 1.0

    @property
    def upper_arm(self) -> float:
        """Shoulder to elbow."""
        return 0.186 * self.stature

    @property
    def forearm(self) -> float:
        """Elbow to wrist."""
        return 0.146 * self.stature

    @property
    def grip(self) -> float:
        """Wrist to the middle of a closed hand."""
        return 0.05 * self.stature

    @property
    def thigh(self) -> float:
        """Hip to knee."""
        return 0.245 * self.stature

    @property
    def shin(self) -> float:
        """Knee to ankle."""
        return 0.246 * self.stature

    @property
    def ankle(self) -> float:
        """Height of the ankle above the floor."""
        return 0.045 * self.stature

    @property
    def hip_height(self) -> float:
        """Height of the hip joints of a person who stands with the knees a little bent."""
        return 0.525 * self.stature

    @property
    def hip_half_width(self) -> float:
        """Middle to hip joint."""
        return 0.052 * self.stature

    @property
    def waist(self) -> float:
        """Hip joints to the waist."""
        return 0.075 * self.stature

    @property
    def chest(self) -> float:
        """Waist to the root of the neck."""
        return 0.235 * self.stature

    @property
    def shoulder_half_width(self) -> float:
        """Middle to shoulder joint."""
        return 0.112 * self.stature * self.shoulder_factor

    @property
    def neck(self) -> float:
        """Root of the neck to the middle of the head."""
        return 0.098 * self.stature


@dataclass
class Torso:
    """Controls of everything but the limbs; one value a frame.

    Attributes:
        ground: Where the person stands, (frame, 2), world metres.
        yaw: Direction of the body: 0 looks along world +y, positive turns left.
        hip: Hip joints above the floor and forward of `ground` in the body's frame, (frame, 2):
            (forward, up).
        pitch: Forward lean of the chest.
        roll: Lean of the chest to the right.
        twist: Turn of the chest to the left against the feet.
        head_pitch: Nod (looking down is positive).
        head_yaw: Turn of the head to the left.
        head_roll: Tilt of the head to the right.
    """

    ground: Float[np.ndarray, "frame 2"]
    yaw: Float[np.ndarray, " frame"]
    hip: Float[np.ndarray, "frame 2"]
    pitch: Float[np.ndarray, " frame"]
    roll: Float[np.ndarray, " frame"]
    twist: Float[np.ndarray, " frame"]
    head_pitch: Float[np.ndarray, " frame"]
    head_yaw: Float[np.ndarray, " frame"]
    head_roll: Float[np.ndarray, " frame"]


@dataclass
class Frames:
    """Moving frames of the body: rotations (frame, 3, 3) and origins (frame, 3); see `place_torso`."""

    rotation: dict[str, Float[np.ndarray, "frame 3 3"]]
    origin: dict[str, Float[np.ndarray, "frame 3"]]

    def world(self, frame: str, point: Float[np.ndarray, "..."]) -> Float[np.ndarray, "frame 3"]:
        """World position of a point (3,) or points (frame, 3) given in the frame of that name."""
        return self.origin[frame] + apply(self.rotation[frame], np.asarray(point, dtype=float))


def place_torso(torso: Torso, body: Proportions) -> Frames:
    """The frames `root` (on the floor, turned by yaw), `pelvis`, `chest` (at the waist), `neck` and `head`."""
    zero = np.zeros(len(torso.yaw))
    root = rotation_z(torso.yaw)
    pelvis = root @ rotation_z(0.3 * torso.twist) @ rotation_x(-0.55 * torso.pitch)
    chest = root @ rotation_z(torso.twist) @ rotation_y(torso.roll) @ rotation_x(-torso.pitch)
    # The neck takes back part of a deep bend, as people do who look where they reach.
    neck = chest @ rotation_z(0.4 * torso.head_yaw) @ rotation_x(-0.4 * torso.head_pitch)
    head = (
        chest
        @ rotation_z(torso.head_yaw)
        @ rotation_x(0.35 * np.maximum(torso.pitch, 0) - torso.head_pitch)
        @ rotation_y(torso.head_roll)
    )
    floor = np.concatenate([torso.ground, zero[:, None]], axis=1)
    hip = floor + apply(root, np.stack([zero, torso.hip[:, 0], torso.hip[:, 1]], axis=1))
    waist = hip + apply(pelvis, np.array([0, 0, body.waist]))
    nape = waist + apply(chest, np.array([0, 0, body.chest]))
    skull = nape + apply(neck, np.array([0, 0.012 * body.stature, body.neck]))
    return Frames(
        {"root": root, "pelvis": pelvis, "chest": chest, "neck": neck, "head": head},
        {"root": floor, "pelvis": hip, "chest": waist, "neck": nape, "head": skull},
    )


@dataclass
class Limb:
    """A limb's joints in the world: arrays (frame, 3). `grip` is the middle of the hand (or the toes)."""

    start: Float[np.ndarray, "frame 3"]
    middle: Float[np.ndarray, "frame 3"]
    end: Float[np.ndarray, "frame 3"]
    grip: Float[np.ndarray, "frame 3"]
    frame: Float[np.ndarray, "frame 3 3"]


def shoulder_of(frames: Frames, body: Proportions, side: int) -> Float[np.ndarray, "frame 3"]:
    """The shoulder joint of a side (1 right, -1 left)."""
    return frames.world(
        "chest", np.array([side * body.shoulder_half_width, 0.0, body.chest - 0.018 * body.stature])
    )


def reach(
    frames: Frames,
    body: Proportions,
    side: int,
    target: Float[np.ndarray, "frame 3"],
    lift: Float[np.ndarray, " frame"],
) -> Limb:
    """An arm whose closed hand is at the target (or as near as it can be).

    Args:
        frames: The torso.
        body: Segment lengths.
        side: 1 right, -1 left.
        target: Where the middle of the hand should be, in the world.
        lift: How far the elbow is raised sideways, 0 (hangs) to 1 (shoulder height).
    """
    shoulder = shoulder_of(frames, body, side)
    pole = np.stack(
        [side * (0.35 + 0.9 * lift), np.full(len(lift), -0.45), -1.0 + 1.0 * lift], axis=1
    )
    pole = apply(frames.rotation["chest"], pole)
    elbow, hand = two_bone_ik(shoulder, target, pole, body.upper_arm, body.forearm + body.grip)
    along = normalised(hand - elbow)
    wrist = elbow + body.forearm * along
    frame = frame_along(along, frames.rotation["chest"][:, :, 0])
    return Limb(shoulder, elbow, wrist, hand, frame)


@dataclass
class FootTrack:
    """How a foot moves that leaves its place.

    Attributes:
        ankle: World metres, (frame, 3).
        heading: Direction of the body that it belongs to, (frame,): 0 is world +y, positive turns
            left.
        pitch: Radians by which the toes point down, (frame,).
    """

    ankle: Float[np.ndarray, "frame 3"]
    heading: Float[np.ndarray, " frame"]
    pitch: Float[np.ndarray, " frame"]


def stand(
    frames: Frames, body: Proportions, side: int, foot: Float[np.ndarray, "frame 3"], toe_out: float
) -> Limb:
    """A leg whose ankle is at `foot` (world), the toes turned outward by `toe_out`."""
    hip = frames.world("pelvis", np.array([side * body.hip_half_width, 0.0, 0.0]))
    direction = frames.rotation["root"] @ rotation_z(np.array([-side * toe_out]))
    pole = direction[:, :, 1] + 0.12 * side * direction[:, :, 0]
    knee, ankle = two_bone_ik(hip, foot, pole, body.thigh, body.shin)
    toes = ankle + 0.1 * body.stature * direction[:, :, 1]
    return Limb(hip, knee, ankle, toes, direction)


def tread(frames: Frames, body: Proportions, side: int, track: FootTrack, toe_out: float) -> Limb:
    """A leg whose foot follows its own track, the toes turned outward by `toe_out`."""
    hip = frames.world("pelvis", np.array([side * body.hip_half_width, 0.0, 0.0]))
    level = rotation_z(track.heading - side * toe_out)
    # Knees point to where body and foot do on average.
    pole = level[:, :, 1] + frames.rotation["root"][:, :, 1] + 0.12 * side * level[:, :, 0]
    knee, ankle = two_bone_ik(hip, track.ankle, pole, body.thigh, body.shin)
    direction = level @ rotation_x(-track.pitch)
    toes = ankle + 0.1 * body.stature * direction[:, :, 1]
    return Limb(hip, knee, ankle, toes, direction)
