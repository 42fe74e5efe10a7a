"""Films a dark clip: pictures as arrays, or a video file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rgb2ir_jax.synthesis.dark.clips import DarkClip
from rgb2ir_jax.synthesis.dark.layout import clip_path
from rgb2ir_jax.synthesis.dark.place import NightLight
from rgb2ir_jax.synthesis.dark.scene import stage_dark_scene
from rgb2ir_jax.synthesis.dark.sensor import NightSensor
from rgb2ir_jax.synthesis.film import colour_frames, write_video
from rgb2ir_jax.synthesis.naming import random_stream

# Night's few levels need more of the coder's bits than daylight does.
_BEST_QUALITY, _WORST_QUALITY = 16, 22


def dark_frames(
    clip: DarkClip, seed: int, height: int
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The pictures of a clip, in order, before they are coded.

    Raises:
        ValueError: when the room's light is none of the night.
    """
    scene, camera = stage_dark_scene(clip, seed, height)
    if not isinstance(scene.room.light, NightLight):
        raise ValueError(f"{clip}: the room must have a NightLight, not {scene.room.light}")
    rng = random_stream(seed, "dark sensor", clip.label, clip.group, clip.number)
    return colour_frames(scene, camera, NightSensor(scene.room.light, camera, rng))


def film_clip(out: Path, clip: DarkClip, seed: int, height: int) -> int:
    """Films a clip and writes its video file, whole or not at all; returns the file's bytes."""
    rng = random_stream(seed, "dark codec", clip.label, clip.group, clip.number)
    quality = int(rng.integers(_BEST_QUALITY, _WORST_QUALITY + 1))
    return write_video(clip_path(out, clip), dark_frames(clip, seed, height), quality)
