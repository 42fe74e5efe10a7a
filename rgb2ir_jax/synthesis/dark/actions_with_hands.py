"""Wave, pour and push: what the hands do at night beyond the other layouts' actions."""

import numpy as np

from rgb2ir_jax.synthesis.dark.floor import forward
from rgb2ir_jax.synthesis.dark.footwork import Gait, Way
from rgb2ir_jax.synthesis.dark.script import NightScript
from rgb2ir_jax.synthesis.kinematics import minimum_jerk
from rgb2ir_jax.synthesis.props import Kind
from rgb2ir_jax.synthesis.script import LEFT, RIGHT, Hold, Key

# The middle of a hand that lies flat against something.
_HAND = 0.05


def wave(script: NightScript) -> None:
    """A raised hand goes from side to side; now and then both do."""
    rng, s = script.rng, script.who.height / 1.7
    sides = [script.stage.free_side]
    if script.stage.held is None and rng.random() < 0.12:
        sides.append(-sides[0])
    at = script.begin + min(rng.uniform(0.35, 0.55) / script.tempo, 0.35 * script.spare)
    rate = rng.uniform(1.3, 2.4) * script.tempo
    size = rng.uniform(0.11, 0.19) * script.amplitude * s
    middle = np.array([rng.uniform(0.2, 0.36), rng.uniform(0.12, 0.3), rng.uniform(0.2, 0.42)]) * s
    swing = size * np.sin(2 * np.pi * rate * (script.time - at))
    for side in sides:
        points = np.stack(
            [
                side * middle[0] + swing,
                middle[1] + 0 * swing,
                middle[2] - 0.9 * (side * swing) ** 2 / (0.3 * s),
            ],
            axis=1,
        )
        script.wait(side, script.begin)
        script.move(side, at, "shoulder", points, hold=max(script.end - at - 0.15, 0.3))
        if rng.random() < 0.4:
            script.relax(side, script.end + 0.4)
        lift = script.lift[side][-1][1]
        script.lift[side] += [(script.begin, lift), (at, rng.uniform(0.35, 0.75))]
    script.torso.roll -= sides[0] * rng.uniform(0.0, 0.06) * (script.time > at)


def _take_from_bag(script: NightScript, side: int, seconds: float) -> Hold:
    """A vessel comes out of the bag on a side's hip; what that hand held goes into it."""
    point = script.stage.bag_point
    vessel = next(
        thing
        for thing in script.stage.things
        if thing.place == "bag" and thing.kind is Kind.VESSEL and thing.point[0] * side > 0
    )
    at = script.begin + seconds
    for hold in script.holds:
        if hold.side == side:
            hold.end, hold.stowed = at, True
    bag = np.array([side * abs(point[0]), point[1], 0.54 * script.who.height])
    script.wait(side, script.begin)
    script.move(side, at, "root", bag, hold=0.05)
    hold = Hold(vessel, side, at + 0.01, axis=[Key(at, "root", np.array([0.0, 0.0, 1.0]))])
    script.holds.append(hold)
    return hold


