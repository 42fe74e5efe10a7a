import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax

from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.distillation.channel_correlation import (
    CCSKD,
    channel_distance_loss,
    channel_relation_loss,
    selective_distillation_loss,
)
from rgb2ir_jax.distillation.relational import rkd_angle_loss, rkd_distance_loss
from rgb2ir_jax.models.output import NetworkOutput

LABELS = jnp.asarray([0, 2, 1, 1])
WIDTHS = Widths({"stage1": 3, "stage2": 4}, {"stage1": 5, "stage2": 2})


def output(seed, widths, segments=2):
    rng = np.random.default_rng(seed)
    return NetworkOutput(
        logits=jnp.asarray(rng.standard_normal((4, 3)), jnp.float32),
        stages={
            name: jnp.asarray(
                np.maximum(rng.standard_normal((4, segments, 3, 3, width)), 0), jnp.float32
            )
            for name, width in widths.items()
        },
        features=jnp.zeros((4, segments, 1)),
    )


STUDENT, TEACHER = output(0, WIDTHS.student), output(1, WIDTHS.teacher)


def naive_selective(student, teacher, labels, progress):
    total = 0.0
    for s, t, y in zip(student, teacher, labels, strict=True):
        log_s, log_t = log_softmax(s), log_softmax(t)
        divergence = np.sum(np.exp(log_t) * (log_t - log_s))
        total += (2.0 if np.argmax(t) == y else 1.0) * divergence
    return total / len(labels) * 0.9 ** (progress * 200 // 30)


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.16, 0.5, 1.0])
def test_selective_distillation_counts_right_clips_twice_and_decays(progress):
    student, teacher = (np.asarray(o.logits, np.float64) for o in (STUDENT, TEACHER))
    right = np.argmax(teacher, axis=1) == np.asarray(LABELS)
    assert 0 < right.sum() < 4
    found = selective_distillation_loss(
        STUDENT.logits, TEACHER.logits, LABELS, jnp.float32(progress)
    )
    expected = naive_selective(student, teacher, np.asarray(LABELS), progress)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def run(method, student=STUDENT, teacher=TEACHER, progress=0.0):
    """The terms, the gradient of the loss by the connectors' weights, and the statistics."""
    graph, params, stats = nnx.split(method, nnx.Param, nnx.BatchStat)

    def loss(params):
        module = nnx.merge(graph, params, stats, copy=True)
        terms = module(student, teacher, LABELS, jnp.float32(progress))
        return terms["loss"], (terms, nnx.state(module, nnx.BatchStat))

    gradient, (terms, new_stats) = jax.jit(jax.grad(loss, has_aux=True))(params)
    return terms, gradient, new_stats


def connected(method, unit):
    """Pooled channels of both networks, from the module's weights, in float64."""
    pooled = []
    for connector, name in zip(method.connectors, WIDTHS.student, strict=True):
        networks = []
        for o in (STUDENT, TEACHER):
            maps = np.asarray(o.stages[name], np.float64)
            networks.append(
                maps.mean(axis=1) if unit == "clip" else maps.reshape(8, *maps.shape[2:])
            )
        x = networks[0] @ np.asarray(connector.conv.kernel[...], np.float64)
        x = (x - x.mean(axis=(0, 1, 2))) / np.sqrt(x.var(axis=(0, 1, 2)) + 1e-5)
        pooled.append((np.maximum(x, 0).mean(axis=(1, 2)), networks[1].mean(axis=(1, 2))))
    return [*zip(*pooled, strict=True)]


@pytest.mark.parametrize("unit", ["clip", "frame"])
def test_terms_follow_from_the_connectors_weights(unit):
    method = CCSKD(
        distance_weight=2.0, relation_weight=3.0, soft_target_weight=5.0, selective_weight=7.0,
        unit=unit, widths=WIDTHS, rngs=nnx.Rngs(0),
    )  # fmt: skip
    terms, gradient, stats = run(method)
    student, teacher = connected(method, unit)
    distance = sum(np.mean((s - t) ** 2) for s, t in zip(student, teacher, strict=True))
    np.testing.assert_allclose(terms["channel_distance"], distance, rtol=1e-4)
    relation = 0.0
    for s, t in zip(student, teacher, strict=True):
        s, t = jnp.asarray(s, jnp.float32), jnp.asarray(t, jnp.float32)
        relation += float(rkd_distance_loss(s, t)) + 2 * float(rkd_angle_loss(s, t))
    np.testing.assert_allclose(terms["channel_relation"], relation, rtol=1e-3)
    parts = [terms[n] for n in ("channel_distance", "channel_relation", "soft_target", "selective")]
    expected = sum(w * float(p) for w, p in zip((2, 3, 5, 7), parts, strict=True))
    np.testing.assert_allclose(terms["loss"], expected, rtol=1e-5)
    kernels = [connector.conv.kernel for connector in gradient["connectors"].values()]
    assert [k.shape for k in kernels] == [(3, 5), (4, 2)]
    assert all(float(jnp.abs(k[...]).max()) > 1e-4 for k in kernels)
    assert all(
        not np.array_equal(a, b)
        for a, b in zip(
            jax.tree.leaves(stats), jax.tree.leaves(nnx.state(method, nnx.BatchStat)), strict=True
        )
    )


def test_a_part_of_weight_0_is_not_computed(monkeypatch):
    def computed(*_):
        raise AssertionError("it was computed")

    monkeypatch.setattr(
        "rgb2ir_jax.distillation.channel_correlation.channel_relation_loss", computed
    )
    terms, *_ = run(CCSKD(relation_weight=0.0, widths=WIDTHS, rngs=nnx.Rngs(0)))
    assert set(terms) == {"loss", "channel_distance", "soft_target", "selective"}


def test_the_official_schedule_starts_without_cross_entropy():
    method = CCSKD(preset="official", widths=WIDTHS, rngs=nnx.Rngs(0))
    scales = [float(method.cross_entropy_scale(jnp.float32(p))) for p in (0.0, 0.29, 0.3, 1.0)]
    assert scales == [0.0, 0.0, 1.0, 1.0]
    constant = CCSKD(widths=WIDTHS, rngs=nnx.Rngs(0))
    assert constant.cross_entropy_scale(jnp.float32(0)) is None


def test_refuses_channels_that_were_not_connected():
    for function in (channel_distance_loss, channel_relation_loss):
        with pytest.raises(ValueError, match="after a connector to the teacher's channels"):
            function([jnp.zeros((4, 3))], [jnp.zeros((4, 5))])
