"""ARID's eleven actions in the order of their labels; those that NTU RGB+D has too are the same here."""

from __future__ import annotations

from collections.abc import Callable

from rgb2ir_jax.synthesis.actions import drink
from rgb2ir_jax.synthesis.actions_of_posture import sit_down, stand_up
from rgb2ir_jax.synthesis.actions_with_throwing import pick_up
from rgb2ir_jax.synthesis.dark.actions_on_foot import jump, run, turn, walk
from rgb2ir_jax.synthesis.dark.actions_with_hands import pour, push, wave
from rgb2ir_jax.synthesis.dark.script import NightScript

DARK_ACTIONS: tuple[Callable[[NightScript], None], ...] = (
    drink,
    jump,
    pick_up,
    pour,
    push,
    run,
    sit_down,
    stand_up,
    turn,
    walk,
    wave,
)
"""Labels 0-10."""
