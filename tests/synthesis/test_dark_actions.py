"""What ARID's actions must do: properties of the motion itself, before anything is painted."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

from rgb2ir_jax.synthesis.dark.actions import DARK_ACTIONS
from rgb2ir_jax.synthesis.dark.clips import DARK_CLASS_NAMES, DarkClip
from rgb2ir_jax.synthesis.dark.floor import forward
from rgb2ir_jax.synthesis.dark.scene import perform, stage_dark_scene
from rgb2ir_jax.synthesis.dark.script import NightScript
from rgb2ir_jax.synthesis.motion import Performance
from rgb2ir_jax.synthesis.props import Kind
from rgb2ir_jax.synthesis.script import Script
from rgb2ir_jax.synthesis.stage import FRAMES_PER_SECOND

GROUPS = (1, 9, 14, 23)
LABEL = {name: label for label, name in enumerate(DARK_CLASS_NAMES)}
SIDES = (1, -1)


@functools.cache
def _act(name: str, group: int) -> tuple[NightScript, Performance]:
    return perform(DarkClip(LABEL[name], group, 1), 0, 48)


def _all(name: str) -> list[tuple[NightScript, Performance]]:
    return [_act(name, group) for group in GROUPS]


def _above_floor(script: NightScript, played: Performance) -> np.ndarray:
    """Height of the lower foot's ankle above where it is when that foot is flat, metres a frame."""
    ankles = [played.legs[side].end[:, 2] for side in SIDES]
    return np.minimum(*ankles) - script.body.ankle


def _in_air(script: NightScript, played: Performance) -> np.ndarray:
    """Whether both feet are off the ground: higher than a raised heel alone takes an ankle."""
    toes = [
        played.legs[side].end + 0.08 * script.body.stature * played.legs[side].frame[:, :, 1]
        for side in SIDES
    ]
    return np.minimum(toes[0][:, 2], toes[1][:, 2]) > script.body.ankle + 0.03


@pytest.mark.parametrize("name", DARK_CLASS_NAMES)
def test_bones_keep_their_lengths_and_feet_stay_above_the_floor(
    name: str, check_limbs: Callable[[Script, Performance], None]
) -> None:
    for script, played in _all(name):
        check_limbs(script, played)
        for leg in played.legs.values():
            assert leg.end[:, 2].min() > 0.6 * script.body.ankle
        step = max(
            np.linalg.norm(np.diff(a.grip, axis=0), axis=1).max() for a in played.arms.values()
        )
        assert step < 0.4  # 12 m/s: nothing jumps


def test_there_is_an_action_for_every_class() -> None:
    assert len(DARK_ACTIONS) == len(DARK_CLASS_NAMES) == 11
    assert len(set(DARK_ACTIONS)) == 11


def test_who_jumps_leaves_the_ground_in_free_fall() -> None:
    for script, played in _all("Jump"):
        air = _in_air(script, played)
        assert air.sum() >= 6
        hip = played.frames.origin["pelvis"][:, 2]
        assert hip[air].max() > hip[0] + 0.1
        # In the middle of a flight the feet know no acceleration but gravity's.
        foot = _above_floor(script, played)
        top = int(foot.argmax())
        fall = np.diff(foot[top - 2 : top + 3], 2) * FRAMES_PER_SECOND**2
        assert fall.mean() == pytest.approx(-9.81, rel=0.45)  # a tuck of the legs adds to it
        root = played.frames.origin["root"]
        assert np.linalg.norm(root[-1] - root[0]) < 0.9


def test_only_who_runs_or_jumps_leaves_the_ground() -> None:
    for name in DARK_CLASS_NAMES:
        flown = [_in_air(script, played).sum() for script, played in _all(name)]
        assert (min(flown) > 0) == (name in ("Run", "Jump")), (name, flown)
        assert (max(flown) > 0) == (name in ("Run", "Jump")), (name, flown)


def _speed(script: NightScript, played: Performance) -> float:
    """Metres a second on the floor from one second after the begin on."""
    path = played.frames.origin["root"][:, :2]
    start = int((script.begin + 0.7) * FRAMES_PER_SECOND)
    way = np.linalg.norm(np.diff(path[start:], axis=0), axis=1).sum()
    return float(way * FRAMES_PER_SECOND / (len(path) - 1 - start))