def pour(script: NightScript) -> None:
    """One vessel is tilted over another before the belly; both come out of the bags unless one is held."""
    rng, s = script.rng, script.who.height / 1.7
    giver = script.stage.free_side
    seconds = min(rng.uniform(0.25, 0.4) / script.tempo, 0.2 * script.spare)
    full = _take_from_bag(script, giver, seconds)
    held = script.stage.held
    if held is not None and held.kind is Kind.VESSEL:
        empty = script.holds[0]
    else:
        empty = _take_from_bag(script, -giver, seconds)
    script.pour = full, empty
    ready = script.begin + seconds + 0.05
    left = script.end - ready
    there = ready + min(rng.uniform(0.4, 0.55) / script.tempo, 0.35 * left)
    over = there + min(0.35 / script.tempo, 0.3 * (script.end - there))
    back = script.end - min(rng.uniform(0.25, 0.5), 0.3 * (script.end - over))
    tilt = rng.uniform(1.75, 2.15)
    # Enlarged as they are, vessels are held well apart.
    cup = np.array([-giver * rng.uniform(0.0, 0.06), 0.31, rng.uniform(-0.14, -0.02)]) * s
    aside = np.array([giver * rng.uniform(0.17, 0.21), 0.0, rng.uniform(0.25, 0.31)])
    upright = cup + np.array([giver * 0.26, 0.0, 0.16])
    script.wait(-giver, ready)
    script.move(-giver, there, "chest", cup, hold=max(script.end - there, 0.1))
    script.move(giver, there, "chest", upright)
    script.move(giver, over, "chest", cup + aside, hold=max(back - over, 0.1))
    if rng.random() < 0.6:
        script.move(giver, script.end + 0.1, "chest", upright)
    lift = script.lift[giver][-1][1]
    script.lift[giver] += [(ready, lift), (over, rng.uniform(0.35, 0.7))]
    for time, angle in ((there, 0.15), (over, tilt), (back, tilt), (script.end + 0.1, 0.1)):
        axis = np.array([-giver * np.sin(angle), 0.0, np.cos(angle)])
        full.axis.append(Key(time, "root", axis))
    empty.axis.append(Key(there, "root", np.array([0.0, 0.0, 1.0])))
    script.torso.head_pitch += rng.uniform(0.25, 0.5) * script.bump([(ready, 0.0), (there, 1.0)])
    script.torso.pitch += rng.uniform(0.0, 0.1) * script.bump([(ready, 0.0), (there, 1.0)])


def push(script: NightScript) -> None:
    """The performer turns to the crate, leans on it with both hands or one, and it slides away."""
    rng, torso, crate, time = script.rng, script.torso, script.night.crate, script.time
    angle = float(np.angle(np.exp(1j * (crate.heading - torso.yaw[0]))))
    face = min((0.2 + abs(angle) / 2.6) / script.tempo, 0.4 * script.spare)
    touch = script.begin + face
    start = touch + 0.08
    end = start + min(rng.uniform(0.8, 1.3) / script.tempo, script.end - start)
    arms = float(rng.uniform(0.17, 0.27)) * script.body.stature / 1.7
    total = min(arms + max(float(rng.uniform(-0.2, 0.55)), 0.0), crate.way)
    pushed = minimum_jerk((time - start) / (end - start))
    walked = max(total - arms, 0.0)
    script.slide = total * pushed
    progress = minimum_jerk((time - script.begin) / face)
    turned, ahead = max(1, round(abs(angle) / 0.6)), int(np.ceil(walked / 0.35))
    way = Way(
        torso.ground[0] + walked * pushed[:, None] * forward(crate.heading),
        torso.yaw[0] + angle * progress,
        turned * progress + ahead * pushed,
    )
    script.go(way, LEFT if angle > 0 else RIGHT, Gait(0.8, 0.06, 0.4, script.who.stance / 2))
    lean = rng.uniform(0.36, 0.52)
    # The trunk leans before the crate gives way: the arms, bent until then, do the rest.
    torso.pitch += script.bump([(script.begin, 0.0), (touch, 0.6 * lean), (end, lean)])
    torso.hip[:, 1] -= 0.02 * script.body.stature * script.bump([(touch, 0.0), (start + 0.2, 1.0)])
    torso.hip[:, 0] -= rng.uniform(0.0, 0.05) * script.bump([(touch, 0.0), (end, 1.0)])
    sides = [RIGHT, LEFT]
    if script.stage.held is not None or rng.random() < 0.12:
        sides = [script.stage.free_side]
    height = min(crate.height - 0.07, rng.uniform(0.56, 0.62) * script.body.stature)
    # The near face of the crate, as it slides.
    middle = crate.place - (crate.depth / 2 + _HAND) * forward(crate.heading)
    contact = middle + script.slide[:, None] * forward(crate.heading)
    right = forward(crate.heading - np.pi / 2)
    for side in sides:
        spread = side * rng.uniform(0.1, 0.16)
        goal = np.concatenate([contact + spread * right, np.full((len(time), 1), height)], axis=1)
        script.wait(side, script.begin)
        script.move(side, touch, "root", script.to_root(goal), hold=max(end - touch, 0.2))
        if rng.random() < 0.4:
            script.relax(side, end + 0.5)
        lift = script.lift[side][-1][1]
        script.lift[side] += [(script.begin, lift), (touch, rng.uniform(0.2, 0.5))]
