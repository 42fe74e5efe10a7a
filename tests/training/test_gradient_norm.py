"""The norm of all gradients against float64 and optax's, and clipping against optax's."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn

from rgb2ir_jax.training.gradient_norm import clip_by_global_norm, global_norm

LARGE = [(3, 3, 16, 24), (7, 7, 1, 8), (64, 10), (10,)]


def some_gradients():
    random = np.random.RandomState(0)
    return {str(shape): jnp.asarray(random.standard_normal(shape), jnp.float32) for shape in LARGE}


@given(
    st.lists(
        drawn.arrays(
            np.float32,
            drawn.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
            elements=st.floats(-1e6, 1e6, width=32),
        ),
        max_size=3,
    )
)
def test_norm_is_float64s(arrays):
    expected = np.sqrt(sum(np.square(array, dtype=np.float64).sum() for array in arrays))
    found = global_norm([jnp.asarray(array) for array in arrays])
    assert found.dtype == jnp.float32
    # Squares of less than 1e-38 are none in float32.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-15)


@pytest.mark.parametrize("shape", LARGE)
def test_narrow_gradients_are_squared_in_float32(shape):
    narrow = jnp.asarray(np.random.RandomState(0).standard_normal(shape), jnp.bfloat16)
    found = global_norm(narrow)
    assert found.dtype == jnp.float32
    expected = np.linalg.norm(np.asarray(narrow, np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("most", [1e-3, 50.0, 1e6])
@pytest.mark.parametrize("bad", [None, np.nan, np.inf])
def test_clipping_is_optaxs(most, bad):
    gradients = some_gradients()
    if bad is not None:
        gradients["(10,)"] = gradients["(10,)"].at[3].set(bad)
    ours, theirs = clip_by_global_norm(most), optax.clip_by_global_norm(most)
    assert jax.tree.structure(ours.init(gradients)) == jax.tree.structure(theirs.init(gradients))
    found, _ = ours.update(gradients, ours.init(gradients))
    expected, _ = theirs.update(gradients, theirs.init(gradients))
    for name in gradients:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)


def test_a_step_that_clips_and_reports_sums_once():
    def reductions(function):
        return jax.jit(function).lower(some_gradients()).compile().as_text().count(" reduce(")

    def clipped_and_norm(gradients):
        optimizer = clip_by_global_norm(20.0)
        clipped, _ = optimizer.update(gradients, optimizer.init(gradients))
        return clipped, global_norm(gradients)

    assert reductions(clipped_and_norm) == reductions(global_norm) > 0


def test_no_long_sum_goes_to_a_single_number():
    """XLA for CPU would add windows of the kernel's squares, which it first wrote to memory."""

    def longest(norm):
        kernel = jnp.ones((3, 3, 64, 64))
        text = jax.jit(norm).lower(kernel).compile().as_text()
        windows = re.findall(r" reduce-window\(.*window={size=([0-9x]+)", text)
        return max(math.prod(map(int, window.split("x"))) for window in windows)

    assert longest(global_norm) <= 3 * 3 * 64 * 64 // 32 < longest(optax.tree.norm)
