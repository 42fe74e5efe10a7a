import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax

from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.distillation.focal_channel import (
    FocalChannel,
    focal_channels,
    focal_correlation_loss,
    focal_distribution_loss,
)
from rgb2ir_jax.distillation.soft_target import soft_target_loss
from rgb2ir_jax.models.output import NetworkOutput


def focal_rows(student, teacher, clip):
    """The focal channels of a clip, each (K, positions)."""
    pooled = teacher[clip].mean(axis=(0, 1))
    channels = np.argsort(-pooled)[: max(len(pooled) // 2, 1)]
    return [m[clip].reshape(-1, m.shape[-1])[:, channels].T for m in (student, teacher)]


def naive_correlation(student, teacher):
    total = 0.0
    for clip in range(len(student)):
        grams = []
        for rows in focal_rows(student, teacher, clip):
            gram = rows @ rows.T
            grams.append(gram / np.maximum(np.linalg.norm(gram, axis=1, keepdims=True), 1e-12))
        total += np.sum((grams[0] - grams[1]) ** 2) / len(grams[0])
    return total / len(student)


def naive_distribution(student, teacher, temperature):
    total = 0.0
    for clip in range(len(student)):
        rows = focal_rows(student, teacher, clip)
        log_s, log_t = (log_softmax(r / temperature, axis=1) for r in rows)
        total += np.sum(np.exp(log_t) * (log_t - log_s)) / len(log_t)
    return temperature**2 * total / len(student)


@pytest.mark.parametrize("channels", [1, 5, 8])
def test_agree_with_their_definitions(channels):
    rng = np.random.default_rng(0)
    student, teacher = rng.standard_normal((2, 3, 2, 3, channels)) * 2
    arrays = [jnp.asarray(m, jnp.float32) for m in (student, teacher)]
    both = jax.jit(
        lambda s, t: (focal_correlation_loss(s, t), focal_distribution_loss(s, t, temperature=3.0))
    )
    expected = naive_correlation(student, teacher), naive_distribution(student, teacher, 3.0)
    np.testing.assert_allclose(both(*arrays), expected, rtol=1e-4, atol=1e-6)


def test_focal_channels_are_the_teachers_largest_of_each_clip():
    maps = jnp.asarray([[5.0, 1.0, 7.0, 2.0], [0.0, 9.0, 1.0, 3.0]])[:, None, None, :]
    assert focal_channels(maps).tolist() == [[2, 0], [1, 3]]
    assert focal_channels(maps[..., :1]).tolist() == [[0], [0]]


def test_other_channels_are_ignored():
    rng = np.random.default_rng(1)
    student, teacher = jnp.asarray(rng.random((2, 2, 3, 3, 4)), jnp.float32)
    teacher = teacher + jnp.asarray([0.0, 10.0, 0.0, 10.0])
    for function in (focal_correlation_loss, focal_distribution_loss):
        gradient = jax.jit(jax.grad(function))(student, teacher)
        touched = np.abs(gradient).max(axis=(0, 1, 2)) > 0
        assert touched.tolist() == [False, True, False, True]


def test_method_connects_the_last_stage():
    rng = np.random.default_rng(2)

    def output(width):
        return NetworkOutput(
            logits=jnp.asarray(rng.standard_normal((3, 4)), jnp.float32),
            stages={
                "stage1": jnp.zeros((3, 2, 4, 4, 1)),
                "stage2": jnp.asarray(rng.random((3, 2, 2, 2, width)), jnp.float32),
            },
            features=jnp.zeros((3, 2, 1)),
        )

    student, teacher = output(3), output(6)
    widths = Widths({"stage1": 1, "stage2": 3}, {"stage1": 1, "stage2": 6})
    method = FocalChannel(
        soft_target_weight=2.0, correlation_weight=3.0, distribution_weight=5.0,
        widths=widths, rngs=nnx.Rngs(0),
    )  # fmt: skip
    graph, params, stats = nnx.split(method, nnx.Param, nnx.BatchStat)

    def loss(params):
        module = nnx.merge(graph, params, stats, copy=True)
        terms = module(student, teacher, jnp.zeros(3, jnp.int32), jnp.float32(0))
        return terms["loss"], terms

    gradient, terms = jax.jit(jax.grad(loss, has_aux=True))(params)
    maps = [np.asarray(o.stages["stage2"], np.float64).mean(axis=1) for o in (student, teacher)]
    x = maps[0] @ np.asarray(method.connector.conv.kernel[...], np.float64)
    x = (x - x.mean(axis=(0, 1, 2))) / np.sqrt(x.var(axis=(0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(terms["correlation"], naive_correlation(x, maps[1]), rtol=1e-3)
    np.testing.assert_allclose(
        terms["distribution"], naive_distribution(x, maps[1], 4.0), rtol=1e-3
    )
    expected = soft_target_loss(student.logits, teacher.logits)
    np.testing.assert_allclose(terms["soft_target"], expected, rtol=1e-5)
    parts = [float(terms[n]) for n in ("soft_target", "correlation", "distribution")]
    np.testing.assert_allclose(terms["loss"], np.dot((2, 3, 5), parts), rtol=1e-5)
    assert float(jnp.abs(gradient["connector"]["conv"]["kernel"][...]).max()) > 1e-4


def test_refuses_maps_that_were_not_connected():
    with pytest.raises(ValueError, match="has 3 channels and the teacher's 4"):
        focal_correlation_loss(jnp.zeros((2, 2, 2, 3)), jnp.zeros((2, 2, 2, 4)))
