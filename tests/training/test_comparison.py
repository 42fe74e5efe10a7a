"""Comparing parts of a batch is comparing each of them by itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.methods import distillation
from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.distillation.objective import Objective
from rgb2ir_jax.models.output import NetworkOutput
from rgb2ir_jax.training.comparison import compare
from rgb2ir_jax.training.state import Split

CLIPS, STAGES = 8, {"stage1": 4, "stage2": 6}


def output(seed):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    return NetworkOutput(
        logits=draw(CLIPS, 5),
        stages={name: jax.nn.relu(draw(CLIPS, 2, 4, 4, c)) for name, c in STAGES.items()},
        features=draw(CLIPS, 2, 6),
    )


# Graphs of clips, logits, and connectors with norms of their own.
@pytest.mark.parametrize("variant", ["mgcam+dkd", "focal"])
def test_parts_are_compared_each_by_itself(variant):
    objective = Objective(distillation(variant), [Widths(STAGES, STAGES)])
    graph, variables = Split.of(objective)
    student, teacher = output(0), output(1)
    labels, progress = jnp.arange(CLIPS) % 5, jnp.asarray(0.5)

    @functools.partial(jax.jit, static_argnames="parts")
    def measure(rows, parts):
        own, others, names = jax.tree.map(lambda x: x[rows], (student, teacher, labels))
        return compare(
            graph, variables, own, [others], names, progress, label_smoothing=0.1, parts=parts
        )

    whole, terms, stats = measure(np.arange(CLIPS), 2)
    halves = [measure(rows, 1) for rows in (np.arange(4), np.arange(4, CLIPS))]
    assert float(whole) == pytest.approx(np.mean([float(h[0]) for h in halves]), rel=1e-5)
    assert set(terms) == set(halves[0][1]) > {"loss", "ce", "label_smoothing"}
    for name, value in terms.items():
        each = [float(half[1][name]) for half in halves]
        assert float(value) == pytest.approx(np.mean(each), rel=1e-4, abs=1e-6), name
    for found, *each in zip(
        *(jax.tree.leaves(s) for s in (stats, *(half[2] for half in halves))), strict=True
    ):
        np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-5, atol=1e-6)
    # The whole batch's graph is another one.
    together = measure(np.arange(CLIPS), 1)[0]
    assert abs(float(together) - float(whole)) > 1e-4 * abs(float(whole))
