"""The cast of long videos and their choreography: true labels, continuity, balance."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgb2ir_jax.synthesis.choreography import Choreography, choreograph
from rgb2ir_jax.synthesis.long_videos import CLASS_NUMBERS, LongVideo, choose_videos
from rgb2ir_jax.synthesis.motion import Performance, Take, play_takes
from rgb2ir_jax.synthesis.naming import CLASS_NAMES, TRAIN_PERFORMERS

seeds = st.integers(0, 1000)

# Copied from the owners' list of actions.
PKU_NAMES = {
    2: "brushing hair",
    3: "brushing teeth",
    6: "clapping",
    8: "drink water",
    9: "drop",
    10: "eat meal/snack",
    22: "pickup",
    33: "sitting down",
    34: "standing up",
    41: "throw",
}
EVERYTHING = (3, 8, 9, 1, 6, 2, 10, 5, 7, 6, 4, 1, 8)


def _perform(
    actions: tuple[int, ...] = EVERYTHING, number: int = 2, seed: int = 0
) -> tuple[Choreography, Performance]:
    plan = choreograph(LongVideo(number, 1 + number % 40, 1 + number % 17, actions), seed, 6)
    return plan, play_takes(plan.takes, plan.things, plan.rng)


def test_class_numbers_are_the_owners() -> None:
    for number, name in zip(CLASS_NUMBERS, CLASS_NAMES, strict=True):
        assert PKU_NAMES[number] == name.replace(" (from sitting position)", "")


@settings(max_examples=12)
@given(st.integers(2, 60), st.integers(1, 25), seeds)
def test_casting_is_balanced_and_nobody_stands_up_twice(videos: int, each: int, seed: int) -> None:
    cast = choose_videos(videos, each, seed)
    assert [video.number for video in cast] == list(range(2, videos + 2))
    for train in (True, False):
        part = [v for v in cast if (v.performer in TRAIN_PERFORMERS) == train]
        assert part
        assert all(v.in_cross_subject_training == train for v in part)
        counts = Counter(a for video in part for a in video.actions)
        assert max(counts.values()) - min(counts[a] for a in range(1, 11)) <= 2
        performers = Counter(v.performer for v in part)
        assert max(performers.values()) - min(performers[v.performer] for v in part) <= 1
    for video in cast:
        assert len(video.actions) == each
        for last, action in pairwise(video.actions):
            assert (last == 8) == (action == 9)
    assert choose_videos(videos + 3, each, seed)[:videos] == cast


@pytest.mark.parametrize(("videos", "each"), [(1, 5), (1001, 5), (3, 0), (3, 61)])
def test_impossible_numbers_are_refused(videos: int, each: int) -> None:
    with pytest.raises(ValueError, match="choose between"):
        choose_videos(videos, each, 0)


def test_marks_are_in_order_with_rest_around_them() -> None:
    for number in range(2, 8):
        plan, played = _perform(number=number)
        assert tuple(mark.action for mark in plan.marks) == EVERYTHING
        ends = [0, *(mark.stop for mark in plan.marks)]
        starts = [*(mark.start for mark in plan.marks), plan.stage.frames]
        rests = np.array(starts) - np.array(ends)
        assert rests.min() >= 78
        assert rests.max() <= 138
        # Two to five seconds less the idle ends, as clips of the other layout.
        assert all(38 <= mark.stop - mark.start <= 147 for mark in plan.marks)
        assert {mark.confidence for mark in plan.marks} <= {1, 2}
        assert played.frames.origin["head"].shape == (plan.stage.frames, 3)


def test_lengths_do_not_follow_from_the_action() -> None:
    lengths: dict[int, list[int]] = {action: [] for action in range(1, 11)}
    for video in choose_videos(20, 6, 3):
        for mark in choreograph(video, 3, 6).marks:
            lengths[mark.action].append(mark.stop - mark.start)
    means = [np.mean(values) for values in lengths.values()]
    # A length's standard deviation is 26 frames, and each class occurs twelve times.
    assert np.ptp(means) < 6 * 26 / np.sqrt(12)


def test_what_is_marked_is_what_happens() -> None:
    """In and only in the marked frames are hands at the mouth, on the floor, together, or hips on the move."""
    for number in (2, 3, 4, 5):
        plan, played = _perform(number=number)
        stature = plan.who.height
        mouth = played.frames.world("head", np.array([0.0, 0.09, -0.055]))
        hands = [played.arms[side].grip for side in (1, -1)]
        near = np.min([np.linalg.norm(hand - mouth, axis=1) for hand in hands], axis=0)
        gap = np.linalg.norm(hands[0] - hands[1], axis=1)
        low = np.min([hand[:, 2] for hand in hands], axis=0)
        hip = played.frames.origin["pelvis"][:, 2]
        marked = np.zeros(plan.stage.frames, int)
        for mark in plan.marks:
            marked[mark.start : mark.stop] = mark.action
            inside = slice(mark.start, mark.stop)
            if mark.action in (1, 2, 3):
                assert near[inside].min() < 0.22
            if mark.action == 6:
                assert low[inside].min() < 0.12 * stature
            if mark.action == 8:
                assert hip[mark.start] - hip[mark.stop - 1] > 0.25
            if mark.action == 9:
                assert hip[mark.stop - 1] - hip[mark.start] > 0.25
            if mark.action == 10:
                met = gap[inside] < 0.13
                assert np.count_nonzero(np.diff(met.astype(int)) == 1) >= 2
        # A hand leaves the mouth within a few frames of the end.
        elsewhere = ~np.isin(marked, (1, 2, 3, 4))
        for mark in plan.marks:
            elsewhere[mark.stop : mark.stop + 15] = False
        assert near[elsewhere].min() > 0.22
        assert low[marked != 6].min() > 0.2 * stature
        speed = np.abs(np.diff(hip))
        assert speed[~np.isin(marked[1:], (6, 8, 9))].max() < 0.01


def test_nothing_jumps_between_actions() -> None:
    for number in (2, 3, 4, 5):
        plan, played = _perform(number=number)
        for limb in (*played.arms.values(), *played.legs.values()):
            # A throwing hand makes ten metres a second, a third of a metre from frame to frame.
            assert np.linalg.norm(np.diff(limb.grip, axis=0), axis=1).max() < 0.35
        at_rest = np.ones(plan.stage.frames - 1, bool)
        for mark in plan.marks:
            at_rest[mark.start - 1 : mark.stop] = False
        for limb in played.arms.values():
            # A quick performer's hand comes down from the head at 3.6 m/s; a jump from there to
            # the hip in one frame would be half a metre. Between two frames it cannot start at once.
            speed = np.linalg.norm(np.diff(limb.grip, axis=0), axis=1)
            assert speed[at_rest].max() < 0.15
            assert np.abs(np.diff(speed))[at_rest[1:] & at_rest[:-1]].max() < 0.1
        for leg in played.legs.values():
            assert np.ptp(leg.end, axis=0).max() < 0.02
        # Things appear and vanish at the bag alone, and lie still between actions.
        hip = played.frames.origin["pelvis"]
        for rotation, position in played.things:
            shown = rotation.any(axis=(1, 2))
            for frame in np.flatnonzero(np.diff(shown.astype(int))):
                assert np.linalg.norm(position[frame + 1, :2] - hip[frame + 1, :2]) < 0.45
                assert 0.35 < position[frame + 1, 2] / plan.who.height < 0.7
            step = np.linalg.norm(np.diff(position, axis=0), axis=1)
            both = shown[1:] & shown[:-1] & at_rest
            assert not both.any() or step[both].max() < 0.35


def test_hands_are_empty_between_actions_and_fallen_things_stay() -> None:
    plan, played = _perform((5, 7, 1, 6, 2))
    last = {mark.action: mark for mark in plan.marks}
    visible = np.array([rotation.any(axis=(1, 2)) for rotation, _ in played.things])
    high = np.array([position[:, 2] for _, position in played.things]) > 0.3
    on_table = np.array([thing.place == "table" for thing in plan.things])
    held = (visible & high & ~on_table[:, None]).any(axis=0)
    for mark in plan.marks:
        assert not held[mark.start]
    assert not held[-1]
    assert held[last[1].start : last[1].stop].mean() > 0.5
    fallen = [t for t, show in zip(plan.things, visible, strict=True) if show[-1]]
    assert sum(thing.place == "bag" for thing in fallen) == 2


def test_the_level_of_detail_changes_no_motion() -> None:
    video = LongVideo(5, 7, 3, (1, 6, 10))
    coarse, fine = (choreograph(video, 1, sides) for sides in (7, 14))
    assert coarse.marks == fine.marks
    heads = [play_takes(p.takes, p.things, p.rng).frames.origin["head"] for p in (coarse, fine)]
    np.testing.assert_array_equal(*heads)


def test_takes_that_do_not_meet_are_refused() -> None:
    plan, _ = _perform((1, 2))
    second = plan.takes[1]
    wrong = Take(second.script, second.start + 1, second.fade)
    with pytest.raises(ValueError, match="must overlap by 24 frames"):
        play_takes([plan.takes[0], wrong], plan.things, plan.rng)
    with pytest.raises(ValueError, match="first take must start at frame 0"):
        play_takes([second], plan.things, plan.rng)
