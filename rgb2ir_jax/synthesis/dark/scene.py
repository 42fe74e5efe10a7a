"""What the camera films at night: the person, the crate, the bags and what is poured, in the room of a group."""

import numpy as np

from rgb2ir_jax.synthesis.camera import PinholeCamera
from rgb2ir_jax.synthesis.dark.actions import DARK_ACTIONS
from rgb2ir_jax.synthesis.dark.clips import DarkClip
from rgb2ir_jax.synthesis.dark.floor import forward
from rgb2ir_jax.synthesis.dark.place import night_camera, night_room, session_of
from rgb2ir_jax.synthesis.dark.script import NightScript
from rgb2ir_jax.synthesis.dark.stage import set_night_stage
from rgb2ir_jax.synthesis.kinematics import rotation_z
from rgb2ir_jax.synthesis.mesh import PosedMesh, tube
from rgb2ir_jax.synthesis.motion import Performance, play
from rgb2ir_jax.synthesis.naming import random_stream
from rgb2ir_jax.synthesis.performer import cast_performer
from rgb2ir_jax.synthesis.scene import Scene, compose_scene, sides_at
from rgb2ir_jax.synthesis.script import Hold

_STREAM_RADIUS = 0.017
# Below this the emptied vessel's axis must point (cosine to the vertical) for its content to leave it.
_POURS_BELOW = -0.05


def perform(clip: DarkClip, seed: int, height: int) -> tuple[NightScript, Performance]:
    """The script of a clip and the motion that follows from it."""
    who = cast_performer(clip.performer, seed)
    room, camera = night_room(clip, seed, height), night_camera(clip, seed, height)
    night = set_night_stage(clip, who, room, camera, seed, sides_at(height))
    rng = random_stream(seed, "dark motion", clip.label, clip.group, clip.number)
    script = NightScript(who, night, rng)
    DARK_ACTIONS[clip.label](script)
    return script, play(script)


def stage_dark_scene(clip: DarkClip, seed: int, height: int) -> tuple[Scene, PinholeCamera]:
    """Builds the scene of a clip, and the camera that films it."""
    script, played = perform(clip, seed, height)
    stage, crate = script.stage, script.night.crate
    session, things, room = session_of(clip), stage.things, script.night.room
    scene = compose_scene(session, script.who, stage, played, things, seed, height, room)
    # The performer's own soft shadow would stay behind when the performer goes.
    del scene.shadows[1]
    place = crate.place + script.slide[:, None] * forward(crate.heading)
    scene.parts.append(
        PosedMesh(
            crate.mesh,
            rotation_z(np.full(len(place), crate.heading)),
            np.concatenate([place, np.zeros((len(place), 1))], axis=1),
            bias=0.06,
        )
    )
    hip = np.array([-1.12 * stage.bag_point[0], -0.03, 0.0])
    pelvis = played.frames.rotation["pelvis"]
    at = played.frames.world("pelvis", hip)
    scene.parts.append(PosedMesh(script.night.second_bag, pelvis, at, bias=-0.01))
    if script.pour is not None:
        scene.parts.append(_poured(script, played, *script.pour))
    return scene, script.night.camera


def _poured(script: NightScript, played: Performance, full: Hold, empty: Hold) -> PosedMesh:
    """What runs out of the tilted vessel's mouth down into the other one; nothing while it is upright."""
    things = script.stage.things
    turned, above = played.things[next(i for i, t in enumerate(things) if t is full.thing)]
    _, below = played.things[next(i for i, t in enumerate(things) if t is empty.thing)]
    mouth = above + turned[:, :, 2] * float(full.thing.mesh.vertices[:, 2].max())
    fall = below - mouth
    # Straight down: it ends where the other vessel's axis is, about.
    fall[:, :2] *= 0.3
    runs = (turned[:, 2, 2] < _POURS_BELOW) & (script.time > full.start) & (fall[:, 2] < -0.02)
    shape = np.zeros((len(mouth), 3, 3))
    # Mirrored, as its axis points down: its faces then still look outward.
    shape[:, 0, 0], shape[:, 1, 1] = _STREAM_RADIUS, -_STREAM_RADIUS
    shape[:, :, 2] = fall
    shape[~runs] = 0.0
    drops = tube([(0.0, 1.0, 1.0), (1.0, 1.0, 1.0)], 5).painted((215.0, 225.0, 235.0), 0.5, 0.2)
    return PosedMesh(drops, shape, mouth, bias=-0.08)
