"""Films of single samples: determinism, files, geometry shared by both cameras, and what actions must do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rgb2ir_jax.synthesis.actions import ACTIONS
from rgb2ir_jax.synthesis.camera import place_cameras
from rgb2ir_jax.synthesis.film import film_pair, pair_paths, render_pair
from rgb2ir_jax.synthesis.motion import Performance, play
from rgb2ir_jax.synthesis.naming import SampleName, random_stream
from rgb2ir_jax.synthesis.performer import cast_performer
from rgb2ir_jax.synthesis.scene import stage_scene
from rgb2ir_jax.synthesis.script import Script
from rgb2ir_jax.synthesis.stage import set_stage

NAME = SampleName(3, 2, 7, 1, 1)


def _act(action: int, take: int = 0, seed: int = 0) -> tuple[Script, Performance]:
    name = SampleName(1 + take % 17, 1, 1 + take % 40, 1 + take % 2, action)
    who = cast_performer(name.performer, seed)
    stage = set_stage(name, who, seed, 6)
    script = Script(who, stage, random_stream(seed, "motion", take, action))
    ACTIONS[action - 1](script)
    return script, play(script)


def test_the_same_name_gives_the_same_film_wherever_it_is_made(
    tmp_path: Path, same_film: Callable[[Path, Path], bool]
) -> None:
    for folder in ("a", "b"):
        if folder == "b":  # another sample before it must not matter
            film_pair(tmp_path / "b", SampleName(3, 1, 8, 1, 4), 0, 48)
        film_pair(tmp_path / folder, NAME, 0, 48)
    for first, second in zip(
        pair_paths(tmp_path / "a", NAME), pair_paths(tmp_path / "b", NAME), strict=True
    ):
        assert same_film(first, second)
    assert not same_film(first, pair_paths(tmp_path / "b", SampleName(3, 1, 8, 1, 4))[1])
    assert not list(tmp_path.rglob("*.partial*"))


def test_pictures_before_coding_are_the_same_bit_for_bit() -> None:
    once = render_pair(NAME, 0, 48)
    render_pair(SampleName(3, 1, 8, 1, 4), 0, 48)  # must leave no trace
    for first, second in zip(once, render_pair(NAME, 0, 48), strict=True):
        np.testing.assert_array_equal(first, second)


def test_another_seed_is_another_film() -> None:
    one, other = (render_pair(NAME, seed, 32)[0] for seed in (0, 1))
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_files_are_h264_in_ntu_layout(
    tmp_path: Path, h264_pictures: Callable[[Path], np.ndarray]
) -> None:
    size = film_pair(tmp_path, NAME, 0, 108)
    rgb, ir = pair_paths(tmp_path, NAME)
    assert rgb == tmp_path / "nturgb+d_rgb" / "S003C002P007R001A001_rgb.avi"
    assert ir == tmp_path / "nturgb+d_ir" / "S003C002P007R001A001_ir.avi"
    assert size == rgb.stat().st_size + ir.stat().st_size
    stage = stage_scene(NAME, 0, 108).stage
    for path, shape, frames in (
        (rgb, (108, 192, 3), stage.rgb_frames),
        (ir, (48, 58, 3), stage.ir_frames),
    ):
        pictures = h264_pictures(path)
        assert pictures.shape == (frames, *shape)
    # Decoded infrared has three equal channels, of which readers keep one.
    assert np.ptp(pictures, axis=-1).max() == 0


def test_decoded_files_show_what_was_rendered(
    tmp_path: Path, decode: Callable[[Path], np.ndarray]
) -> None:
    film_pair(tmp_path, NAME, 0, 108)
    rendered = render_pair(NAME, 0, 108)
    for path, clip in zip(pair_paths(tmp_path, NAME), rendered, strict=True):
        decoded = decode(path).astype(float).mean(axis=-1)
        original = clip.astype(float)
        if original.ndim == 4:
            original = original.mean(axis=-1)
        assert np.abs(decoded.mean(axis=0) - original.mean(axis=0)).mean() < 4.0


def test_frame_counts_differ_now_and_then_by_at_most_two() -> None:
    lost = []
    for take in range(160):
        name = SampleName(1 + take % 17, 1, 1 + take % 40, 1 + take % 2, 1 + take % 10)
        stage = set_stage(name, cast_performer(name.performer, 5), 5, 6)
        assert 60 <= stage.frames <= 150
        assert max(stage.rgb_frames, stage.ir_frames) == stage.frames
        lost.append(abs(stage.rgb_frames - stage.ir_frames))
    assert max(lost) <= 2
    assert 0 < np.mean(np.array(lost) > 0) < 0.1


def test_three_cameras_film_the_same_performance() -> None:
    scenes = [stage_scene(SampleName(3, camera, 7, 1, 4), 0, 48) for camera in (1, 2, 3)]
    first, *others = (next(scene.surfaces()).vertices for scene in scenes)
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_the_picture_size_changes_nothing_but_the_detail() -> None:
    small, large = (stage_scene(NAME, 0, height) for height in (64, 540))
    assert small.stage.frames == large.stage.frames
    np.testing.assert_array_equal(small.stage.chair_point, large.stage.chair_point)
    assert small.room.light.ambient == large.room.light.ambient
    for a, b in zip(small.room.walls, large.room.walls, strict=True):
        assert abs(a.colour.mean() - b.colour.mean()) < 12


def test_both_cameras_see_the_person_at_the_same_place() -> None:
    """The moving part's middle, found in pixels, lies in the same direction for both lenses."""
    directions = []
    for clip, camera in zip(render_pair(NAME, 0, 270), place_cameras(NAME, 0, 270), strict=True):
        grey = clip.astype(float) if clip.ndim == 3 else clip.astype(float).mean(axis=-1)
        half = len(grey) // 4
        change = np.abs(grey[:half].mean(axis=0) - grey[half : 3 * half].mean(axis=0))
        change[change < 0.35 * change.max()] = 0.0
        rows, columns = np.indices(change.shape)
        middle = np.array([np.sum(columns * change), np.sum(rows * change)]) / change.sum()
        size = np.array([camera.width, camera.height])
        directions.append((middle + 0.5 - size / 2) / np.array(camera.focal))
    assert np.abs(directions[0] - directions[1]).max() < 0.06


