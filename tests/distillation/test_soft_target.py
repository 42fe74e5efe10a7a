import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from rgb2ir_jax.distillation.dkd import dkd_terms
from rgb2ir_jax.distillation.soft_target import (
    SoftTarget,
    soft_target_divergences,
    soft_target_loss,
    teacher_is_right,
)
from rgb2ir_jax.models.output import NetworkOutput

JITTED = jax.jit(soft_target_loss, static_argnames="temperature")


def output(logits):
    return NetworkOutput(logits=logits, stages={}, features=jnp.zeros((len(logits), 1, 1)))


@hypothesis.settings(max_examples=30)
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(1, 2), (3, 5), (6, 11)]),
    scale=st.sampled_from([0.1, 3.0, 30.0]),
    temperature=st.sampled_from([0.5, 1.0, 4.0]),
)
def test_agrees_with_the_definition(seed, shape, scale, temperature):
    student, teacher = np.random.default_rng(seed).standard_normal((2, *shape)) * scale
    p = softmax(teacher / temperature, axis=1)
    logs = log_softmax(np.stack([teacher, student]) / temperature, axis=2)
    expected = temperature**2 * np.mean(np.sum(p * (logs[0] - logs[1]), axis=1))
    value = JITTED(
        jnp.asarray(student, jnp.float32),
        jnp.asarray(teacher, jnp.float32),
        temperature=temperature,
    )
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


def test_is_exact_for_huge_logits():
    certain = jnp.asarray([[1000.0, -1000.0, -1000.0]])
    assert float(soft_target_loss(certain[:, ::-1], certain, temperature=1.0)) == 2000.0
    assert float(soft_target_loss(certain[:, ::-1], certain, temperature=4.0)) == 16 * 500.0
    # Differences that are too large for float32 saturate.
    endless = certain * 3e35
    value, gradient = jax.value_and_grad(soft_target_loss)(endless[:, ::-1], endless)
    assert value > 1e29
    assert np.isfinite(gradient).all()


def test_splits_into_target_and_other_classes():
    # Zhao et al., Eq. 6: KD = TCKD + (1 - p_y) NCKD, clip by clip.
    rng = np.random.default_rng(0)
    student, teacher = jnp.asarray(rng.standard_normal((2, 6, 7)) * 3, jnp.float32)
    labels = np.asarray([0, 6, 2, 2, 5, 1])
    whole = soft_target_divergences(student, teacher, 2.0)
    terms = jax.jit(lambda s, t, y: dkd_terms(s, t, y, temperature=2.0))
    for i, y in enumerate(labels):
        tckd, nckd = terms(student[i : i + 1], teacher[i : i + 1], jnp.asarray([y]))
        p_y = softmax(np.asarray(teacher[i], np.float64) / 2.0)[y]
        np.testing.assert_allclose(tckd + (1 - p_y) * nckd, whole[i], rtol=1e-4, atol=1e-5)


def test_where_the_teacher_is_right():
    logits = jnp.asarray([[2.0, 1.0], [0.0, 3.0], [5.0, -5.0]])
    assert teacher_is_right(logits, jnp.asarray([0, 0, 0])).tolist() == [True, False, True]


def test_method_and_its_factor_on_the_cross_entropy():
    rng = np.random.default_rng(1)
    student, teacher = jnp.asarray(rng.standard_normal((2, 3, 4)), jnp.float32)
    plain, crd = SoftTarget(), SoftTarget(temperature=2.0, cross_entropy=0.1)
    for method, temperature in ((plain, 4.0), (crd, 2.0)):
        terms = method(output(student), output(teacher), jnp.zeros(3, jnp.int32), jnp.float32(0))
        assert set(terms) == {"loss"}
        expected = JITTED(student, teacher, temperature=temperature)
        np.testing.assert_allclose(terms["loss"], expected, rtol=1e-6)
    assert plain.cross_entropy_scale(jnp.float32(0)) is None
    assert crd.cross_entropy_scale(jnp.float32(0)) == 0.1


@pytest.mark.parametrize(
    "options", [{"temperature": 0.0}, {"temperature": float("nan")}, {"cross_entropy": -1.0}]
)
def test_refuses_options_out_of_range(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is "):
        SoftTarget(**options)
