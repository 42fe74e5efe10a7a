"""Sit down, stand up and clap: actions of the whole body that need no thing in the hand."""

from __future__ import annotations

import numpy as np

from rgb2ir_jax.synthesis.script import LEFT, RIGHT, Script


def _seated_hip(script: Script) -> np.ndarray:
    """Hip joints of the seated performer: (forward, up) in the root frame."""
    seat = script.stage.seat + 0.052 * script.body.stature * script.who.girth
    return np.array([script.stage.chair_point[1] + 0.06, seat])


def _hand_on_leg(script: Script, side: int) -> np.ndarray:
    """A place on the thigh or the knee of the seated performer, in the root frame."""
    share = script.rng.uniform(0.35, 0.95)
    hip = _seated_hip(script)
    return np.array(
        [
            side * script.rng.uniform(0.07, 0.14),
            (1 - share) * hip[0] + share * 0.02,
            hip[1] + 0.065 * script.who.girth + script.rng.uniform(0.0, 0.02),
        ]
    )


def _shift_hips(script: Script, seated: np.ndarray) -> None:
    """Moves the hips between standing (0) and sitting (1), a share a frame."""
    rest, goal = script.torso.hip, _seated_hip(script)
    # The noise of standing must not lift a seated body off its chair.
    script.torso.hip = (1 - seated[:, None]) * rest + seated[:, None] * goal


def sit_down(script: Script) -> None:
    """From standing onto the chair behind, often after a look over the shoulder."""
    rng = script.rng
    spare = script.end - script.begin
    seconds = min(rng.uniform(1.1, 1.8) / script.tempo, spare)
    start = script.begin + rng.uniform(0.0, 0.7) * (spare - seconds)
    down = start + seconds
    seated = script.bump([(start, 0.0), (down, 1.0)])
    _shift_hips(script, seated)
    lean = rng.uniform(0.35, 0.6)
    rest = rng.uniform(-0.12, 0.12)
    script.torso.pitch += script.bump(
        [(start, 0.0), (start + 0.6 * seconds, lean), (down + 0.3, rest)]
    )
    if rng.random() < 0.6:
        side = 1 if rng.random() < 0.5 else -1
        look = script.bump(
            [(start - 0.35, 0.0), (start + 0.15, 1.0), (down - 0.3, 0.8), (down, 0.0)]
        )
        script.torso.head_yaw += side * rng.uniform(0.6, 1.0) * look
        script.torso.twist += side * rng.uniform(0.1, 0.35) * look
        script.torso.head_pitch += 0.3 * look
    else:
        script.torso.head_pitch += script.bump(
            [(start, 0.0), (start + 0.5 * seconds, 0.35), (down, 0.05)]
        )
    for side in (RIGHT, LEFT):
        script.wait(side, start)
        if rng.random() < 0.5:  # a hand feels for the seat
            script.move(side, start + 0.7 * seconds, "shoulder", [side * 0.1, -0.12, -0.5])
        script.move(side, down + rng.uniform(0.0, 0.4), "root", _hand_on_leg(script, side))


def stand_up(script: Script) -> None:
    """From the chair to standing, the trunk forward, the hands pushing on the legs or swinging."""
    rng = script.rng
    spare = script.end - script.begin
    seconds = min(rng.uniform(1.0, 1.7) / script.tempo, spare)
    start = script.begin + rng.uniform(0.0, 0.7) * (spare - seconds)
    up = start + seconds
    _shift_hips(script, script.bump([(start + 0.15 * seconds, 1.0), (up, 0.0)]))
    rest = rng.uniform(-0.12, 0.12)
    lean = rng.uniform(0.5, 0.85)
    script.torso.pitch += script.bump(
        [(start, rest), (start + 0.45 * seconds, lean), (up + 0.15, 0.0)]
    )
    script.torso.head_pitch += script.bump(
        [(start, 0.0), (start + 0.4 * seconds, -0.15), (up, 0.0)]
    )
    for side in (RIGHT, LEFT):
        leg = _hand_on_leg(script, side)
        script.hands[side] = []
        script.move(side, 0.0, "root", leg, hold=start)
        if rng.random() < 0.65:  # push on the knee
            knee = np.array([side * 0.13, 0.04, script.stage.seat + 0.14])
            script.move(side, start + 0.35 * seconds, "root", knee, hold=0.2 * seconds)
        script.relax(side, up + rng.uniform(0.0, 0.3))


def clap(script: Script) -> None:
    """The hands meet before the chest again and again."""
    rng = script.rng
    at = script.begin + rng.uniform(0.35, 0.55) / script.tempo
    rate = rng.uniform(2.0, 3.8) * script.tempo
    size = rng.uniform(0.09, 0.24) * script.amplitude
    gap = 0.02 * script.body.stature
    apart = gap + size * (0.5 - 0.5 * np.cos(2 * np.pi * rate * (script.time - at) + np.pi))
    height = rng.uniform(0.12, 0.34) * script.body.stature / 1.7
    ahead = rng.uniform(0.26, 0.38)
    middle = rng.normal(0, 0.03)
    leading = rng.uniform(0.35, 0.65)
    for side in (RIGHT, LEFT):
        share = 2 * (leading if side == RIGHT else 1 - leading)
        points = np.stack(
            [
                middle + side * (gap + share * (apart - gap)),
                ahead + 0 * apart,
                height + 0.1 * side * (leading - 0.5) * apart,
            ],
            axis=1,
        )
        script.wait(side, script.begin)
        script.move(side, at, "chest", points, hold=max(script.end - at - 0.2, 0.3))
        if rng.random() < 0.5:
            script.relax(side, script.end + 0.3)
        lift = script.lift[side][-1][1]
        script.lift[side] += [(script.begin, lift), (at, rng.uniform(0.2, 0.5))]
