"""The first picture of dark clips, made in processes of their own, where types are not checked."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from rgb2ir_jax.synthesis.dark.clips import DarkClip
from rgb2ir_jax.synthesis.dark.place import NightLight
from rgb2ir_jax.synthesis.dark.scene import stage_dark_scene
from rgb2ir_jax.synthesis.dark.sensor import NightSensor
from rgb2ir_jax.synthesis.film import colour_frames
from rgb2ir_jax.synthesis.naming import random_stream


@dataclass
class Beginning:
    """How a clip begins.

    Attributes:
        frames: Its length.
        start: Where the performer stands and the direction of the look, (3,).
        picture: (height, width, 3), 0-255.
    """

    frames: int
    start: np.ndarray
    picture: np.ndarray


def first_picture(clip: DarkClip, seed: int, height: int) -> Beginning:
    """The beginning of one clip; the clip's other pictures, which take most of the time, are not made."""
    scene, camera = stage_dark_scene(clip, seed, height)
    stage = scene.stage
    if not isinstance(scene.room.light, NightLight):
        raise TypeError(f"{clip} is lit by {scene.room.light}")
    scene.parts = [part.between(0, 1) for part in scene.parts]
    scene.stage = replace(stage, frames=1, rgb_frames=1)
    rng = random_stream(seed, "dark sensor", clip.label, clip.group, clip.number)
    sensor = NightSensor(scene.room.light, camera, rng)
    picture = next(iter(colour_frames(scene, camera, sensor)))
    return Beginning(stage.frames, np.array([*stage.ground, stage.yaw]), picture)


def first_pictures(clips: list[DarkClip], seed: int, height: int) -> list[Beginning]:
    """The beginnings of clips, in their order."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        job = partial(first_picture, seed=seed, height=height)
        return list(pool.map(job, clips, chunksize=11))