def test_who_runs_is_faster_than_who_walks_and_nobody_else_goes_far() -> None:
    walks = [_speed(*acted) for acted in _all("Walk")]
    runs = [_speed(*acted) for acted in _all("Run")]
    assert min(walks) > 0.7
    assert max(walks) < 1.7 < 1.8 < min(runs)
    assert max(runs) < 3.2
    for name in set(DARK_CLASS_NAMES) - {"Walk", "Run", "Push", "Jump"}:
        for _, played in _all(name):
            path = played.frames.origin["root"]
            assert np.linalg.norm(path - path[0], axis=1).max() < 0.1, name


@pytest.mark.parametrize("name", ["Walk", "Run", "Turn", "Push"])
def test_feet_do_not_slip_while_they_carry(name: str) -> None:
    for script, played in _all(name):
        for side in SIDES:
            track = script.treads[side]
            flat = (track.ankle[:, 2] < script.body.ankle + 1e-4) & (np.abs(track.pitch) < 1e-4)
            still = flat[1:] & flat[:-1]
            assert still.sum() > 5
            moved = np.linalg.norm(np.diff(track.ankle[:, :2], axis=0), axis=1)
            # A foot that is set down has come to rest but for the last thousandth of its way.
            assert moved[still].max() < 0.01
            # The leg is long enough to be where the track wants it, nearly always.
            missed = np.linalg.norm(played.legs[side].end - track.ankle, axis=1)
            assert np.quantile(missed, 0.9) < 0.04


def test_steps_alternate_and_follow_the_body() -> None:
    for script, played in _all("Walk"):
        root, ahead = played.frames.origin["root"], forward(script.torso.yaw)
        feet = [np.sum((played.legs[side].end - root)[:, :2] * ahead, axis=1) for side in SIDES]
        late = slice(int((script.begin + 0.5) * FRAMES_PER_SECOND), None)
        lead = np.sign(feet[0] - feet[1])[late]
        assert np.count_nonzero(np.diff(lead)) >= 2
        assert np.abs(feet[0] + feet[1])[late].max() < 0.9
        assert np.ptp(feet[0][late]) > 0.3


def test_who_turns_comes_to_look_another_way() -> None:
    for script, played in _all("Turn"):
        turned = np.degrees(script.torso.yaw[-1] - script.torso.yaw[0])
        assert 130 < abs(turned) < 370
        # The trunk and the feet have come along, seen in the world.
        for frame in (
            played.frames.rotation["chest"],
            *(leg.frame for leg in played.legs.values()),
        ):
            ahead = np.unwrap(np.arctan2(-frame[:, 0, 1], frame[:, 1, 1]))
            assert np.degrees(ahead[-1] - ahead[0]) == pytest.approx(turned, abs=15)
    for name in ("Drink", "Jump", "Pick", "Sit", "Stand", "Wave", "Pour"):
        for script, _ in _all(name):
            assert np.degrees(np.ptp(script.torso.yaw)) < 12


def test_a_raised_hand_waves_from_side_to_side() -> None:
    for script, played in _all("Wave"):
        arm = played.arms[script.stage.free_side]
        away = np.einsum("tji,tj->ti", played.frames.rotation["root"], arm.grip - arm.start)
        raised = away[:, 2] > 0.05
        assert raised.mean() > 0.35
        across = away[raised, 0]
        assert np.ptp(across) > 0.14
        swing = np.diff(np.sign(np.gradient(across)))
        assert np.count_nonzero(swing) >= 3
        assert np.ptp(across) > np.ptp(away[raised, 1])


def test_one_vessel_is_tilted_over_the_other() -> None:
    for script, played in _all("Pour"):
        assert script.pour is not None
        things = script.stage.things
        poses = [
            played.things[next(i for i, t in enumerate(things) if t is hold.thing)]
            for hold in script.pour
        ]
        assert all(hold.thing.kind is Kind.VESSEL for hold in script.pour)
        assert script.pour[0].side != script.pour[1].side
        upright = poses[0][0][:, 2, 2]
        assert upright[int(script.pour[0].start * FRAMES_PER_SECOND) + 8] > 0.8
        tilted = upright < -0.1
        assert tilted.sum() >= 5
        rim = float(script.pour[0].thing.mesh.vertices[:, 2].max())
        mouth = poses[0][1] + rim * poses[0][0][:, :, 2]
        over = (mouth - poses[1][1])[tilted]
        assert np.linalg.norm(over[:, :2], axis=1).max() < 0.2
        assert over[:, 2].min() > 0.02
        # The one that is filled stays upright.
        assert poses[1][0][tilted, 2, 2].min() > 0.9


