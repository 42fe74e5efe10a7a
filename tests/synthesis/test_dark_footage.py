"""How dark the dark clips are, and that what they show can be brought back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from rgb2ir_jax.synthesis.camera import PinholeCamera
from rgb2ir_jax.synthesis.dark.clips import DarkClip, choose_clips
from rgb2ir_jax.synthesis.dark.contact_sheet import brightened
from rgb2ir_jax.synthesis.dark.film import dark_frames
from rgb2ir_jax.synthesis.dark.layout import clip_path
from rgb2ir_jax.synthesis.dark.place import NightLight, night_camera
from rgb2ir_jax.synthesis.dark.scene import stage_dark_scene
from rgb2ir_jax.synthesis.dark.sensor import NightSensor
from rgb2ir_jax.synthesis.film import colour_frames, write_video

HEIGHT, SEED, QUALITY = 72, 2, 19
CLIPS = choose_clips(22, SEED)[::3]


class _Daylight:
    """The same lit surfaces, exposed well and without noise."""

    gain = NightSensor.gain

    def __init__(self, light: NightLight, camera: PinholeCamera) -> None:
        self.shade = NightSensor(light, camera, np.random.default_rng(0)).shade

    def record(self, picture: np.ndarray) -> np.ndarray:
        return picture


@functools.cache
def _day_pictures(clip: DarkClip) -> tuple[np.ndarray, np.ndarray]:
    """The first frame by day, with the person and without."""
    scene, camera = stage_dark_scene(clip, SEED, HEIGHT)
    assert isinstance(scene.room.light, NightLight)
    parts = [part.between(0, 1) for part in scene.parts]
    scene.stage.frames = scene.stage.rgb_frames = 1
    pictures = []
    # The person's sixteen parts come before chair, table, bags and things.
    for shown in (parts, parts[16:]):
        filmed = replace(scene, parts=shown, _whole=None)
        frames = colour_frames(filmed, camera, _Daylight(scene.room.light, camera))
        pictures.append(next(iter(frames)).astype(np.float64))
    return pictures[0], pictures[1]


@pytest.fixture(scope="module")
def films(
    tmp_path_factory: pytest.TempPathFactory, decode: Callable[[Path], np.ndarray]
) -> dict[DarkClip, np.ndarray]:
    """What a reader sees of each clip's first second: from files of middling quality."""
    folder = tmp_path_factory.mktemp("dark")
    for clip in CLIPS:
        begin = islice(dark_frames(clip, SEED, HEIGHT), 30)
        write_video(clip_path(folder, clip), begin, QUALITY)
    return {clip: decode(clip_path(folder, clip)) for clip in CLIPS}


def test_pictures_are_nearly_black(films: dict[DarkClip, np.ndarray]) -> None:
    means = np.array([film.mean() for film in films.values()])
    assert means.min() > 7
    assert means.max() < 36
    assert means.mean() < 24
    below = [np.mean(film < 30) for film in films.values()]
    assert min(below) > 0.5
    assert np.mean(below) > 0.75
    assert np.ptp(means) > 6  # it varies


def test_what_there_is_takes_few_levels(films: dict[DarkClip, np.ndarray]) -> None:
    for clip, film in films.items():
        low, high = np.percentile(film, [1, 95])
        day_low, day_high = np.percentile(_day_pictures(clip)[0], [1, 95])
        assert high - low < 80
        assert (high - low) < 0.5 * (day_high - day_low)


def test_the_cast_is_slight(films: dict[DarkClip, np.ndarray]) -> None:
    tones = np.array([film.mean(axis=(0, 1, 2)) for film in films.values()])
    share = tones / tones.mean(axis=1, keepdims=True)
    assert share.min() > 0.5
    assert share.max() < 1.6
    assert share.std() > 0.03


def _contrast(picture: np.ndarray, mask: np.ndarray) -> float:
    """How far the person's mean grey is from that of what lies around the person."""
    grey = picture.mean(axis=-1)
    rows, columns = np.nonzero(mask)
    around = np.zeros_like(mask)
    around[rows.min() : rows.max() + 1, max(columns.min() - 6, 0) : columns.max() + 7] = True
    return float(abs(grey[mask].mean() - grey[around & ~mask].mean()))


def test_gamma_makes_the_person_visible_again(films: dict[DarkClip, np.ndarray]) -> None:
    seen, likeness = [], []
    for clip, film in films.items():
        day, empty = _day_pictures(clip)
        mask = np.abs(day - empty).max(axis=-1) > 8
        assert mask.sum() > 80
        # A moment's mean: before the action begins, the first frames are nearly the same.
        moment = film[:3].mean(axis=0)
        again = brightened(film[:3]).astype(float).mean(axis=0)
        contrasts = [_contrast(picture, mask) for picture in (day, moment, again)]
        seen.append(contrasts)
        flat = [picture.mean(axis=-1).ravel() for picture in (day, again)]
        likeness.append(np.corrcoef(*flat)[0, 1])
    day_contrast, dark, restored = np.array(seen).T
    distinct = day_contrast > 12  # a grey shirt before a grey wall is no clearer by day
    assert distinct.sum() >= 3
    assert np.all(dark[distinct] < 0.4 * day_contrast[distinct])
    assert np.all(restored[distinct] > 1.2 * dark[distinct])
    assert np.median(restored[distinct] / dark[distinct]) > 1.8
    assert np.median(restored[distinct] / day_contrast[distinct]) > 0.35
    assert np.median(likeness) > 0.85
    assert min(likeness) > 0.6


def test_noise_is_as_of_few_photons(films: dict[DarkClip, np.ndarray]) -> None:
    """Where nothing moves a pixel flickers, before it is coded; less so by far than its mean."""
    for clip in CLIPS[:4]:
        film = np.stack(
            [p for p, _ in zip(dark_frames(clip, SEED, HEIGHT), range(24), strict=False)]
        )
        still = film[:, :, :6].astype(float)  # the picture's edge, where nobody acts
        flicker = still.std(axis=0).mean()
        assert 0.3 < flicker < 6
        assert flicker < still.mean()


def test_pictures_follow_from_the_seed_bit_for_bit() -> None:
    clip, other = CLIPS[3], CLIPS[4]
    once = np.stack(list(dark_frames(clip, SEED, 32)))
    next(iter(dark_frames(other, SEED, 32)))  # must leave no trace
    np.testing.assert_array_equal(once, np.stack(list(dark_frames(clip, SEED, 32))))
    another = np.stack(list(dark_frames(clip, SEED + 1, 32)))
    assert another.shape != once.shape or not np.array_equal(another, once)


@pytest.mark.parametrize("height", [32, 96, 98, 240, 480])
def test_pictures_are_four_to_three(height: int) -> None:
    camera = night_camera(CLIPS[0], SEED, height)
    assert camera.height == height
    assert camera.width % 2 == 0
    assert camera.width == pytest.approx(4 / 3 * height, abs=1)


def test_the_lights_of_a_place_change_from_clip_to_clip() -> None:
    clips = [DarkClip(0, 4, number) for number in (1, 2, 3)]
    lights = [stage_dark_scene(clip, SEED, 32)[0].room.light for clip in clips]
    assert all(isinstance(light, NightLight) for light in lights)
    assert len({light.direct for light in lights}) == 3
    away = np.array([0.0, 9.0])
    near, far = lights[0].lamp(lights[0].x + away, np.full(2, lights[0].y))
    assert near == pytest.approx(1.0)
    assert far < 0.35
