"""Drop, pick up and throw: a thing leaves the hand or comes into it."""

from __future__ import annotations

import numpy as np

from rgb2ir_jax.synthesis.fetching import fetch
from rgb2ir_jax.synthesis.props import Kind
from rgb2ir_jax.synthesis.script import Hold, Key, Script
from rgb2ir_jax.synthesis.skeleton import Torso, place_torso, shoulder_of


def _window(script: Script, ready: float, seconds: float) -> tuple[float, float]:
    """A time and length for something done once between `ready` and the end: late or early, shortened if it must."""
    spare = script.end - ready
    seconds = min(seconds / script.tempo, spare)
    return ready + script.rng.uniform(0.0, 0.6) * (spare - seconds), seconds


def drop(script: Script) -> None:
    """A held thing slips out of the hand and falls; the look follows it to the floor."""
    rng = script.rng
    hold, ready = fetch(script, None)
    side = hold.side
    carry = np.array(
        [side * rng.uniform(-0.02, 0.16), rng.uniform(0.26, 0.42), rng.uniform(-0.34, -0.12)]
    )
    start, seconds = _window(script, ready, rng.uniform(1.0, 1.5))
    out = start + 0.35 * seconds
    if start > ready + 0.3:
        script.move(side, ready + 0.35, "shoulder", carry + rng.normal(0, 0.04, 3))
        script.wait(side, start)
    script.move(side, out, "shoulder", carry, hold=0.08 * seconds)
    release = out + 0.05 * seconds
    hold.end = release
    hold.velocity = np.array(
        [side * rng.uniform(-0.1, 0.3), rng.uniform(0.0, 0.4), rng.uniform(-0.2, 0.1)]
    )
    # The empty hand starts after the thing, then gives up.
    script.move(
        side,
        release + 0.28 / script.tempo,
        "shoulder",
        carry + np.array([0.0, 0.04, -0.1]),
        hold=0.25,
    )
    script.relax(side, release + 1.1 / script.tempo)
    gaze = rng.uniform(0.35, 0.65)
    look = [
        (release - 0.05, 0.0),
        (release + 0.35, 1.0),
        (release + 1.4, 1.0),
        (release + 2.0, rng.uniform(0.3, 1.0)),
    ]
    script.torso.head_pitch += gaze * script.bump(look)
    script.torso.pitch += rng.uniform(0.05, 0.22) * script.bump(look)
    script.torso.head_yaw -= side * 0.12 * script.bump(look)


def _knee_bend(script: Script, pitch: float, back: float, side: int, point: np.ndarray) -> float:
    """By how much the hips must sink for a hand to reach a point (root frame) at a given lean; metres."""
    body = script.body
    arm = 0.97 * (body.upper_arm + body.forearm + body.grip)
    zero = np.zeros(1)
    for sink in np.arange(0.05, 0.62, 0.03):
        hip = np.array([[-back, body.hip_height - sink]])
        torso = Torso(np.zeros((1, 2)), zero, hip, zero + pitch, zero, zero, zero, zero, zero)
        shoulder = shoulder_of(place_torso(torso, body), body, side)[0]
        if np.linalg.norm(shoulder - point) < arm:
            return float(sink)
    return 0.6


def pick_up(script: Script) -> None:
    """The performer bends down to a thing on the floor, takes it and comes up with it."""
    rng, stage = script.rng, script.stage
    thing = next(thing for thing in stage.things if thing.place == "floor")
    side = stage.free_side
    start, seconds = _window(script, script.begin, rng.uniform(1.5, 2.2))
    down, leave = start + 0.42 * seconds, start + 0.5 * seconds
    up = start + 0.95 * seconds
    pitch = rng.uniform(0.75, 1.35)
    back = rng.uniform(0.08, 0.2)
    sink = _knee_bend(script, pitch + script.who.stoop, back, side, thing.point)
    bend = script.bump([(start, 0.0), (down, 1.0), (leave, 1.0), (up, 0.0)])
    script.torso.pitch += pitch * bend
    script.torso.hip[:, 0] -= back * bend
    script.torso.hip[:, 1] -= sink * bend
    script.torso.head_pitch += rng.uniform(0.1, 0.35) * bend
    script.wait(side, start + 0.05 * seconds)
    script.move(side, down, "root", thing.point, hold=leave - down)
    show = np.array(
        [side * rng.uniform(0.0, 0.12), rng.uniform(0.22, 0.36), rng.uniform(-0.38, -0.15)]
    )
    script.holds.append(
        Hold(thing, side, down, axis=[Key(down, "root", np.array([0.0, 0.0, 1.0]))])
    )
    script.move(side, up, "shoulder", show, hold=0.5)
    if rng.random() < 0.5:
        script.relax(side, up + 1.1)
    if rng.random() < 0.4:  # the other hand rests on the knee meanwhile
        knee = np.array([-side * 0.12, 0.18, 0.3 * script.who.height])
        script.wait(-side, start)
        script.move(-side, down, "root", knee, hold=leave - down)
        script.relax(-side, up)
    look = script.bump([(up - 0.3, 0.0), (up, 1.0), (up + 0.8, 0.4)])
    script.torso.head_pitch += 0.25 * look


def throw(script: Script) -> None:
    """The arm winds up, the trunk turns, and the thing leaves the hand forward; over or under the shoulder."""
    rng = script.rng
    hold, ready = fetch(script, Kind.TOY if rng.random() < 0.85 else None)
    side = hold.side
    start, seconds = _window(script, ready, rng.uniform(1.0, 1.5))
    wind, release = start + 0.42 * seconds, start + 0.62 * seconds
    a = script.amplitude
    if rng.random() < 0.7:
        back = np.array([side * rng.uniform(0.12, 0.25), -0.12 * a, rng.uniform(0.1, 0.28)])
        front = np.array([-side * 0.02, 0.5, rng.uniform(0.05, 0.25)])
        after = np.array([-side * 0.15, 0.35, -0.35])
        velocity = np.array([rng.normal(0, 0.5), rng.uniform(3.5, 6.0), rng.uniform(0.5, 2.0)])
        lift = rng.uniform(0.6, 0.9)
    else:
        back = np.array([side * 0.12, -0.3 * a, -0.42])
        front = np.array([side * 0.02, 0.48, rng.uniform(-0.2, 0.0)])
        after = np.array([0.0, 0.42, 0.15])
        velocity = np.array([rng.normal(0, 0.4), rng.uniform(2.5, 4.5), rng.uniform(1.5, 3.0)])
        lift = rng.uniform(0.1, 0.3)
    if start > ready + 0.3:
        script.move(side, ready + 0.35, "shoulder", [side * 0.08, 0.28, -0.3])
        script.wait(side, start)
    script.move(side, wind, "shoulder", back, hold=0.04 * seconds)
    script.move(side, release + 0.03, "shoulder", front)
    script.move(side, release + 0.3 / script.tempo, "shoulder", after, hold=0.1)
    script.relax(side, release + 1.0 / script.tempo)
    script.lift[side] += [
        (start, script.lift[side][-1][1]),
        (wind, lift),
        (release + 0.4, lift),
        (release + 0.9, 0.15),
    ]
    hold.end, hold.velocity = release, velocity
    turn = script.bump(
        [
            (start, 0.0),
            (wind, -0.5 * side * a),
            (release + 0.1, 0.4 * side * a),
            (release + 0.9, 0.0),
        ]
    )
    script.torso.twist += turn
    script.torso.head_yaw -= 0.8 * turn
    script.torso.pitch += script.bump(
        [(start, 0.0), (wind, -0.08), (release + 0.1, 0.22), (release + 0.9, 0.03)]
    )
