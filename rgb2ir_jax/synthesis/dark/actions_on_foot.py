"""Walk, run, turn and jump: the feet leave their place."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.synthesis.dark.floor import forward, plan_route
from rgb2ir_jax.synthesis.dark.footwork import Gait, Way, ball_lever, raise_heel
from rgb2ir_jax.synthesis.dark.script import NightScript
from rgb2ir_jax.synthesis.kinematics import minimum_jerk
from rgb2ir_jax.synthesis.script import LEFT, RIGHT
from rgb2ir_jax.synthesis.stage import FRAMES_PER_SECOND

# Whoever is under way at the clip's end goes on; the feet must know where to.
_FRAMES_BEYOND = 45
_GRAVITY = 9.81


@dataclass(frozen=True)
class _Pace:
    """What a walk and a run differ in.

    Attributes:
        speed: Metres a second, from and to, before the performer's tempo.
        limits: The least and the most that the tempo may make of it.
        start_up: Seconds until the full speed is reached.
        step: Metres of a step at a stature of 1.7 m: always, and for each metre a second.
        turning: The most radians a second by which the heading changes.
        swing: As a gait's.
        lift: As a gait's.
        toe_off: As a gait's.
        half_width: As a gait's, but as a share of the stature.
        drop: By how much the hips sink, as a share of the stature.
        rise: Metres by which the hips go up and down with the steps; above
            zero where they are highest in a run's flight, below where lowest as both feet stand.
        pitch: Radians by which the trunk leans forward, from and to.
        bent: Whether the elbows are.
    """

    speed: tuple[float, float]
    limits: tuple[float, float]
    start_up: float
    step: tuple[float, float]
    turning: float
    swing: float
    lift: float
    toe_off: float
    half_width: float
    drop: float
    rise: float
    pitch: tuple[float, float]
    bent: bool


_WALK = _Pace(
    speed=(0.95, 1.25),
    limits=(0.75, 1.45),
    start_up=0.5,
    step=(0.25, 0.22),
    turning=1.7,
    swing=0.8,
    lift=0.07,
    toe_off=0.55,
    half_width=0.05,
    drop=0.032,
    rise=-0.012,
    pitch=(0.0, 0.06),
    bent=False,
)
_RUN = _Pace(
    speed=(2.1, 2.6),
    limits=(1.9, 2.9),
    start_up=0.55,
    step=(0.35, 0.2),
    turning=2.9,
    swing=1.3,
    lift=0.26,
    toe_off=0.8,
    half_width=0.035,
    drop=0.03,
    rise=0.03,
    pitch=(0.14, 0.28),
    bent=True,
)


def _start_up(script: NightScript, seconds: float) -> Float[np.ndarray, " frame"]:
    """Share of the full speed at each frame of the clip and beyond."""
    time = np.arange(len(script.time) + _FRAMES_BEYOND) / FRAMES_PER_SECOND
    return minimum_jerk((time - script.begin) / seconds)


def _travel(script: NightScript, speed: np.ndarray, length: float, turning: float) -> Way:
    """A way at a speed (a frame) in steps of a length, over the free floor."""
    torso = script.torso
    start, heading = torso.ground[0].copy(), float(torso.yaw[0])
    place, angle = plan_route(script.night.floor, start, heading, speed, turning, script.rng)
    turned = np.abs(np.diff(angle, prepend=angle[0]))
    # On the spot one steps as well, to turn.
    steps = np.maximum(speed / FRAMES_PER_SECOND / length, turned / 0.9)
    return Way(place, angle, np.cumsum(steps) - steps[0])


def _swing_arms(
    script: NightScript, way: Way, first: int, share: np.ndarray, *, bent: bool
) -> None:
    """Each arm goes with the other side's leg."""
    count = len(script.time)
    wave = np.cos(np.pi * way.steps[:count]) * share[:count]
    body, a = script.body, script.amplitude
    length = 0.94 * (body.upper_arm + body.forearm + body.grip)
    for side in (RIGHT, LEFT):
        phase = (1 if side == first else -1) * wave
        if bent:
            swing = script.rng.uniform(0.75, 1.0) * a * phase
            points = np.stack(
                [
                    side * (0.02 - 0.05 * np.maximum(phase, 0)),
                    0.1 + 0.2 * swing,
                    -0.25 * body.stature / 1.7 * (1 - 0.35 * swing),
                ],
                axis=1,
            )
        else:
            angle = 0.06 + script.rng.uniform(0.32, 0.5) * a * phase
            points = np.stack(
                [side * 0.07 + 0 * angle, length * np.sin(angle), -length * np.cos(angle)], axis=1
            )
        script.wait(side, script.begin)
        script.move(side, script.begin + 0.4, "shoulder", points, hold=script.stage.seconds)
        lift = script.lift[side][-1][1]
        script.lift[side] += [(script.begin, lift), (script.begin + 0.4, 0.15 if bent else 0.1)]


