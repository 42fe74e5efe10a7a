"""Films one sample with both cameras: pictures as arrays, or two video files."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rgb2ir_jax.synthesis.actions import ACTIONS
from rgb2ir_jax.synthesis.background import exposed, ir_background, rgb_background
from rgb2ir_jax.synthesis.camera import PinholeCamera, place_cameras
from rgb2ir_jax.synthesis.figure import build_figure
from rgb2ir_jax.synthesis.kinematics import rotation_z
from rgb2ir_jax.synthesis.mesh import PosedMesh
from rgb2ir_jax.synthesis.naming import SampleName, random_stream
from rgb2ir_jax.synthesis.performer import cast_performer, dress
from rgb2ir_jax.synthesis.props import make_bag
from rgb2ir_jax.synthesis.raster import Surface, View, gather, look, paint
from rgb2ir_jax.synthesis.room import Room, furnish
from rgb2ir_jax.synthesis.script import Script, play
from rgb2ir_jax.synthesis.sensor import ColourSensor, InfraredSensor
from rgb2ir_jax.synthesis.stage import FRAMES_PER_SECOND, Stage, set_stage

RGB_FOLDER, IR_FOLDER = "nturgb+d_rgb", "nturgb+d_ir"

# Above this height pictures are painted at their own size with antialiasing, below it at twice the
# size.
_FINE_HEIGHT = 400


@dataclass
class Scene:
    """Everything that both cameras film: a stage, a room and the surface of all that moves."""

    stage: Stage
    room: Room
    surface: Surface
    shadows: list[tuple[float, float, float]]


def stage_scene(name: SampleName, seed: int, height: int) -> Scene:
    """Builds the scene of a sample; it depends on the camera in nothing but the level of detail."""
    fine = height >= _FINE_HEIGHT
    who = cast_performer(name.performer, seed)
    wear = dress(name.setup, name.performer, seed)
    stage = set_stage(name, who, seed, sides=14 if fine else 7)
    rng = random_stream(seed, "motion", name.setup, name.performer, name.replication, name.action)
    script = Script(who, stage, rng)
    ACTIONS[name.action - 1](script)
    played = play(script)
    parts = build_figure(
        who, wear, script.body, played.frames, played.arms, played.legs, stage.sides
    )
    root = rotation_z(np.array([stage.yaw]))
    ground = np.array([*stage.ground, 0.0])

    def stand(x: float, y: float) -> np.ndarray:
        return ground + root[0] @ np.array([x, y, 0.0])

    chair, table = stand(*stage.chair_point), stand(*stage.table_point)
    # The seat is below and behind whoever sits on it: pushed back, it never covers the thighs.
    turned = rotation_z(np.array([stage.yaw + stage.chair_turn]))
    parts.append(PosedMesh(stage.chair, turned, chair[None], bias=0.22))
    if stage.table is not None:
        parts.append(PosedMesh(stage.table, root, table[None], bias=0.05))
    bag = make_bag(random_stream(seed, "clothes", name.setup, name.performer, 1))
    hip = np.array([1.12 * stage.bag_point[0], -0.03, 0.0])
    pelvis = played.frames
    parts.append(PosedMesh(bag, pelvis.rotation["pelvis"], pelvis.world("pelvis", hip), bias=-0.01))
    for thing, (rotation, position) in zip(stage.things, played.things, strict=True):
        parts.append(PosedMesh(thing.mesh, rotation, position, bias=-0.06))
    shadows = [(chair[0], chair[1], 0.3), (ground[0], ground[1], 0.3)]
    if stage.table is not None:
        shadows.append((table[0], table[1], 0.2))
    room = furnish(name.setup, name.performer, seed, scale=130.0 if fine else 45.0)
    return Scene(
        stage, room, gather(parts, stage.frames), [(float(x), float(y), r) for x, y, r in shadows]
    )


def rgb_frames(
    scene: Scene, camera: PinholeCamera, name: SampleName, seed: int
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The colour camera's pictures, in order."""
    factor = 1 if camera.height >= _FINE_HEIGHT else 2
    sensor = ColourSensor(
        scene.room.light, camera, random_stream(seed, "sensor", *_numbers(name), 0)
    )
    large = camera.enlarged(factor)
    empty = exposed(sensor.gain * rgb_background(scene.room, large, scene.shadows))
    furniture = gather(scene.room.furniture, 1)
    seen = look(furniture, large)
    paint(empty, seen, sensor.shade(furniture), 0, smooth=factor == 1)
    view = look(scene.surface, large)
    shades = sensor.shade(scene.surface)
    for frame in range(scene.stage.rgb_frames):
        yield sensor.record(_picture(empty, view, shades, frame, factor, camera))


