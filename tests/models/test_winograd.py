"""The convolution with fewer multiplications against its definition in float64."""

import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.models import winograd
from rgb2ir_jax.models.convolution import convolve
from rgb2ir_jax.models.winograd import convolve_3x3
from tests.models.convolution_in_float64 import by_definition
from tests.simulated_devices import environment_of

WINDOW = (1, 1), ((1, 1), (1, 1))
LAYOUT = {
    "dimension_numbers": jax.lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)),
    "lhs_dilation": (1, 1),
    "rhs_dilation": (1, 1),
    "feature_group_count": 1,
}


def drawn(images, height, width, inputs, outputs, seed=0):
    """A map, a kernel, and a slope of the result."""
    random = np.random.RandomState(seed)
    shapes = (
        (images, height, width, inputs),
        (3, 3, inputs, outputs),
        (images, height, width, outputs),
    )
    return [random.standard_normal(shape) for shape in shapes]


@jax.jit
def value_and_gradients(x, kernel, slope):
    value, back = jax.vjp(convolve_3x3, x, kernel)
    return value, *back(slope)


@pytest.mark.parametrize(
    ("images", "height", "width", "values", "pieces"),
    [
        (4, 6, 6, 10**9, 1),  # All at once.
        (4, 7, 5, 1, 4),  # Image by image, with half tiles at two borders.
        (6, 2, 3, 40, 3),  # Three pieces of two.
        (3, 4, 4, 100, 3),  # Two would fit, but do not divide three.
        (2, 1, 1, 10**9, 1),
    ],
)
def test_value_and_gradients_are_the_definitions(
    monkeypatch, images, height, width, values, pieces
):
    monkeypatch.setattr(winograd, "_PIECE", values)
    arrays = drawn(images, height, width, 3, 2)
    (apart,) = winograd._in_pieces(jnp.asarray(arrays[0]))
    assert apart.shape[:2] == (images // pieces, pieces)
    expected = by_definition(*arrays, *WINDOW)
    with jax.enable_x64(True):
        jax.clear_caches()  # The size of a piece is no argument.
        found = value_and_gradients(*map(jnp.asarray, arrays))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@given(seed=st.integers(0, 1000))
def test_float32_loses_a_digit_at_most(seed):
    arrays = drawn(2, 8, 8, 64, 64, seed)
    expected = by_definition(*arrays, *WINDOW)
    narrow = [jnp.asarray(array, jnp.float32) for array in arrays]
    found = value_and_gradients(*narrow)
    plain = jax.lax.conv_general_dilated(
        *narrow[:2], *WINDOW, dimension_numbers=LAYOUT["dimension_numbers"]
    )

    def error(one, other):
        return np.abs(np.asarray(one, np.float64) - other).max() / np.abs(other).max()

    for one, other in zip(found, expected, strict=True):
        assert error(one, other) < 2e-6
    assert error(found[0], expected[0]) < 10 * error(plain, expected[0])


@pytest.mark.parametrize(
    ("shape", "channels", "dtype", "fewer"),
    [
        ((8, 28, 28, 64), 64, jnp.float32, True),
        ((8, 28, 28, 64), 32, jnp.float32, False),
        ((8, 28, 28, 64), 64, jnp.bfloat16, False),
        ((1, 28, 28, 64), 64, jnp.float32, False),
    ],
)
def test_where_it_pays_it_is_taken(shape, channels, dtype, fewer):
    x, kernel = jnp.ones(shape, dtype), jnp.ones((3, 3, shape[-1], channels), dtype)
    assert winograd.pays(x, kernel) == fewer

    def loss(x, kernel):
        return jnp.square(convolve(x, kernel, *WINDOW, **LAYOUT)).sum()

    text = jax.jit(jax.grad(loss, (0, 1))).lower(x, kernel).compile().as_text()
    assert (" convolution(" in text) != fewer
    # Other windows are none of its business.
    strided = jax.jit(lambda x, kernel: convolve(x, kernel, (2, 2), WINDOW[1], **LAYOUT))
    assert " convolution(" in strided.lower(x, kernel).compile().as_text()


def test_the_chosen_way_has_the_plain_ones_values():
    arrays = [jnp.asarray(array, jnp.float32) for array in drawn(8, 28, 28, 64, 64)]
    x, kernel, slope = arrays

    def both(convolved):
        value, back = jax.vjp(convolved, x, kernel)
        return value, *back(slope)

    found = jax.jit(lambda: both(lambda x, kernel: convolve(x, kernel, *WINDOW, **LAYOUT)))()
    numbers = LAYOUT["dimension_numbers"]
    expected = both(
        lambda x, kernel: jax.lax.conv_general_dilated(
            x, kernel, *WINDOW, dimension_numbers=numbers
        )
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=3e-6 * jnp.abs(other).max())


def test_a_gradient_of_a_gradient():
    """Quadratic in the kernel: the difference over two sides is the slope exactly."""
    x, kernel, slope = map(jnp.asarray, drawn(2, 4, 4, 3, 2))

    def length(kernel):
        towards_x = jax.grad(lambda x: (convolve_3x3(x, kernel) * slope).sum())(x)
        return jnp.square(towards_x).sum()

    step = 1e-2 * jnp.asarray(drawn(2, 4, 4, 3, 2, seed=1)[1])
    expected = (length(kernel + step) - length(kernel - step)) / 2
    found = (jax.grad(length)(kernel) * step).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-3)


# Prints what four devices exchange, and the largest difference from what one computes.
ON_FOUR_DEVICES = """
import json
import rgb2ir_jax
import jax, jax.numpy as jnp
from rgb2ir_jax.models import winograd
from rgb2ir_jax.training.sharding import make_mesh, replicated, split_batch

winograd._PIECE = 4 * 6 * 6 * 8
mesh = make_mesh()
x = jax.random.normal(jax.random.key(0), (16, 6, 6, 8))
kernel = jax.random.normal(jax.random.key(1), (3, 3, 8, 8))

def value_and_gradients(x, kernel):
    value, back = jax.vjp(winograd.convolve_3x3, x, kernel)
    return value, *back(value)

batch, whole = split_batch(mesh), replicated(mesh)
shared = jax.jit(value_and_gradients, in_shardings=(batch, whole), out_shardings=(batch, batch, whole))
text = shared.lower(x, kernel).compile().as_text()
exchanges = [name for name in ("all-gather", "all-to-all", "collective-permute") if f" {name}" in text]
pairs = zip(shared(x, kernel), jax.jit(value_and_gradients)(x, kernel))
off = max(float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in pairs)
print(json.dumps([jax.device_count(), exchanges, off]))
"""


def test_devices_keep_their_images():
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", ON_FOUR_DEVICES],
        cwd=root,
        env=environment_of(4, PYTHONPATH=str(root)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    devices, exchanges, off = json.loads(done.stdout)
    assert devices == 4
    assert not exchanges
    assert off < 1e-5