def _bob(
    script: NightScript, way: Way, first: int, share: np.ndarray, drop: float, rise: float
) -> None:
    """Hips sink to make room for long steps, go up and down with them and over the carrying foot."""
    count = len(script.time)
    steps, share = way.steps[:count], share[:count]
    script.torso.hip[:, 1] -= share * drop
    script.torso.hip[:, 1] += share * rise * np.cos(2 * np.pi * steps)
    right = forward(way.heading[:count] - np.pi / 2)
    sway = 0.018 * first * np.cos(np.pi * (steps - 1.5)) * share
    script.torso.ground += sway[:, None] * right
    script.torso.twist += 0.12 * script.amplitude * first * np.cos(np.pi * steps) * share


def _set_off(script: NightScript, pace: _Pace) -> None:
    rng, body = script.rng, script.body
    top = float(np.clip(rng.uniform(*pace.speed) * script.tempo, *pace.limits))
    share = _start_up(script, pace.start_up)
    length = (pace.step[0] + pace.step[1] * top) * body.stature / 1.7
    way = _travel(script, top * share, length, pace.turning)
    first = RIGHT if rng.random() < 0.5 else LEFT
    gait = Gait(pace.swing, pace.lift, pace.toe_off, pace.half_width * body.stature)
    script.go(way, first, gait)
    _bob(script, way, first, share, pace.drop * body.stature, pace.rise)
    script.torso.pitch += share[: len(script.time)] * rng.uniform(*pace.pitch)
    _swing_arms(script, way, first, share, bent=pace.bent)


def walk(script: NightScript) -> None:
    """Off at a walk, from where one stands to some other place in the room."""
    _set_off(script, _WALK)


def run(script: NightScript) -> None:
    """Off at a run: the trunk leans, the elbows are bent, the feet fly."""
    _set_off(script, _RUN)


def turn(script: NightScript) -> None:
    """Around in place, by a third of a circle at least and a whole one at most."""
    rng, torso = script.rng, script.torso
    most = min(np.radians(360), 4.2 * script.spare)
    angle = float(rng.uniform(np.radians(140), max(most, np.radians(150))))
    seconds = min(angle / (rng.uniform(1.9, 3.0) * script.tempo), script.spare)
    side = 1 if rng.random() < 0.5 else -1
    start = script.begin + float(rng.uniform(0, 0.5)) * (script.spare - seconds)
    progress = minimum_jerk((script.time - start) / seconds)
    count = len(script.time)
    way = Way(
        np.repeat(torso.ground[:1], count, axis=0),
        torso.yaw[0] + side * angle * progress,
        max(2, round(angle / 0.85)) * progress,
    )
    # The foot on the side to which one turns steps first.
    first = LEFT if side > 0 else RIGHT
    script.go(way, first, Gait(_WALK.swing, 0.06, 0.35, script.who.stance / 2))
    lead = script.bump([(start - 0.2, 0.0), (start + 0.3 * seconds, 1.0), (start + seconds, 0.0)])
    torso.head_yaw += side * rng.uniform(0.3, 0.6) * lead
    torso.twist += side * rng.uniform(0.1, 0.25) * lead
    torso.hip[:, 1] -= 0.015 * script.body.stature * lead