def ir_frames(
    scene: Scene, camera: PinholeCamera, name: SampleName, seed: int
) -> Iterator[UInt8[np.ndarray, "height width"]]:
    """The infrared camera's pictures, in order."""
    factor = 1 if camera.height >= _FINE_HEIGHT else 2
    sensor = InfraredSensor(camera, random_stream(seed, "sensor", *_numbers(name), 1))
    large = camera.enlarged(factor)
    empty = exposed(ir_background(scene.room, large, sensor.gain))
    furniture = gather(scene.room.furniture, 1)
    seen = look(furniture, large)
    paint(empty, seen, sensor.shade(furniture, seen), 0, smooth=factor == 1)
    view = look(scene.surface, large)
    shades = sensor.shade(scene.surface, view)
    for frame in range(scene.stage.ir_frames):
        yield sensor.record(_picture(empty, view, shades, frame, factor, camera))


def _numbers(name: SampleName) -> tuple[int, ...]:
    return name.setup, name.camera, name.performer, name.replication, name.action


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


def render_pair(
    name: SampleName, seed: int, height: int
) -> tuple[Float[np.ndarray, "..."] | np.ndarray, np.ndarray]:
    """Both clips of a sample in memory: (frame, height, width, 3) colour and (frame, height, width) infrared."""
    scene = stage_scene(name, seed, height)
    rgb_camera, ir_camera = place_cameras(name, seed, height)
    return (
        np.stack(list(rgb_frames(scene, rgb_camera, name, seed))),
        np.stack(list(ir_frames(scene, ir_camera, name, seed))),
    )


def pair_paths(out: Path, name: SampleName) -> tuple[Path, Path]:
    """Where NTU RGB+D's layout has the two files of a sample."""
    return out / RGB_FOLDER / f"{name}_rgb.avi", out / IR_FOLDER / f"{name}_ir.avi"


def film_pair(out: Path, name: SampleName, seed: int, height: int) -> int:
    """Films a sample and writes its two video files; returns their size in bytes.

    Each file is written under a temporary name and renamed when whole; the infrared one, written
    last, says that the pair is there.
    """
    scene = stage_scene(name, seed, height)
    cameras = place_cameras(name, seed, height)
    # The coder's quality differs from clip to clip, as the files' sizes would tell of motion
    # otherwise.
    quality = int(random_stream(seed, "codec", *_numbers(name)).integers(19, 30))
    size = 0
    frames = (rgb_frames(scene, cameras[0], name, seed), ir_frames(scene, cameras[1], name, seed))
    for path, camera, pictures in zip(pair_paths(out, name), cameras, frames, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.avi")
        try:
            _encode(partial, pictures, camera.width, camera.height, quality)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        size += path.stat().st_size
    return size


def _encode(
    path: Path, pictures: Iterator[np.ndarray], width: int, height: int, quality: int
) -> None:
    """H.264 in AVI without B-frames, which AVI cannot time."""
    options = {"preset": "veryfast", "crf": str(quality), "threads": "1", "bf": "0", "g": "60"}
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            if picture.ndim == 2:
                picture = np.repeat(picture[:, :, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