@pytest.mark.parametrize("action", range(1, 11))
def test_bones_keep_their_lengths_and_hands_move(
    action: int, check_limbs: Callable[[Script, Performance], None]
) -> None:
    for take in range(4):
        script, played = _act(action, take)
        check_limbs(script, played)
        for leg in played.legs.values():
            assert np.all(leg.end[:, 2] > 0)
        grip = [a.grip for a in played.arms.values()]
        assert max(np.linalg.norm(np.ptp(g, axis=0)) for g in grip) > 0.15


def _mouth_distance(script: Script, played: Performance, thing_index: int) -> np.ndarray:
    mouth = played.frames.world("head", np.array([0.0, 0.09, -0.055]))
    return np.linalg.norm(played.things[thing_index][1] - mouth, axis=1)


@pytest.mark.parametrize(("action", "near"), [(1, 0.17), (2, 0.1), (3, 0.2), (4, 0.33)])
def test_what_is_used_at_the_head_gets_there(action: int, near: float) -> None:
    for take in range(6):
        script, played = _act(action, take)
        thing = script.holds[-1].thing
        index = next(i for i, t in enumerate(script.stage.things) if t is thing)
        assert _mouth_distance(script, played, index).min() < near


def test_dropped_and_thrown_things_end_on_the_floor_or_far_away() -> None:
    for take in range(6):
        for action in (5, 7):
            script, played = _act(action, take)
            hold = next(h for h in script.holds if np.isfinite(h.end))
            index = next(i for i, t in enumerate(script.stage.things) if t is hold.thing)
            position = played.things[index][1]
            if script.stage.seconds - hold.end > 0.9:
                assert position[-1, 2] < 0.15
            flown = np.linalg.norm(position[-1, :2] - position[0, :2])
            assert action == 5 or flown > 0.5


def test_what_is_picked_up_leaves_the_floor_without_a_jump() -> None:
    for take in range(8):
        script, played = _act(6, take)
        index = next(i for i, t in enumerate(script.stage.things) if t.place == "floor")
        position = played.things[index][1]
        assert position[-1, 2] > 0.3
        assert np.linalg.norm(np.diff(position, axis=0), axis=1).max() < 0.16


def test_sitting_and_standing_are_each_others_reverse() -> None:
    for take in range(4):
        for action, sign in ((8, -1), (9, 1)):
            _, played = _act(action, take)
            hip = played.frames.origin["pelvis"][:, 2]
            assert sign * (hip[-1] - hip[0]) > 0.25


def test_clapping_hands_meet_more_than_once() -> None:
    for take in range(4):
        _, played = _act(10, take)
        gap = np.linalg.norm(played.arms[1].grip - played.arms[-1].grip, axis=1)
        met = gap < 0.13
        assert np.count_nonzero(np.diff(met.astype(int)) == 1) >= 2
