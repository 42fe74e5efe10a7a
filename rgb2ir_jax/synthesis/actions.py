"""The ten actions A001-A010, each a function that writes one variation of itself into a script."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rgb2ir_jax.synthesis.actions_of_posture import clap, sit_down, stand_up
from rgb2ir_jax.synthesis.actions_with_throwing import drop, pick_up, throw
from rgb2ir_jax.synthesis.fetching import fetch
from rgb2ir_jax.synthesis.props import Kind
from rgb2ir_jax.synthesis.script import Key, Script


def drink(script: Script) -> None:
    """A vessel goes to the mouth and is tilted, once or more, the head leaning back."""
    rng, s = script.rng, script.who.height / 1.7
    hold, ready = fetch(script, Kind.VESSEL)
    side = hold.side
    raise_time = rng.uniform(0.45, 0.7) / script.tempo
    sips = max(1, min(int(rng.integers(1, 4)), int((script.end - ready) / 1.1)))
    span = (script.end - ready) / sips
    tilt_keys: list[tuple[float, float]] = [(ready, 0.0)]
    head_keys: list[tuple[float, float]] = [(ready, 0.0)]
    script.lift[side] += [
        (ready, script.lift[side][-1][1]),
        (ready + raise_time, rng.uniform(0.2, 0.6)),
    ]
    mouth = np.array([side * 0.012, 0.165 * s, -0.095 * s])
    level = np.array([side * 0.1, rng.uniform(0.24, 0.34), rng.uniform(-0.32, -0.18)])
    for sip in range(sips):
        start = ready + sip * span
        up = start + min(raise_time, 0.4 * span)
        down = start + span * rng.uniform(0.72, 0.86)
        tilt = rng.uniform(0.7, 1.5) * script.amplitude
        script.move(side, up, "head", mouth, hold=max(down - up, 0.05))
        last = sip == sips - 1
        if not (last and rng.random() < 0.4):
            script.move(side, start + span, "shoulder", level)
            tilt_keys += [
                (up - 0.1, 0.15),
                (0.5 * (up + down), tilt),
                (down, 0.3),
                (start + span, 0.0),
            ]
        else:
            tilt_keys += [(up - 0.1, 0.15), (0.5 * (up + down), tilt), (script.end, tilt)]
        head_keys += [(up - 0.1, 0.0), (0.5 * (up + down), -0.28 * tilt), (down + 0.1, 0.0)]
    for time, tilt in tilt_keys:
        hold.axis.append(Key(time, "head", np.array([0.0, -np.sin(tilt), np.cos(tilt)])))
    script.torso.head_pitch += script.bump(head_keys)


def eat(script: Script) -> None:
    """Something small goes to the mouth again and again; chewing between."""
    rng, s = script.rng, script.who.height / 1.7
    hold, ready = fetch(script, Kind.FOOD)
    side = hold.side
    period = rng.uniform(0.85, 1.3) / script.tempo
    bites = max(1, int((script.end - ready) / period))
    period = (script.end - ready) / bites
    script.lift[side] += [(ready, script.lift[side][-1][1]), (ready + 0.4, rng.uniform(0.05, 0.45))]
    rest = np.array([side * 0.05, rng.uniform(0.2, 0.3), rng.uniform(-0.34, -0.2)])
    nod: list[tuple[float, float]] = [(ready, 0.0)]
    for bite in range(bites):
        start = ready + bite * period
        at = start + period * rng.uniform(0.36, 0.48)
        mouth = np.array([side * 0.01, 0.125 * s, -0.06 * s]) + rng.normal(0, 0.006, 3)
        script.move(side, at, "head", mouth, hold=period * rng.uniform(0.14, 0.3))
        script.move(side, start + period, "head", rest * script.amplitude)
        nod += [(start + 0.1, 0.05), (at, rng.uniform(0.1, 0.25)), (start + period, 0.08)]
    hold.axis.append(Key(ready, "head", np.array([0.0, 0.1, 1.0])))
    hold.axis.append(Key(ready + 0.5, "head", np.array([side * 0.3, -0.6, 1.0])))
    script.torso.head_pitch += script.bump(nod)
    chewing = 0.02 * np.sin(2 * np.pi * rng.uniform(1.5, 2.2) * script.time)
    script.torso.head_pitch += chewing * (script.time > ready)


def brush_teeth(script: Script) -> None:
    """A small stick at the mouth in fast small strokes; the elbow is up, now and then the side changes."""
    rng, s = script.rng, script.who.height / 1.7
    hold, ready = fetch(script, Kind.TOOTHBRUSH)
    side = hold.side
    at = ready + rng.uniform(0.4, 0.6) / script.tempo
    rate = rng.uniform(2.6, 4.4) * script.tempo
    size = rng.uniform(0.02, 0.04) * script.amplitude
    phase = 2 * np.pi * rate * script.time
    change = np.sign(np.sin(2 * np.pi * script.time / rng.uniform(1.2, 2.5)))
    points = np.stack(
        [
            side * (0.115 + size * np.sin(phase)),
            0.115 * s + 0.012 * np.cos(phase) + 0.0 * change,
            -0.075 * s + 0.006 * np.sin(phase + 1.0) + 0.008 * change,
        ],
        axis=1,
    )
    script.move(side, at, "head", points, hold=max(script.end - at - 0.3, 0.2))
    if rng.random() < 0.4:
        script.move(side, script.end + 0.2, "shoulder", [side * 0.1, 0.3, -0.3])
    raised = rng.uniform(0.4, 0.8)
    script.lift[side] += [(ready, script.lift[side][-1][1]), (at, raised)]
    hold.axis.append(Key(ready, "head", np.array([0.0, 0.1, 1.0])))
    hold.axis.append(Key(at, "head", np.array([-side * 1.0, -0.15, 0.15])))
    script.torso.head_pitch += script.bump([(ready, 0.0), (at, rng.uniform(0.0, 0.25))])
    script.torso.head_yaw += script.bump([(ready, 0.0), (at, side * rng.uniform(-0.1, 0.25))])


def brush_hair(script: Script) -> None:
    """A comb strokes along the head from the forehead to the back or down the side, again and again."""
    rng, s = script.rng, script.who.height / 1.7
    hold, ready = fetch(script, Kind.COMB)
    side = hold.side
    at = ready + rng.uniform(0.45, 0.65) / script.tempo
    rate = rng.uniform(0.9, 1.6) * script.tempo
    cycle = ((script.time - at) * rate) % 1.0
    # Two thirds of a cycle strokes, one third returns through the air.
    stroke = np.where(cycle < 0.65, cycle / 0.65, 1 - (cycle - 0.65) / 0.35)
    stroke = 0.5 - 0.5 * np.cos(np.pi * stroke)
    lifted = np.where(cycle < 0.65, 0.0, 0.05 * np.sin(np.pi * (cycle - 0.65) / 0.35))
    if rng.random() < 0.5:  # over the crown
        start, end = np.radians(rng.uniform(30, 55)), np.radians(rng.uniform(130, 170))
        angle = start + (end - start) * stroke
        radius = (0.165 + lifted) * s
        points = np.stack(
            [side * 0.07 + 0 * angle, radius * np.cos(angle), 0.03 + radius * np.sin(angle)], axis=1
        )
    else:  # down the side
        start, end = np.radians(rng.uniform(65, 85)), np.radians(rng.uniform(-35, -10))
        angle = start + (end - start) * stroke
        radius = (0.155 + lifted) * s
        points = np.stack(
            [side * radius * np.cos(angle), 0.01 - 0.05 * stroke, 0.01 + radius * np.sin(angle)],
            axis=1,
        )
    script.move(side, at, "head", points, hold=max(script.end - at - 0.2, 0.2))
    if rng.random() < 0.4:
        script.move(side, script.end + 0.3, "shoulder", [side * 0.1, 0.3, -0.3])
    script.lift[side] += [(ready, script.lift[side][-1][1]), (at, rng.uniform(0.6, 0.95))]
    hold.axis.append(Key(ready, "head", np.array([0.0, 0.1, 1.0])))
    hold.axis.append(Key(at, "head", np.array([-side * 0.8, -0.35, 0.35])))
    script.torso.head_roll += script.bump([(ready, 0.0), (at, side * rng.uniform(-0.25, 0.15))])
    script.torso.head_pitch += script.bump([(ready, 0.0), (at, rng.uniform(0.0, 0.25))])


ACTIONS: tuple[Callable[[Script], None], ...] = (
    drink,
    eat,
    brush_teeth,
    brush_hair,
    drop,
    pick_up,
    throw,
    sit_down,
    stand_up,
    clap,
)
"""A001-A010 in order."""
