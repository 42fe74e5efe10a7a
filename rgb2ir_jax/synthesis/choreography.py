"""A long performance: actions one after another, with rest between them, by one person in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from rgb2ir_jax.synthesis.actions import ACTIONS
from rgb2ir_jax.synthesis.kinematics import minimum_jerk
from rgb2ir_jax.synthesis.long_videos import SIT_DOWN, LongVideo
from rgb2ir_jax.synthesis.motion import Take
from rgb2ir_jax.synthesis.naming import SampleName, random_stream
from rgb2ir_jax.synthesis.performer import Performer, cast_performer
from rgb2ir_jax.synthesis.props import Kind
from rgb2ir_jax.synthesis.script import LEFT, RIGHT, Hold, Script
from rgb2ir_jax.synthesis.skeleton import Torso
from rgb2ir_jax.synthesis.stage import FRAMES_PER_SECOND, Stage, Thing, set_stage

# Long enough to put away what is in the hand and to be at rest before the next action.
_REST_SECONDS = (2.6, 4.6)
_FADE_FRAMES = 24
_STILL_FRAMES = 3
_SETTLE_SECONDS = 0.8
_SURE = 0.9
# Things to be picked up that lie nearer to each other than this would pass through one another.
_APART_METRES = 0.14


@dataclass(frozen=True)
class Mark:
    """When an action happens.

    Attributes:
        action: 1-10, in the order of `naming.CLASS_NAMES`.
        start: Its first frame, from 0.
        stop: The frame after its last one.
        confidence: 2 sure, 1 less sure, as PKU-MMD's annotators say; drawn, and without meaning.
    """

    action: int
    start: int
    stop: int
    confidence: int


@dataclass
class Choreography:
    """A long performance before it is played.

    Attributes:
        who: The performer.
        stage: Where, and how many frames.
        marks: The actions in order; between them there is rest.
        takes: One script an action; each runs on until the next has taken over.
        things: Everything that is handled or lies about.
        rng: For what is drawn while it is played.
    """

    who: Performer
    stage: Stage
    marks: list[Mark]
    takes: list[Take]
    things: list[Thing]
    rng: np.random.Generator


def choreograph(video: LongVideo, seed: int, sides: int) -> Choreography:
    """Plans a long video; the same for its three views and, but for `sides`, for every picture size.

    Lengths, idle poses and things are drawn as for the clips of NTU's layout, in the same way for
    every action. Hands are empty between actions: what was used goes back into the bag.

    Args:
        video: Who does what.
        seed: Seed of the world.
        sides: Faces around a round shape, the level of detail.
    """
    rng = random_stream(seed, "long motion", video.number)
    who = cast_performer(video.performer, seed)
    stage = _empty_stage(video, who, seed, sides, rng)
    clips = []
    for action in video.actions:
        # A world of its own draws each action's length, pose and things; room and chair are the
        # video's.
        name = SampleName(video.setup, 1, video.performer, 1, action)
        clips.append(set_stage(name, who, int(rng.integers(2**31)), sides))
    marks = _mark(video, clips, rng)
    stage.frames = marks[-1].stop + _rest_frames(rng)
    lost = stage.rgb_frames, stage.ir_frames
    stage.rgb_frames, stage.ir_frames = (stage.frames - frames for frames in lost)
    things = [thing for thing in stage.things if thing.place in ("floor", "table")]
    bundles = [_things_at_hand(clip, stage) for clip in clips]
    wanted = [b[0] for b, mark in zip(bundles, marks, strict=True) if _picks_up(mark)]
    if wanted:
        # What lies before the feet is what will be picked up, all of it there from the beginning.
        lying = next(thing for thing in things if thing.place == "floor")
        things = [thing for thing in things if thing is not lying] + _laid_apart(wanted, stage)
    takes = []
    for k, (mark, clip, bundle) in enumerate(zip(marks, clips, bundles, strict=True)):
        start = max(mark.start - _STILL_FRAMES - _FADE_FRAMES, 0) if k else 0
        stop = marks[k + 1].start - _STILL_FRAMES if k + 1 < len(marks) else stage.frames
        own = replace(
            stage,
            frames=stop - start,
            begin=(mark.start - start) / FRAMES_PER_SECOND,
            rest=(stop - mark.stop) / FRAMES_PER_SECOND,
            idle=clip.idle,
            things=bundle,
        )
        script = Script(who, own, random_stream(seed, "long motion", video.number, k + 1))
        _act(script, mark.action)
        takes.append(Take(script, start, _FADE_FRAMES if k else 0))
        things += [h.thing for h in script.holds if not any(h.thing is t for t in things)]
    return Choreography(who, stage, marks, takes, things, rng)


def _empty_stage(
    video: LongVideo, who: Performer, seed: int, sides: int, rng: np.random.Generator
) -> Stage:
    """Chair, table and what lies about; the frames that a camera loses stand in the frame counts."""
    takes = 1 + video.number % 2, 1 + video.number // 2 % len(ACTIONS)
    stage = set_stage(SampleName(video.setup, 1, video.performer, *takes), who, seed, sides)
    return replace(
        stage,
        rgb_frames=stage.frames - stage.rgb_frames,
        ir_frames=stage.frames - stage.ir_frames,
        # PKU-MMD's performers face the camera in the middle; world +y is away from it.
        yaw=float(np.pi + who.turn + rng.normal(0, 0.09)),
        things=[thing for thing in stage.things if thing.place != "hand"],
    )


def _rest_frames(rng: np.random.Generator) -> int:
    return round(float(rng.uniform(*_REST_SECONDS)) * FRAMES_PER_SECOND)


def _mark(video: LongVideo, clips: list[Stage], rng: np.random.Generator) -> list[Mark]:
    """An action lasts as long as in a clip of NTU's layout, without the clip's idle ends."""
    marks, at = [], 0
    for action, clip in zip(video.actions, clips, strict=True):
        start = at + _rest_frames(rng)
        at = start + round((clip.seconds - clip.begin - clip.rest) * FRAMES_PER_SECOND)
        marks.append(Mark(action, start, at, 2 if rng.random() < _SURE else 1))
    return marks


def _things_at_hand(clip: Stage, stage: Stage) -> list[Thing]:
    """A clip's things for a video's stage: one before the feet, then one of each kind in the bag."""
    mirror = np.array([stage.free_side * clip.free_side, 1.0, 1.0])
    lying = next(thing for thing in clip.things if thing.place == "floor")
    bag = []
    for kind in Kind:
        own = next(t for t in clip.things if t.kind is kind and t.place in ("bag", "hand"))
        bag.append(replace(own, place="bag", point=np.array([*stage.bag_point, own.point[2]])))
    return [replace(lying, point=mirror * lying.point), *bag]


def _picks_up(mark: Mark) -> bool:
    return ACTIONS[mark.action - 1].__name__ == "pick_up"


def _laid_apart(things: list[Thing], stage: Stage) -> list[Thing]:
    """Moves things outward, to the free hand's side, until none lies on another."""
    for i, thing in enumerate(things):
        while any(
            np.linalg.norm(thing.point[:2] - other.point[:2]) < _APART_METRES
            for other in things[:i]
        ):
            thing.point = thing.point + np.array([0.03 * stage.free_side, 0.0, 0.0])
    return things


