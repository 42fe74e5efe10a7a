"""The convolution with fewer multiplications against its definition in float64."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.models import winograd
from rgb2ir_jax.models.convolution import convolve
from rgb2ir_jax.models.materialization import materialized
from rgb2ir_jax.models.tsn import TSN
from rgb2ir_jax.models.winograd import convolve_3x3
from tests.models.convolution_in_float64 import by_definition
from tests.simulated_devices import printed_with

STRIDES_AND_PADDING = (1, 1), ((1, 1), (1, 1))
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


@jax.jit
def plain_value_and_gradients(x, kernel, slope):
    def convolved(x, kernel):
        layout = LAYOUT["dimension_numbers"]
        return jax.lax.conv_general_dilated(
            x, kernel, *STRIDES_AND_PADDING, dimension_numbers=layout
        )

    value, back = jax.vjp(convolved, x, kernel)
    return value, *back(slope)


@pytest.mark.parametrize(
    ("images", "height", "width", "values", "pieces"),
    [
        (4, 6, 6, 10**9, (1, 4)),
        (4, 7, 5, 1, (4, 1)),  # Half tiles at two borders.
        (6, 2, 3, 40, (3, 2)),
        (6, 2, 3, 80, (2, 3)),  # Four would fit.
        (7, 4, 4, 200, (2, 4)),  # The last has an image of zeros.
        (2, 1, 1, 10**9, (1, 2)),
        (0, 4, 4, 100, (1, 1)),
    ],
)
def test_value_and_gradients_are_the_definitions(
    monkeypatch, images, height, width, values, pieces
):
    monkeypatch.setattr(winograd, "_PIECE", values)
    arrays = drawn(images, height, width, 3, 2)
    (apart,) = winograd._in_pieces(jnp.asarray(arrays[0]))
    assert apart.shape[:2] == pieces
    expected = by_definition(*arrays, *STRIDES_AND_PADDING)
    with jax.enable_x64(True):
        jax.clear_caches()  # The size of a piece is no argument.
        found = value_and_gradients(*map(jnp.asarray, arrays))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@given(seed=st.integers(0, 1000))
def test_float32_loses_less_than_a_digit(seed):
    arrays = drawn(2, 8, 8, 64, 64, seed)
    expected = by_definition(*arrays, *STRIDES_AND_PADDING)
    narrow = [jnp.asarray(array, jnp.float32) for array in arrays]
    found = value_and_gradients(*narrow)
    plain = plain_value_and_gradients(*narrow)

    def error(one, other):
        return np.abs(np.asarray(one, np.float64) - other).max() / np.abs(other).max()

    for one, two, other in zip(found, plain, expected, strict=True):
        assert error(one, other) < min(2e-6, 5 * error(two, other))


@pytest.mark.parametrize(
    ("shape", "channels", "dtype", "fewer"),
    [
        ((8, 28, 28, 64), 64, jnp.float32, True),
        ((8, 28, 28, 64), 32, jnp.float32, False),
        ((8, 28, 28, 64), 64, jnp.bfloat16, False),
        ((1, 28, 28, 64), 64, jnp.float32, False),
        ((23, 7, 7, 512), 512, jnp.float32, True),
        ((1024, 1, 1, 512), 512, jnp.float32, False),
    ],
)
def test_where_it_pays_it_is_taken(shape, channels, dtype, fewer):
    x, kernel = jnp.ones(shape, dtype), jnp.ones((3, 3, shape[-1], channels), dtype)
    assert winograd.pays(x, kernel) == fewer

    def loss(x, kernel):
        return jnp.square(convolve(x, kernel, *STRIDES_AND_PADDING, **LAYOUT)).sum()

    text = jax.jit(jax.grad(loss, (0, 1))).lower(x, kernel).compile().as_text()
    assert (" convolution(" in text) != fewer
    # A stride is none of its business.
    strided = jax.jit(
        lambda x, kernel: convolve(x, kernel, (2, 2), STRIDES_AND_PADDING[1], **LAYOUT)
    )
    assert " convolution(" in strided.lower(x, kernel).compile().as_text()


def test_the_chosen_way_has_the_plain_ones_values():
    arrays = [jnp.asarray(array, jnp.float32) for array in drawn(8, 28, 28, 64, 64)]

    @jax.jit
    def chosen(x, kernel, slope):
        value, back = jax.vjp(lambda *xk: convolve(*xk, *STRIDES_AND_PADDING, **LAYOUT), x, kernel)
        return value, *back(slope)

    for one, other in zip(chosen(*arrays), plain_value_and_gradients(*arrays), strict=True):
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


# Whether a map that four devices share is convolved in pieces of a few images.
ON_FOUR_DEVICES = """
import rgb2ir_jax
import jax, jax.numpy as jnp
from rgb2ir_jax.models import winograd
print(jax.device_count(), winograd.pays(jnp.ones((8, 28, 28, 64)), jnp.ones((3, 3, 64, 64))))
"""


def test_devices_do_not_exchange_pieces():
    assert printed_with(4, ON_FOUR_DEVICES).split() == ["4", "False"]


def test_an_exported_programs_maps_are_of_any_number():
    [images] = jax.export.symbolic_shape("images")
    x = jax.ShapeDtypeStruct((images, 28, 28, 64), jnp.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, 64, 64), jnp.float32)
    convolved = jax.jit(lambda x, kernel: convolve(x, kernel, *STRIDES_AND_PADDING, **LAYOUT))
    program = jax.export.export(convolved)(x, kernel)
    ones = jnp.ones((9, 28, 28, 64)), jnp.ones((3, 3, 64, 64))
    np.testing.assert_allclose(program.call(*ones), convolved(*ones), rtol=1e-5)


def test_a_networks_convolutions_are_among_them():
    """Of this one the second and third stage; the first is too narrow, the last too small."""
    network = TSN(18, 10, width=32, in_channels=1, rngs=nnx.Rngs(0))
    graph, state = nnx.split(network)

    def logits(state, clips):
        return nnx.merge(graph, state)(clips, train=False).logits

    clips = jnp.zeros((8, 8, 112, 112, 1))
    text = jax.jit(logits).lower(state, clips).compile().as_text()
    # Of 20, the three of each stage that have no stride.
    assert len(re.findall(r" convolution\(", text)) == 14


def test_what_is_materialized_is_not_computed_for_each_reader():
    def readers(x, held):
        y = jnp.maximum(x * 2 + 1, 0)
        (y,) = materialized(y) if held else (y,)
        return y.transpose(2, 1, 0), y.transpose(1, 0, 2)

    counts = []
    for held in (False, True):
        compiled = jax.jit(readers, static_argnums=1).lower(jnp.ones((64, 64, 64)), held).compile()
        counts.append(len(re.findall(r" maximum\(", compiled.as_text())))
    assert counts == [2, 1]
