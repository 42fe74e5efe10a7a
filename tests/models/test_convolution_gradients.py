"""Gradients of convolutions by the ways that a CPU is quick with, against their definition in float64."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rgb2ir_jax.models.convolution_gradients import Geometry, gradients, plain_convolution
from tests.models.convolution_in_float64 import by_definition
from tests.simulated_devices import printed_with


def geometry(strides, padding):
    axes = range(1, len(strides) + 1)
    last = len(strides) + 1
    channels_last = (0, last, *axes)
    layout = jax.lax.ConvDimensionNumbers(
        channels_last, (last, last - 1, *range(last - 1)), channels_last
    )
    return Geometry(tuple(strides), tuple(padding), layout)


def out_pixels(pixels, window, strides, padding):
    sizes = zip(pixels, window, strides, padding, strict=True)
    return tuple((size + sum(pad) - width) // stride + 1 for size, width, stride, pad in sizes)


def drawn(images, pixels, window, strides, padding, channels=(4, 16)):
    out = out_pixels(pixels, window, strides, padding)
    shapes = (images, *pixels, channels[0]), (*window, *channels), (images, *out, channels[1])
    random = np.random.RandomState(0)
    return [random.standard_normal(shape) for shape in shapes]


def kinds(program):
    """How many convolutions and products of matrices a program holds."""
    text = program.as_text()
    return len(re.findall(r" convolution\(", text)), len(re.findall(r" dot\(", text))


axis = st.tuples(
    st.integers(1, 7), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(0, 3)
)


@given(st.lists(axis, min_size=1, max_size=3), st.integers(1, 3))
def test_both_gradients_are_the_definitions(axes, images):
    pixels, window, strides, before, behind = zip(*axes, strict=True)
    padding = tuple(zip(before, behind, strict=True))
    assume(min(out_pixels(pixels, window, strides, padding)) > 0)
    x, kernel, slope = drawn(images, pixels, window, strides, padding)
    _, *expected = by_definition(x, kernel, slope, strides, padding)
    with jax.enable_x64(True):
        found = gradients(geometry(strides, padding), *map(jnp.asarray, (x, kernel, slope)))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


ONE_MARGIN = ((1, 1), (1, 1))


@pytest.mark.parametrize(
    ("images", "pixels", "strides", "product"),
    [
        (2, (4, 4), (1, 1), True),  # A kernel that is larger than the map.
        (8, (9, 9), (1, 1), False),
        (8, (9, 9), (2, 2), True),
    ],
)
def test_a_product_is_taken_where_it_pays(images, pixels, strides, product):
    arrays = drawn(images, pixels, (3, 3), strides, ONE_MARGIN)
    x, kernel, slope = (jnp.asarray(array, jnp.float32) for array in arrays)
    program = gradients.lower(geometry(strides, ONE_MARGIN), x, kernel, slope).compile()
    assert kinds(program) == ((1, 1) if product else (2, 0))


@pytest.mark.parametrize(("images", "fits"), [(8, True), (16, False)])
def test_what_would_fill_the_memory_is_not_multiplied_out(images, fits):
    """Nine taps for each of 114 channels at 23x23 pixels are 2 MB an image."""
    shapes = (images, 46, 46, 114), (3, 3, 114, 2), (images, 23, 23, 2)
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    program = gradients.lower(geometry((2, 2), ONE_MARGIN), *arrays).compile()
    assert kinds(program) == ((1, 1) if fits else (2, 0))


def test_large_windows_are_not_taken_apart():
    """The stem's 49 taps, whose gradient towards the frames nobody asks for."""
    how = geometry((2, 2), ((3, 3), (3, 3)))
    arrays = drawn(2, (12, 12), (7, 7), (2, 2), how.padding)
    x, kernel, slope = (jnp.asarray(array, jnp.float32) for array in arrays)
    assert kinds(gradients.lower(how, x, kernel, slope).compile()) == (2, 0)


def test_the_kernel_is_not_reordered():
    """By single numbers that would take 4 ms for 512 channels."""
    how = geometry((1, 1), ONE_MARGIN)
    arrays = drawn(2, (4, 4), (3, 3), (1, 1), ONE_MARGIN, channels=(32, 64))
    x, kernel, slope = (jnp.asarray(array, jnp.float32) for array in arrays)

    def reordered(towards_map):
        text = jax.jit(towards_map).lower(kernel, slope).compile().as_text()
        found = re.findall(r" = f32\[([0-9,]+)\]\S* (?:reverse|transpose|copy)\(", text)
        sizes = [math.prod(map(int, shape.split(","))) for shape in found]
        return sizes.count(kernel.size)

    def plainly(kernel, slope):
        return jax.vjp(lambda x: plain_convolution(x, kernel, how), x)[1](slope)[0]

    assert reordered(lambda kernel, slope: gradients(how, x, kernel, slope)[0]) == 0
    assert reordered(plainly) > 0


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-6), (jnp.bfloat16, 2**-8)])
def test_what_is_added_up_is_wide(dtype, tolerance):
    """Products and nine taps of bfloat16 are rounded once, to within half of its eighth digit."""
    arrays = [
        np.asarray(jnp.asarray(array, dtype), np.float64)
        for array in drawn(2, (4, 4), (3, 3), (1, 1), ONE_MARGIN)
    ]
    _, expected, _ = by_definition(*arrays, (1, 1), ONE_MARGIN)
    x, kernel, slope = (jnp.asarray(array, dtype) for array in arrays)
    found, _ = gradients(geometry((1, 1), ONE_MARGIN), x, kernel, slope)
    assert found.dtype == dtype
    off = np.abs(np.asarray(found, np.float64) - expected)
    assert (off <= tolerance * np.abs(expected) + 1e-6).all()


def test_an_exported_programs_maps_are_of_any_number():
    how = geometry((2, 2), ONE_MARGIN)
    x, kernel, slope = (
        jnp.asarray(a, jnp.float32) for a in drawn(3, (5, 6), (3, 3), (2, 2), ONE_MARGIN)
    )
    (images,) = jax.export.symbolic_shape("images")
    shapes = [jax.ShapeDtypeStruct((images, *a.shape[1:]), a.dtype) for a in (x, slope)]
    exported = jax.export.export(jax.jit(functools.partial(gradients, how)))(
        shapes[0], jax.ShapeDtypeStruct(kernel.shape, kernel.dtype), shapes[1]
    )
    for one, other in zip(
        exported.call(x, kernel, slope), gradients(how, x, kernel, slope), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


ON_FOUR_DEVICES = """
import re
import rgb2ir_jax
import jax, jax.numpy as jnp
from rgb2ir_jax.training.sharding import make_mesh, replicated, split_batch
from tests.models.test_convolution_gradients import ONE_MARGIN, geometry, gradients
split, whole = split_batch(make_mesh()), replicated(make_mesh())
shapes = ((8, 9, 9, 4), split), ((3, 3, 4, 16), whole), ((8, 5, 5, 16), split)
arrays = [jax.ShapeDtypeStruct(s, jnp.float32, sharding=sharding) for s, sharding in shapes]
text = gradients.lower(geometry((2, 2), ONE_MARGIN), *arrays).compile().as_text()
print(*sorted(set(re.findall(r" (dot|all-\\w+|collective-\\w+)\\(", text))))
"""


def test_devices_that_share_images_add_up_the_kernels_gradient_alone():
    assert printed_with(4, ON_FOUR_DEVICES).split() == ["all-reduce", "dot"]