def jump(script: NightScript) -> None:
    """Up into the air, once or more, the arms swinging; sometimes a little forward."""
    rng, body, torso, time = script.rng, script.body, script.torso, script.time
    height = float(rng.uniform(0.14, 0.3)) * script.amplitude
    flight = 2 * np.sqrt(2 * height / _GRAVITY)
    dip, land = rng.uniform(0.3, 0.42) / script.tempo, rng.uniform(0.28, 0.38) / script.tempo
    period = min(dip + flight + land, script.spare)
    dip, land = (t * (period - flight) / (dip + land) for t in (dip, land))
    times = 1 if rng.random() < 0.35 else max(1, min(3, int(script.spare / period)))
    start = script.begin + float(rng.uniform(0, 0.6)) * (script.spare - times * period)
    crouch = float(rng.uniform(0.14, 0.24)) * script.amplitude
    ahead = float(rng.uniform(0.1, 0.25)) if rng.random() < 0.35 else 0.0
    up, pitch, travelled = np.zeros(len(time)), np.zeros(len(time)), np.zeros(len(time))
    sink: list[tuple[float, float]] = [(start, 0.0)]
    arms: list[tuple[float, float]] = [(start, 0.0)]  # -1 swung back, 1 thrown up, 0 at rest
    for k in range(times):
        off = start + k * period + dip
        fall = time - off
        in_air = (fall > 0) & (fall < flight)
        up += np.where(in_air, 0.5 * _GRAVITY * fall * (flight - fall), 0.0)
        pitch += np.interp(
            fall,
            [-0.12, 0.0, 0.3 * flight, flight, flight + 0.08],
            [0.0, 0.75, 0.55, 0.3, 0.0],
        )
        travelled += ahead * np.clip(fall / flight, 0, 1)
        sink += [(off - 0.22 * dip / 0.4, crouch), (off, 0.0), (off + flight, 0.0)]
        sink += [(off + flight + 0.4 * land, 0.6 * crouch)]
        arms += [(off - 0.5 * dip, -1.0), (off + 0.4 * flight, 1.0), (off + flight, 0.3)]
    sink.append((start + times * period, 0.0))
    arms.append((start + times * period + 0.1, 0.0))
    squat = script.bump(sink)
    lever = ball_lever(body) * np.sin(np.maximum(pitch, 0))
    torso.hip[:, 1] += up + 0.8 * lever - squat
    torso.hip[:, 0] -= 0.35 * squat
    torso.pitch += 1.5 * squat
    way = torso.yaw[0]
    torso.ground += travelled[:, None] * forward(way)
    tuck = rng.uniform(0.0, 0.35) * up
    heading = np.full(len(time), way)
    for side, place in script.standing().items():
        script.treads[side] = raise_heel(
            place + travelled[:, None] * forward(way), heading, up + tuck, pitch, body
        )
    _throw_arms(script, script.bump(arms), start, start + times * period)


def _throw_arms(script: NightScript, thrown: np.ndarray, start: float, end: float) -> None:
    rng, reach = script.rng, script.body.upper_arm + script.body.forearm + script.body.grip
    high = rng.uniform(0.5, 1.9)  # radians forward and up from hanging
    back = rng.uniform(0.5, 0.9)
    angle = np.where(thrown > 0, high * thrown, back * thrown)
    for side in (RIGHT, LEFT):
        spread = rng.uniform(0.1, 0.25)
        points = np.stack(
            [
                side * (0.07 + spread * np.abs(thrown)),
                0.9 * reach * np.sin(angle),
                -0.9 * reach * np.cos(angle),
            ],
            axis=1,
        )
        script.wait(side, start)
        script.move(side, start + 0.15, "shoulder", points, hold=max(end - start, 0.2))
        script.relax(side, end + 0.4)
