"""Films a scene with both cameras: pictures as arrays, or two video files."""

import os
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rgb2ir_jax.synthesis.background import exposed, ir_background, rgb_background
from rgb2ir_jax.synthesis.camera import PinholeCamera, place_cameras
from rgb2ir_jax.synthesis.filming import raise_if_stopped
from rgb2ir_jax.synthesis.naming import SampleName, random_stream
from rgb2ir_jax.synthesis.raster import View, gather, look, paint
from rgb2ir_jax.synthesis.scene import FINE_HEIGHT, Scene, stage_scene
from rgb2ir_jax.synthesis.sensor import ColourCamera, ColourSensor, InfraredSensor
from rgb2ir_jax.synthesis.stage import FRAMES_PER_SECOND
from rgb2ir_jax.video.encode import X264_REPEATABLE

RGB_FOLDER, IR_FOLDER = "nturgb+d_rgb", "nturgb+d_ir"


def rgb_frames(
    scene: Scene, camera: PinholeCamera, rng: np.random.Generator
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The colour camera's pictures, in order; `rng` draws exposure and noise."""
    return colour_frames(scene, camera, ColourSensor(scene.room.light, camera, rng))


def colour_frames(
    scene: Scene, camera: PinholeCamera, sensor: ColourCamera
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The pictures of a scene that a camera with a sensor takes, in order."""
    factor = _enlargement(camera)
    large = camera.enlarged(factor)
    empty = exposed(sensor.gain * rgb_background(scene.room, large, scene.shadows))
    furniture = gather(scene.room.furniture, 1)
    seen = look(furniture, large)
    paint(empty, seen, sensor.shade(furniture), 0, smooth=factor == 1)
    left = scene.stage.rgb_frames
    for surface in scene.surfaces():
        view = look(surface, large)
        shades = sensor.shade(surface)
        for frame in range(min(len(shades), left)):
            yield sensor.record(_picture(empty, view, shades, frame, factor, camera))
        left -= len(shades)


def ir_frames(
    scene: Scene, camera: PinholeCamera, rng: np.random.Generator
) -> Iterator[UInt8[np.ndarray, "height width"]]:
    """The infrared camera's pictures, in order; `rng` draws the lamp's strength and noise."""
    factor = _enlargement(camera)
    sensor = InfraredSensor(camera, rng)
    large = camera.enlarged(factor)
    empty = exposed(ir_background(scene.room, large, sensor.gain))
    furniture = gather(scene.room.furniture, 1)
    seen = look(furniture, large)
    paint(empty, seen, sensor.shade(furniture, seen), 0, smooth=factor == 1)
    left = scene.stage.ir_frames
    for surface in scene.surfaces():
        view = look(surface, large)
        shades = sensor.shade(surface, view)
        for frame in range(min(len(shades), left)):
            yield sensor.record(_picture(empty, view, shades, frame, factor, camera))
        left -= len(shades)


def _enlargement(camera: PinholeCamera) -> int:
    """Small pictures are painted at twice their size and shrunk, which is cheaper than smooth edges."""
    return 1 if camera.height >= FINE_HEIGHT else 2


def _picture(
    empty: np.ndarray,
    view: View,
    shades: np.ndarray,
    frame: int,
    factor: int,
    camera: PinholeCamera,
) -> np.ndarray:
    picture = empty.copy()
    paint(picture, view, shades, frame, smooth=factor == 1)
    if factor == 1:
        return picture
    return cv2.resize(picture, (camera.width, camera.height), interpolation=cv2.INTER_AREA)


def _numbers(name: SampleName) -> tuple[int, ...]:
    return name.setup, name.camera, name.performer, name.replication, name.action


def _both(
    name: SampleName, seed: int, height: int
) -> tuple[Iterator[np.ndarray], Iterator[np.ndarray]]:
    scene = stage_scene(name, seed, height)
    rgb_camera, ir_camera = place_cameras(name, seed, height)
    streams = [random_stream(seed, "sensor", *_numbers(name), k) for k in range(2)]
    return rgb_frames(scene, rgb_camera, streams[0]), ir_frames(scene, ir_camera, streams[1])


def render_pair(
    name: SampleName, seed: int, height: int
) -> tuple[Float[np.ndarray, "..."] | np.ndarray, np.ndarray]:
    """Both clips of a sample in memory: (frame, height, width, 3) colour and (frame, height, width) infrared."""
    rgb, ir = _both(name, seed, height)
    return np.stack(list(rgb)), np.stack(list(ir))


def pair_paths(out: Path, name: SampleName) -> tuple[Path, Path]:
    """Where NTU RGB+D's layout has the two files of a sample."""
    return out / RGB_FOLDER / f"{name}_rgb.avi", out / IR_FOLDER / f"{name}_ir.avi"


def film_pair(out: Path, name: SampleName, seed: int, height: int) -> int:
    """Films a sample and writes its two video files; returns their size in bytes.

    Each file is written under a temporary name and renamed when whole; the infrared one, written
    last, says that the pair is there.
    """
    rgb, ir = _both(name, seed, height)
    # The coder's quality differs from clip to clip, as the files' sizes would tell of motion
    # otherwise.
    quality = draw_quality(random_stream(seed, "codec", *_numbers(name)))
    rgb_path, ir_path = pair_paths(out, name)
    return write_video(rgb_path, rgb, quality) + write_video(ir_path, ir, quality)


def draw_quality(rng: np.random.Generator) -> int:
    """A constant rate factor of H.264 for both files of a pair."""
    return int(rng.integers(19, 30))


def write_video(path: Path, pictures: Iterator[np.ndarray], quality: int) -> int:
    """Writes pictures as they come to an H.264 video in AVI, whole or not at all; returns its bytes.

    Args:
        path: The file; its folder is made when missing.
        pictures: (height, width, 3) or (height, width), 8 bits, at least one, all of one size.
        quality: Constant rate factor; larger is smaller and worse.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.avi")
    try:
        _encode(partial, pictures, quality)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path.stat().st_size


def _encode(path: Path, pictures: Iterator[np.ndarray], quality: int) -> None:
    """H.264 in AVI without B-frames, which AVI cannot time."""
    options = {"preset": "veryfast", "crf": str(quality), "threads": "1", "bf": "0", "g": "60"}
    options["x264-params"] = X264_REPEATABLE
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            raise_if_stopped()
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            if picture.ndim == 2:
                picture = np.repeat(picture[:, :, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
