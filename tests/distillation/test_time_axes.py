"""Networks whose stages have other numbers of time steps, as R(2+1)D's have, in all feature methods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs.methods import DEFAULTS
from rgb2ir_jax.distillation.base import (
    Widths,
    paired_features,
    paired_stage_maps,
    pooled_features,
    stage_maps,
)
from rgb2ir_jax.distillation.numerics import pool_time
from rgb2ir_jax.distillation.registry import METHODS, build_method
from rgb2ir_jax.models.output import STAGE_NAMES, NetworkOutput

CLIPS, CLASSES = 4, 3


def output(times, side: int, channels, seed: int) -> NetworkOutput:
    """What a network with these time steps and channels may put out; sides halve."""
    rng = np.random.default_rng(seed)
    stages = {
        name: jnp.asarray(rng.uniform(0, 1, (CLIPS, t, side >> i, side >> i, c)), jnp.float32)
        for i, (name, t, c) in enumerate(zip(STAGE_NAMES, times, channels, strict=True))
    }
    features = jnp.mean(stages["stage4"], axis=(2, 3))
    logits = jnp.asarray(rng.normal(size=(CLIPS, CLASSES)), jnp.float32)
    return NetworkOutput(logits, stages, features)


def pair(student_times=(5, 5, 5, 5), teacher_times=(9, 5, 3, 2)):
    student = output(student_times, 8, (2, 3, 4, 6), 0)
    return student, output(teacher_times, 16, (3, 4, 6, 8), 1)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_compares_them(name) -> None:
    student, teacher = pair()
    options = {k: v for k, v in DEFAULTS[name].items() if k != "weight"}
    if "unit" in options:
        options["unit"] = "frame"
    widths = Widths(*({n: m.shape[-1] for n, m in o.stages.items()} for o in (student, teacher)))
    method = build_method(name, options, widths=widths, rngs=nnx.Rngs(0))
    labels = jnp.arange(CLIPS) % CLASSES
    graph, state = nnx.split(method)

    def loss(student):
        module = nnx.merge(graph, state, copy=True)
        return module(student, teacher, labels, jnp.zeros(()))["loss"]

    value, gradient = jax.jit(jax.value_and_grad(loss))(student)
    assert np.isfinite(value)
    assert value > 0
    found = [np.asarray(leaf) for leaf in jax.tree.leaves(gradient)]
    assert all(np.isfinite(leaf).all() for leaf in found)
    assert any(leaf.any() for leaf in found)


def test_a_clip_is_the_mean_of_the_steps_that_each_stage_has() -> None:
    student, teacher = pair()
    for maps, whole in zip(paired_stage_maps(student, teacher), (student, teacher), strict=True):
        for found, stage in zip(maps, STAGE_NAMES, strict=True):
            np.testing.assert_allclose(found, np.mean(whole.stages[stage], axis=1), rtol=1e-6)
    for found, whole in zip(paired_features(student, teacher), (student, teacher), strict=True):
        np.testing.assert_allclose(found, np.mean(whole.features, axis=1), rtol=1e-6)


def test_frames_are_brought_to_the_shortest_stages_steps() -> None:
    student, teacher = pair()
    students, teachers = paired_stage_maps(student, teacher, "frame")
    # Two steps a clip; the windows of five are the first three and the last three, as PyTorch's are.
    assert {len(m) for m in (*students, *teachers)} == {2 * CLIPS}
    of_five = np.asarray(student.stages["stage1"])
    expected = np.stack([of_five[:, :3].mean(1), of_five[:, 2:].mean(1)], axis=1)
    np.testing.assert_allclose(students[0], expected.reshape(-1, *expected.shape[2:]), rtol=1e-5)
    unchanged = np.asarray(teacher.stages["stage4"])
    np.testing.assert_array_equal(teachers[3], unchanged.reshape(-1, *unchanged.shape[2:]))
    found, _ = paired_features(student, teacher, "frame")
    of_five = np.asarray(student.features)
    expected = np.stack([of_five[:, :3].mean(1), of_five[:, 2:].mean(1)], axis=1)
    np.testing.assert_allclose(found, expected.reshape(-1, 6), rtol=1e-5)


def test_networks_of_equal_times_are_left_alone() -> None:
    student, teacher = pair((3,) * 4, (3,) * 4)
    for unit in ("clip", "frame"):
        for found, expected in (
            (
                paired_stage_maps(student, teacher, unit),
                [stage_maps(o, unit) for o in (student, teacher)],
            ),
            (
                paired_features(student, teacher, unit),
                [pooled_features(o, unit) for o in (student, teacher)],
            ),
        ):
            jax.tree.map(
                np.testing.assert_array_equal, list(map(list, found)), list(map(list, expected))
            )


def test_windows_of_time() -> None:
    maps = jnp.arange(6.0).reshape(1, 6, 1, 1, 1)
    assert pool_time(maps, 3).ravel().tolist() == [0.5, 2.5, 4.5]
    assert pool_time(maps, 6) is maps
    assert pool_time(maps, 4).ravel().tolist() == [0.5, 1.5, 3.5, 4.5]