def _act(script: Script, action: int) -> None:
    """Writes an action into a script, and how the performer comes to rest after it."""
    before = {f.name: getattr(script.torso, f.name).copy() for f in fields(Torso)}
    ACTIONS[action - 1](script)
    if action == SIT_DOWN:
        return
    left = 1 - minimum_jerk((script.time - script.end) / _SETTLE_SECONDS)
    for name, calm in before.items():
        change = getattr(script.torso, name) - calm
        share = left.reshape(-1, *[1] * (change.ndim - 1))
        setattr(script.torso, name, calm + share * change)
    for side in (RIGHT, LEFT):
        full = next((h for h in script.holds if h.side == side and np.isinf(h.end)), None)
        _lower_hand(script, side, full)


def _lower_hand(script: Script, side: int, hold: Hold | None) -> None:
    """Brings a hand to rest after the action, by way of the bag when it holds something."""
    keys = script.hands[side]
    # What an action leaves for later than its end was meant for the end of a clip.
    while len(keys) > 1 and keys[-1].time > script.end + 0.35:
        keys.pop()
    script.wait(side, script.end)
    at = keys[-1].time
    if hold is not None:
        at += float(script.rng.uniform(0.5, 0.7))
        bag = np.array([*script.stage.bag_point, 0.54 * script.who.height])
        script.move(side, at, "root", bag, hold=0.05)
        hold.end, hold.stowed = at + 0.02, True
    done = at + float(script.rng.uniform(0.45, 0.6))
    script.relax(side, done)
    lift = script.lift[side]
    first = lift[0][1]
    while len(lift) > 1 and lift[-1][0] > script.end + 0.35:
        lift.pop()
    lift += [(max(script.end, lift[-1][0]), lift[-1][1]), (done, first)]
