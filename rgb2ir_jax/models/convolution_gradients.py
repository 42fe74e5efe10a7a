"""Gradients of a convolution, and the forms of them that a CPU is quick with."""

import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rgb2ir_jax.models.materialization import materialized

_MOST_PRODUCTS = 2**23
"""Values that a product may leave in memory, 32 MB in float32."""
_MOST_TAPS = 27
"""Of a window, each of which is an addition to trace and compile."""


class Geometry(NamedTuple):
    """How a window moves over a map.

    Attributes:
        strides: along each spatial axis.
        padding: pixels of zeros before and behind each spatial axis.
        layout: channels last, in the numbers of `jax.lax.conv_general_dilated`.
    """

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    layout: jax.lax.ConvDimensionNumbers


def plain_convolution(
    x: Float[Array, "batch *pixels channel"],
    kernel: Float[Array, "*window channel out_channel"],
    geometry: Geometry,
) -> Float[Array, "batch *out_pixels out_channel"]:
    """The convolution as XLA has it."""
    strides, padding, layout = geometry
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layout)


# Layers of one shape share what is jitted: tracing and lowering are half of a warm start.
@functools.partial(jax.jit, static_argnums=0)
def gradients(
    geometry: Geometry,
    x: Float[Array, "batch *pixels channel"],
    kernel: Float[Array, "*window channel out_channel"],
    slope: Float[Array, "batch *out_pixels out_channel"],
) -> tuple[Float[Array, "batch *pixels channel"], Float[Array, "*window channel out_channel"]]:
    """The gradients towards the map and the kernel, given that towards the convolution's outcome."""
    return _towards_map(x, kernel, slope, geometry), _towards_kernel(x, kernel, slope, geometry)


def _towards_map(x: Array, kernel: Array, slope: Array, geometry: Geometry) -> Array:
    def plain(kernel: Array, slope: Array) -> Array:
        return jax.vjp(lambda x: plain_convolution(x, kernel, geometry), x)[1](slope)[0]

    if not _product_pays(kernel, slope, geometry):
        return plain(kernel, slope)
    by_product = functools.partial(_map_by_product, pixels=x.shape[1:-1], geometry=geometry)
    return jax.lax.platform_dependent(kernel, slope, cpu=by_product, default=plain)


def _product_pays(kernel: Array, slope: Array, geometry: Geometry) -> bool:
    """Whether a CPU has the gradient towards the map sooner from a product of matrices.

    Where the window strides, and where the pixels are so few (docs/performance.md) that the product's
    outcome, all taps of each, is added up sooner than the kernel is turned. Devices that share the
    images exchange nothing for it.
    """
    taps = math.prod(kernel.shape[:-2])
    if not isinstance(slope.size, int) or taps > _MOST_TAPS:
        return False  # An exported program's maps are of any number of images.
    pixels = math.prod(slope.shape[:-1])
    few = pixels <= 4 * kernel.shape[-1]
    strided = any(stride > 1 for stride in geometry.strides)
    return 0 < pixels * taps * kernel.shape[-2] <= _MOST_PRODUCTS and (strided or few)


def _map_by_product(
    kernel: Array, slope: Array, pixels: tuple[int, ...], geometry: Geometry
) -> Array:
    """What every pixel of the slope gives to each tap of its window, added up where windows overlap.

    XLA convolves the slope with a copy of the kernel that is turned, in and out channels exchanged;
    of the last stage's kernels, which are larger than the maps, the copy takes as long as the rest.
    """
    wide = jnp.promote_types(slope.dtype, jnp.float32)
    # Of matrices: with more axes XLA would turn the kernel all the same.
    (given,) = materialized(
        jax.lax.dot_general(
            *(slope.reshape(-1, slope.shape[-1]), kernel.reshape(-1, kernel.shape[-1])),
            (((1,), (1,)), ((), ())),
            preferred_element_type=wide,
        )
    )
    given = given.reshape(*slope.shape[:-1], *kernel.shape[:-1])
    total = jnp.zeros((len(slope), *pixels, kernel.shape[-2]), wide)
    for tap in itertools.product(*map(range, kernel.shape[:-2])):
        places = [
            (place - low, size - (count - 1) * stride - 1 - (place - low), stride - 1)
            for place, (low, _), size, count, stride in zip(
                *(tap, geometry.padding, pixels, slope.shape[1:-1], geometry.strides), strict=True
            )
        ]
        of_tap = given[(slice(None),) * (slope.ndim - 1) + tap]
        margins = [(0, 0, 0), *places, (0, 0, 0)]
        total += jax.lax.pad(of_tap, jnp.zeros((), wide), margins)
    return total.astype(slope.dtype)


def _towards_kernel(x: Array, kernel: Array, slope: Array, geometry: Geometry) -> Array:
    def plain(x: Array, kernel: Array, slope: Array) -> Array:
        return jax.vjp(lambda kernel: plain_convolution(x, kernel, geometry), kernel)[1](slope)[0]

    from_memory = functools.partial(_kernel_from_memory, geometry=geometry)
    return jax.lax.platform_dependent(x, kernel, slope, cpu=from_memory, default=plain)


def _kernel_from_memory(x: Array, kernel: Array, slope: Array, geometry: Geometry) -> Array:
    """The same gradient of operands that are not computed anew.

    It is a convolution in which batch and channel have changed places. XLA reorders both operands
    for it, and left alone it computes them once more on the way, BatchNorm, shortcut and ReLU, in
    an order that suits no cache (docs/performance.md).
    """
    strides, padding, layout = geometry
    *axes, last = range(1, x.ndim)
    x, slope = materialized(x, slope)
    x, slope = x.transpose(last, *axes, 0), slope.transpose(*axes, 0, last)
    # The slope stands in the kernel's place, its pixels a stride apart.
    margins = [
        (low, (count - 1) * stride + width - low - size)
        for (low, _), count, stride, width, size in zip(
            padding, slope.shape[:-2], strides, kernel.shape[:-2], x.shape[1:-1], strict=True
        )
    ]
    gradient = jax.lax.conv_general_dilated(
        x, slope, (1,) * len(axes), margins, rhs_dilation=strides, dimension_numbers=layout
    )
    return gradient.transpose(*axes, 0, last)
