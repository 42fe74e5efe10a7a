"""How a performer comes by the thing that an action needs."""

from __future__ import annotations

import numpy as np

from rgb2ir_jax.synthesis.props import Kind
from rgb2ir_jax.synthesis.script import Hold, Key, Script


def fetch(script: Script, kind: Kind | None) -> tuple[Hold, float]:
    """Brings a thing of a kind into a hand and says when it is there.

    The full hand has it already, or the free hand takes it out of the bag at the hip. With `kind`
    None anything will do: what is in the hand, or else anything from the bag, toys more often.
    """
    held = script.stage.held
    if held is not None and kind in (None, held.kind):
        return script.holds[0], script.begin
    if kind is None:
        rng, kinds = script.rng, list(Kind)
        kind = Kind.TOY if rng.random() < 0.55 else kinds[int(rng.integers(len(kinds)))]
    thing = next(t for t in script.stage.things if t.place == "bag" and t.kind is kind)
    side = script.stage.free_side
    spare = script.end - script.begin
    seconds = min(script.rng.uniform(0.25, 0.4) / script.tempo, 0.2 * spare)
    script.wait(side, script.begin)
    at = script.begin + seconds
    bag = np.array([*script.stage.bag_point, 0.54 * script.who.height])
    script.move(side, at, "root", bag, hold=0.05)
    hold = Hold(thing, side, at)
    hold.axis.append(Key(at, "root", np.array([0.0, 0.0, 1.0])))
    script.holds.append(hold)
    look = [(script.begin, 0.0), (at - 0.05, 1.0), (at + 0.05, 1.0), (at + 0.4, 0.0)]
    script.torso.roll += 0.05 * side * script.bump(look)
    script.torso.head_yaw -= 0.2 * side * script.bump(look)
    script.torso.head_pitch += 0.25 * script.bump(look)
    return hold, at + 0.05
