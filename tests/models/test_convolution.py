"""Convolution against its definition in float64, and what XLA makes of its gradient."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.models.convolution import convolve
from rgb2ir_jax.models.normalization import normalise_by_batch
from tests.models.convolution_in_float64 import by_definition

# Pixels, window, strides, padding. Maps of fewer pixels than the window are those that are enlarged.
GEOMETRIES = [
    ((5, 6), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((6, 7), (3, 3), (2, 2), ((1, 1), (1, 1))),
    ((9, 8), (7, 7), (2, 2), ((3, 3), (3, 3))),
    ((6, 5), (1, 1), (1, 1), ((0, 0), (0, 0))),
    ((6, 5), (1, 1), (2, 2), ((0, 0), (0, 0))),
    ((2, 2), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((4, 4), (3, 3), (2, 2), ((1, 1), (1, 1))),
    ((2, 3), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((2, 2), (3, 3), (2, 2), ((1, 1), (1, 1))),
    ((1, 1), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((4, 5), (3, 1), (2, 1), ((1, 1), (0, 0))),
    ((4,), (3,), (1,), ((2, 0),)),
]


def settings(rank):
    """What `nnx.Conv` passes on."""
    order = tuple(range(1, rank - 1))
    channels_last = (0, rank - 1, *order)
    layout = jax.lax.ConvDimensionNumbers(
        channels_last, (rank - 1, rank - 2, *range(rank - 2)), channels_last
    )
    ones = (1,) * (rank - 2)
    return {
        "dimension_numbers": layout,
        "lhs_dilation": ones,
        "rhs_dilation": ones,
        "feature_group_count": 1,
    }


def drawn(geometry, seed):
    pixels, window, strides, padding = geometry
    random = np.random.RandomState(seed)
    sizes = zip(pixels, window, strides, padding, strict=True)
    out = [(size + sum(pad) - width) // stride + 1 for size, width, stride, pad in sizes]
    shapes = (3, *pixels, 4), (*window, 4, 2), (3, *out, 2)
    return [random.standard_normal(shape) for shape in shapes]


@functools.partial(jax.jit, static_argnums=(3, 4))
def value_and_gradients(x, kernel, slope, strides, padding):
    def convolved(x, kernel):
        return convolve(x, kernel, strides, padding, **settings(x.ndim))

    value, back = jax.vjp(convolved, x, kernel)
    return value, *back(slope)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@given(seed=st.integers(0, 1000))
def test_value_and_gradients_are_the_definitions(geometry, seed):
    arrays = drawn(geometry, seed)
    expected = by_definition(*arrays, *geometry[2:])
    with jax.enable_x64(True):
        found = value_and_gradients(*map(jnp.asarray, arrays), *geometry[2:])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("geometry", [GEOMETRIES[1], GEOMETRIES[5]])
@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 0.05)])
def test_narrow_numbers_stay_narrow_and_near(geometry, dtype, tolerance):
    arrays = drawn(geometry, 0)
    expected = by_definition(*arrays, *geometry[2:])
    found = value_and_gradients(*(jnp.asarray(a, dtype) for a in arrays), *geometry[2:])
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        largest = np.abs(other).max()
        assert np.abs(np.asarray(one, np.float64) - other).max() <= tolerance * largest


@pytest.mark.parametrize(
    "setting", [{"feature_group_count": 2}, {"rhs_dilation": (2, 2)}, {"precision": "highest"}]
)
def test_what_it_cannot_do_is_refused(setting):
    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2))
    with pytest.raises(ValueError, match="expected 1 group, no dilation"):
        convolve(x, kernel, (1, 1), ((1, 1), (1, 1)), **settings(4) | setting)


def test_a_padding_by_name_is_refused():
    with pytest.raises(ValueError, match="'SAME'; expected a pair of numbers"):
        convolve(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2)), (1, 1), "SAME", **settings(4))


def test_another_layout_is_refused():
    x, kernel = jnp.ones((1, 2, 4, 2)), jnp.ones((3, 3, 2, 2))
    first = jax.lax.conv_dimension_numbers(x.shape, kernel.shape, ("NCHW", "HWIO", "NCHW"))
    with pytest.raises(ValueError, match="expected channels last"):
        convolve(x, kernel, (1, 1), ((1, 1), (1, 1)), **settings(4) | {"dimension_numbers": first})


@pytest.mark.parametrize("geometry", [geometry for geometry in GEOMETRIES if geometry[0] == (2, 2)])
def test_no_window_is_larger_than_what_it_moves_over(geometry):
    """XLA would exchange them and take a hundred times as long (docs/performance.md)."""
    arrays = (jnp.asarray(array, jnp.float32) for array in drawn(geometry, 0))
    text = value_and_gradients.lower(*arrays, *geometry[2:]).compile().as_text()
    convolved = re.findall(r" convolution\(.*size=(\w+)", text)
    # With a stride, the map's gradient is a product of matrices.
    assert len(convolved) == (3 if geometry[2] == (1, 1) else 2)
    assert set(convolved) == {"3x3"}


@pytest.mark.parametrize("geometry", [GEOMETRIES[1], GEOMETRIES[5]])
def test_a_gradient_for_each_of_many_kernels_and_gradients_of_gradients(geometry):
    x, kernel, slope = map(jnp.asarray, drawn(geometry, 0))

    def convolved(x, kernel):
        return convolve(x, kernel, *geometry[2:], **settings(4))

    def length(kernel):
        towards_x = jax.grad(lambda x: (convolved(x, kernel) * slope).sum())(x)
        return jnp.square(towards_x).sum()

    step = 1e-2 * jnp.asarray(drawn(geometry, 1)[1])
    # Quadratic in the kernel: the difference over two sides is the slope exactly.
    expected = (length(kernel + step) - length(kernel - step)) / 2
    found = (jax.grad(length)(kernel) * step).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    kernels = jnp.stack([kernel, 2 * kernel])
    each = jax.vmap(jax.grad(lambda k: jnp.square(convolved(x, k)).sum()))(kernels)
    np.testing.assert_allclose(each[1], 2 * each[0], rtol=1e-5, atol=1e-4)


def test_activations_are_not_computed_again_for_the_weights_gradient():
    """The copy that the gradient reads may hold a transpose, not the ReLU before it."""
    window = (1, 1), ((1, 1), (1, 1))

    def loss(first, second, x):
        x = convolve(x, first, *window, **settings(4))
        x = nnx.relu(normalise_by_batch(x, jnp.ones(8), jnp.zeros(8), 1e-5)[0])
        return jnp.square(convolve(x, second, *window, **settings(4))).sum()

    kernel, x = jnp.ones((3, 3, 8, 8)), jnp.ones((4, 8, 8, 8))
    text = jax.jit(jax.grad(loss, (0, 1))).lower(kernel, kernel, x).compile().as_text()
    activations = [part for part in text.split("\n}") if " maximum(" in part]
    assert activations
    assert not [part for part in activations if " transpose(" in part or " copy(" in part]
