import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rgb2ir_jax.distillation.correlation_congruence import (
    CorrelationCongruence,
    correlation_congruence_loss,
)
from rgb2ir_jax.models.output import NetworkOutput

JITTED = jax.jit(correlation_congruence_loss, static_argnames=("gamma", "order"))


def naive(student, teacher, gamma, order):
    kernels = []
    for features in (student, teacher):
        x = [v / max(np.linalg.norm(v), 1e-12) for v in features]
        kernels.append(
            [
                [
                    sum(
                        math.exp(-2 * gamma) * (2 * gamma) ** p / math.factorial(p) * (a @ b) ** p
                        for p in range(order + 1)
                    )
                    for b in x
                ]
                for a in x
            ]
        )
    return np.mean((np.array(kernels[0]) - np.array(kernels[1])) ** 2)


@hypothesis.settings(max_examples=20)
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(1, 3, 4), (4, 2, 9), (6, 8, 8)]),
    options=st.sampled_from([(0.4, 2), (1.0, 0), (2.0, 3)]),
)
def test_agrees_with_the_definition(seed, shape, options):
    rng = np.random.default_rng(seed)
    student, teacher = (rng.standard_normal((shape[0], width)) for width in shape[1:])
    gamma, order = options
    value = JITTED(
        jnp.asarray(student, jnp.float32),
        jnp.asarray(teacher, jnp.float32),
        gamma=gamma,
        order=order,
    )
    np.testing.assert_allclose(value, naive(student, teacher, gamma, order), rtol=1e-4, atol=1e-9)


def test_the_long_series_is_the_gaussian_kernel():
    rng = np.random.default_rng(0)
    student, teacher = rng.standard_normal((2, 5, 6))
    kernels = []
    for features in (student, teacher):
        x = features / np.linalg.norm(features, axis=1, keepdims=True)
        kernels.append(np.exp(-0.7 * np.sum((x[:, None] - x[None]) ** 2, axis=-1)))
    value = JITTED(
        jnp.asarray(student, jnp.float32), jnp.asarray(teacher, jnp.float32), gamma=0.7, order=15
    )
    np.testing.assert_allclose(value, np.mean((kernels[0] - kernels[1]) ** 2), rtol=1e-4)


def test_does_not_change_with_the_length_of_features():
    rng = np.random.default_rng(1)
    student, teacher = jnp.asarray(rng.standard_normal((2, 3, 6)), jnp.float32)
    lengths = jnp.asarray([[1e-4], [3.0], [1e30]])
    np.testing.assert_allclose(
        JITTED(student * lengths, teacher), JITTED(student, teacher), rtol=1e-5
    )


@pytest.mark.parametrize("unit", ["clip", "frame"])
def test_method_pools_segments(unit):
    rng = np.random.default_rng(2)
    features = [rng.standard_normal((3, 2, width)) for width in (4, 7)]
    outputs = [
        NetworkOutput(logits=jnp.zeros((3, 5)), stages={}, features=jnp.asarray(f, jnp.float32))
        for f in features
    ]
    terms = CorrelationCongruence(unit=unit)(*outputs, jnp.zeros(3, jnp.int32), jnp.float32(0))
    pooled = [f.mean(axis=1) if unit == "clip" else f.reshape(6, -1) for f in features]
    np.testing.assert_allclose(terms["loss"], naive(*pooled, 0.4, 2), rtol=1e-4)


@pytest.mark.parametrize("options", [{"gamma": 0.0}, {"order": -1}])
def test_refuses_options_out_of_range(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is "):
        CorrelationCongruence(**options)
