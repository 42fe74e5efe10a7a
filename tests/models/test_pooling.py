"""The stem's max-pool against XLA's own and against windows looked at one by one."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models.pooling import max_pool_3x3_stride_2

SHAPES = [(2, 7, 8, 3), (1, 9, 4, 1), (1, 2, 5, 2), (2, 1, 1, 1)]


def xla(x):
    return nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))


def pooled_and_gradient(pool, x, slope):
    pooled, back = jax.vjp(pool, x)
    return pooled, back(slope)[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradient_are_xlas(shape):
    random = np.random.RandomState(0)
    # No two values are equal.
    x = jnp.asarray(random.permutation(np.prod(shape)).reshape(shape) - 5.0, jnp.float32)
    expected = xla(x)
    np.testing.assert_array_equal(jax.jit(max_pool_3x3_stride_2)(x), expected)
    # Whole numbers: sums are the same in any order.
    slope = jnp.asarray(random.randint(-9, 9, expected.shape), jnp.float32)
    found, gradient = jax.jit(pooled_and_gradient, static_argnums=0)(
        max_pool_3x3_stride_2, x, slope
    )
    np.testing.assert_array_equal(found, expected)
    expected = jax.jit(pooled_and_gradient, static_argnums=0)(xla, x, slope)[1]
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("size", [(7, 8), (2, 1)])
def test_max_pool_ignores_what_lies_outside(size: tuple[int, int]) -> None:
    height, width = size
    x = np.random.RandomState(0).standard_normal((2, height, width, 3)).astype(np.float32) - 10
    # All negative: a border of zeros would win.
    found = np.asarray(max_pool_3x3_stride_2(jnp.asarray(x)))
    assert found.shape == (2, (height + 1) // 2, (width + 1) // 2, 3)
    for row, column in itertools.product(range(found.shape[1]), range(found.shape[2])):
        rows = slice(max(0, 2 * row - 1), 2 * row + 2)
        columns = slice(max(0, 2 * column - 1), 2 * column + 2)
        np.testing.assert_array_equal(found[:, row, column], x[:, rows, columns].max(axis=(1, 2)))


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_of_equal_values_the_first_one_takes_the_gradient(shape):
    random = np.random.RandomState(0)
    x = jnp.asarray(random.randint(0, 3, shape), jnp.float32)
    slope = jnp.asarray(random.randint(1, 9, xla(x).shape), jnp.float32)
    pooled, gradient = jax.jit(pooled_and_gradient, static_argnums=0)(
        max_pool_3x3_stride_2, x, slope
    )
    np.testing.assert_array_equal(pooled, xla(x))
    _, expected = jax.jit(pooled_and_gradient, static_argnums=0)(xla, x, slope)
    np.testing.assert_array_equal(gradient, expected)


def test_what_is_no_number_is_not_swallowed():
    x = jnp.ones((1, 8, 8, 1)).at[0, 3, 4, 0].set(jnp.nan)
    assert np.isnan(max_pool_3x3_stride_2(x)).sum() == 2
    assert np.isnan(jax.vjp(max_pool_3x3_stride_2, x)[0]).sum() == 2
    endless = jnp.full((1, 4, 4, 1), -jnp.inf)
    np.testing.assert_array_equal(max_pool_3x3_stride_2(endless), -np.inf)


def test_the_places_of_the_largest_are_found_once():
    """The gradient reads them; left alone XLA would compare for each of its pixels again."""

    def slopes(x, slope):
        return jax.vjp(lambda x: max_pool_3x3_stride_2(nnx.relu(x)), x)[1](slope)[0]

    x, slope = jnp.ones((4, 16, 16, 8)), jnp.ones((4, 8, 8, 8))
    text = jax.jit(slopes).lower(x, slope).compile().as_text()
    whole_maps = [part for part in text.split("\n}") if "ROOT" in part and "f32[4,16,16,8]" in part]
    readers = [part for part in whole_maps if "direction=EQ" in part]
    assert readers
    # Where the largest is looked for, values are compared with themselves, for NaN.
    assert not [part for part in readers if "direction=NE" in part]
    assert "direction=NE" in text


def test_on_gpus_nothing_stands_between_pool_and_gradient():
    """A condition there would be a kernel of its own, and nothing joined across it."""
    gradient = jax.jit(jax.grad(lambda x: max_pool_3x3_stride_2(x).sum()))
    shape = jax.ShapeDtypeStruct((4, 16, 16, 8), jnp.float32)
    of_platform = {
        name: jax.export.export(gradient, platforms=[name])(shape).mlir_module()
        for name in ("cpu", "cuda")
    }
    assert "optimization_barrier" in of_platform["cpu"]
    assert "optimization_barrier" not in of_platform["cuda"]