def test_what_is_poured_is_seen_only_while_the_vessel_is_tilted() -> None:
    scene, _ = stage_dark_scene(DarkClip(LABEL["Pour"], 1, 1), 0, 48)
    script, played = _act("Pour", 1)
    stream = scene.parts[-1]
    runs = stream.rotation.any(axis=(1, 2))
    assert script.pour is not None
    index = next(i for i, t in enumerate(script.stage.things) if t is script.pour[0].thing)
    assert runs.any()
    assert not runs[0]
    assert played.things[index][0][runs, 2, 2].max() < 0
    assert stream.rotation[runs, 2, 2].max() < 0  # downward


def test_the_crate_slides_away_before_stretching_arms() -> None:
    for script, played in _all("Push"):
        crate = script.night.crate
        assert script.slide[0] == 0
        assert np.all(np.diff(script.slide) >= 0)
        assert 0.15 < script.slide[-1] <= crate.way
        ahead = forward(crate.heading)
        face = crate.place + (script.slide - crate.depth / 2)[:, None] * ahead
        moving = np.gradient(script.slide) > 0.05 * np.gradient(script.slide).max()
        gaps, reaches = [], []
        for side in SIDES:
            arm = played.arms[side]
            gaps.append(np.sum((face - arm.grip[:, :2]) * ahead, axis=1)[moving])
            reaches.append(np.linalg.norm(arm.grip - arm.start, axis=1)[moving])
        near = int(np.argmin([np.abs(gap).max() for gap in gaps]))
        # The hand lies against the face while it slides, and never in the crate.
        assert np.abs(gaps[near] - 0.05).max() < 0.07
        assert min(gap.min() for gap in gaps) > -0.02
        assert reaches[near][-1] - reaches[near].min() > 0.02
        # Who pushes looks at the crate.
        assert np.cos(script.torso.yaw[moving] - crate.heading).min() > 0.9
    for script, _ in _all("Walk"):
        assert not script.slide.any()


def test_the_first_frame_stands_in_one_of_the_ways_of_all_classes() -> None:
    """At the start nobody but who stands up has begun: hips and feet are as when one waits."""
    for name in set(DARK_CLASS_NAMES) - {"Stand"}:
        for script, played in _all(name):
            hip = played.frames.origin["pelvis"][0, 2]
            assert hip == pytest.approx(script.body.hip_height, abs=0.03)
            assert _above_floor(script, played)[0] == pytest.approx(0.0, abs=5e-3)
            speed = np.linalg.norm(np.diff(played.frames.origin["root"][:2], axis=0), axis=1)
            assert speed[0] < 0.01
    for _, played in _all("Stand"):
        hip = played.frames.origin["pelvis"][:, 2]
        assert hip[-1] - hip[0] > 0.25


def test_whoever_walks_or_runs_keeps_to_the_floor() -> None:
    for name in ("Walk", "Run"):
        for script, played in _all(name):
            path = played.frames.origin["root"][:, :2]
            assert script.night.floor.beyond_walls(path).max() < 0.25
            pixel, _ = script.night.camera.project(played.frames.origin["pelvis"])
            width = script.night.camera.width
            assert np.mean((pixel[:, 0] > 0) & (pixel[:, 0] < width)) > 0.7


def test_the_picture_size_changes_no_motion() -> None:
    for name in ("Run", "Push"):
        clip = DarkClip(LABEL[name], 5, 2)
        (small, played), (large, again) = (perform(clip, 3, height) for height in (50, 240))
        np.testing.assert_allclose(played.frames.origin["head"], again.frames.origin["head"])
        assert small.stage.frames == large.stage.frames
        np.testing.assert_array_equal(small.slide, large.slide)
