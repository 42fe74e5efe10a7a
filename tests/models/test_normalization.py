"""BatchNorm against its definition in float64, and against gradients by differentiation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.models.normalization import BatchNorm, normalise_by_batch

EPSILON = 1e-5


def plain(x, scale, bias):
    """The textbook's formula, for differentiation by JAX."""
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    var = ((x - mean) ** 2).mean(axes)
    return (x - mean) / jnp.sqrt(var + EPSILON) * scale + bias


def by_batch(x, scale, bias):
    return normalise_by_batch(x, scale, bias, EPSILON)[0]


def drawn(shape, seed, offset=0.0):
    random = np.random.RandomState(seed)
    x = random.standard_normal(shape) + offset
    scale, bias = random.standard_normal((2, shape[-1]))
    return x, scale, bias, random.standard_normal(shape)


def value_and_gradients(normalise, x, scale, bias, slope):
    value, back = jax.vjp(normalise, x, scale, bias)
    return value, *back(slope)


@pytest.mark.parametrize("shape", [(4, 3, 5, 2), (7, 1), (2, 3, 2, 4, 3)])
@given(st.integers(0, 1000), st.floats(-30, 30))
def test_value_and_gradients_are_the_definitions(shape, seed, offset):
    compute = jax.jit(value_and_gradients, static_argnums=0)
    with jax.enable_x64(True):
        arrays = [jnp.asarray(array) for array in drawn(shape, seed, offset)]
        expected = compute(plain, *arrays)
        found = compute(by_batch, *arrays)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-7)


def test_a_mean_far_from_zero_costs_no_digits():
    x, scale, bias, _ = drawn((4, 6, 5, 3), 0, offset=1000.0)
    narrow = x.astype(np.float32)
    wide = narrow.astype(np.float64)
    found, mean, var = normalise_by_batch(
        jnp.asarray(narrow), jnp.float32(scale), jnp.float32(bias), EPSILON
    )
    expected = (wide - wide.mean((0, 1, 2))) / np.sqrt(wide.var((0, 1, 2)) + EPSILON)
    # E[x^2] - E[x]^2 is wrong in its first digit here: x^2 has a million in float32's 24 bits.
    np.testing.assert_allclose(var, wide.var((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(mean, wide.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(found, expected * scale + bias, atol=1e-3)


def test_of_bfloat16_maps_statistics_are_float32():
    x, scale, bias, slope = drawn((8, 7, 3), 1, offset=20.0)
    x = jnp.asarray(x, jnp.bfloat16)
    exact = np.asarray(x, np.float64)
    layer = BatchNorm(3, momentum=0.9, epsilon=EPSILON, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    layer.mean[...] = jnp.float32([20.001, -3.0003, 0.1])
    kept = np.asarray(layer.mean[...], np.float64)
    output = layer(x, use_running_average=False)
    assert output.dtype == jnp.bfloat16
    assert layer.mean[...].dtype == layer.var[...].dtype == jnp.float32
    np.testing.assert_allclose(layer.mean[...], 0.9 * kept + 0.1 * exact.mean((0, 1)), rtol=1e-6)
    unbiased = exact.reshape(-1, 3).var(0, ddof=1)
    np.testing.assert_allclose(layer.var[...], 0.9 + 0.1 * unbiased, rtol=1e-5)

    # Rounded to bfloat16, a running mean of 20.001 would be 20, and of 20.07 still 20.
    layer.mean[...] = jnp.float32([20.06, 20.06, 20.06])
    layer.var[...] = jnp.full(3, 0.01)
    output = layer(jnp.full((1, 3), 20, jnp.bfloat16), use_running_average=True)
    np.testing.assert_allclose(np.asarray(output, np.float32), -0.06 / np.sqrt(0.01001), rtol=0.01)

    def loss(x, scale, bias):
        return (by_batch(x, scale, bias) * jnp.float32(slope)).sum()

    gradients = jax.grad(loss, (0, 1, 2))(x, jnp.float32(scale), jnp.float32(bias))
    assert [g.dtype for g in gradients] == [jnp.bfloat16, jnp.float32, jnp.float32]


def test_constant_channels_and_single_values_stay_finite():
    for shape in [(4, 3), (1, 2)]:
        x = jnp.full(shape, 7.0)
        layer = BatchNorm(shape[-1], momentum=0.9, epsilon=EPSILON, rngs=nnx.Rngs(0))
        np.testing.assert_array_equal(layer(x, use_running_average=False), 0)
        np.testing.assert_allclose(layer.var[...], 0.9)
        gradient = jax.grad(lambda x: by_batch(x, jnp.ones(x.shape[-1]), x[0] * 0).sum())(x)
        assert np.isfinite(gradient).all()


def test_a_mask_and_an_unsaid_mode_are_refused():
    layer = BatchNorm(2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="expected True"):
        layer(jnp.ones((3, 2)))
    with pytest.raises(ValueError, match="takes no mask"):
        layer(jnp.ones((3, 2)), use_running_average=False, mask=jnp.ones((3, 2), bool))
