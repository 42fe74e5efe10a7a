"""Numbers that are none: noticed at their step, skipped where that is allowed, and not waited for."""

import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rgb2ir_jax.training.guards import DivergedError, Guard, is_skipped
from rgb2ir_jax.training.observing.window import Window

GOOD, BAD = (
    {"loss": 1.0, "grad_norm": 2.0, "ce": 0.5},
    {"loss": 1.0, "grad_norm": math.inf, "ce": 3.0},
)
FOLDER = pathlib.Path("runs/x")


def guard(**options):
    return Guard("student", FOLDER, lambda: None, **options)


def test_the_first_bad_step_is_named_with_its_clips():
    watching = guard()
    watching.watch(1, GOOD, np.array([3, 4]))
    with pytest.raises(
        DivergedError,
        match=r"grad_norm not finite at step 2: .* split: 5, 9\. In runs/x, there is no",
    ):
        watching.watch(2, BAD, np.array([5, 9]))


def test_a_cap_of_skipped_updates():
    watching = guard(max_skipped=2)
    for step in (1, 2, 3, 4):
        watching.watch(step, BAD if step % 2 else GOOD, None)
    assert watching.skipped == 2
    with pytest.raises(DivergedError, match="not finite at step 5, after 2 skipped updates"):
        watching.watch(5, BAD, None)


class Pending(float):
    """Stands for a scalar that is still being computed."""


def test_nothing_is_waited_for_until_it_must_be(monkeypatch):
    from rgb2ir_jax.training import guards

    ready = set()
    monkeypatch.setattr(guards, "_is_ready", lambda value: value in ready)
    watching = guard()
    watching.watch(1, {**GOOD, "loss": 7.0}, None)
    watching.watch(2, BAD, None)
    ready |= {7.0, 2.0}
    # The second step is not there yet.
    watching.watch(3, GOOD, None)
    with pytest.raises(DivergedError, match="at step 2"):
        watching.wait()


def test_means_leave_skipped_steps_out():
    window = Window(4, [])
    for loss in (1.0, math.nan, 3.0):
        window.add({"loss": jnp.float32(loss), "grad_norm": jnp.float32(1.0)})
    kept = window.unlogged()
    assert [is_skipped(terms) for terms in kept] == [False, True, False]
    means, _ = Window(4, kept).close()
    assert means == {"train/loss": 2.0, "train/grad_norm": 1.0, "train/skipped": 1.0}
    assert Window(4, [{"skipped": 1.0}]).close()[0] == {"train/skipped": 1.0}


def test_a_skipped_update_changes_nothing_but_the_step(make_rig, tiny_config, device_batch):
    config = tiny_config("student")
    with config.unlocked():
        config.guard.nonfinite = "skip"
        config.optimizer.learning_rate = 0.01
    rig = make_rig(config)
    state, terms = rig.train_step(rig.new_state(), (), device_batch)
    assert math.isfinite(terms["loss"])
    before = jax.device_get(state)
    broken = jax.tree.map(lambda leaf: leaf, state)
    broken = broken.replace(
        network=broken.network.replace(
            params=jax.tree.map(lambda leaf: leaf.at[...].set(jnp.nan), broken.network.params)
        )
    )
    nan_before = jax.device_get(broken)
    after, terms = rig.train_step(broken, (), device_batch)
    assert not math.isfinite(terms["loss"])
    assert int(after.step) == 2
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(nan_before), strict=True):
        if a.dtype != np.int32 or a.ndim:
            np.testing.assert_array_equal(a, b)
    assert int(before.step) == 1
