"""Convolution as a CPU is quick with it: fewer multiplications, small maps enlarged, its own gradients."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rgb2ir_jax.models import convolution_gradients, winograd
from rgb2ir_jax.models.convolution_gradients import Geometry, plain_convolution


def convolve(
    x: Float[Array, "batch *pixels channel"],
    kernel: Float[Array, "*window channel out_channel"],
    strides: tuple[int, ...],
    padding: Sequence[tuple[int, int]] | str,
    *,
    dimension_numbers: jax.lax.ConvDimensionNumbers,
    lhs_dilation: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    feature_group_count: int,
    **others: Any,
) -> Float[Array, "batch *out_pixels out_channel"]:
    """`jax.lax.conv_general_dilated` as ``nnx.Conv`` calls it, the padding in numbers.

    On CPUs it goes around weak spots of XLA (docs/performance.md), with the same values to rounding.
    Derivatives are reverse ones alone.

    Raises:
        ValueError: the convolution is dilated, grouped, not channels last, padded by a rule's name
            or has a setting that is not known here.
    """
    others = {name: value for name, value in others.items() if value is not None}
    if feature_group_count != 1 or {*lhs_dilation, *rhs_dilation} != {1} or others:
        raise ValueError(
            f"found {feature_group_count} groups, dilations {lhs_dilation} and {rhs_dilation}, other "
            f"settings {others}; expected 1 group, no dilation and no other setting"
        )
    if isinstance(padding, str):
        raise ValueError(f"found padding {padding!r}; expected a pair of numbers for each axis")
    last, axes = x.ndim - 1, range(1, x.ndim - 1)
    channels_last = (0, last, *axes), (last, last - 1, *range(last - 1)), (0, last, *axes)
    if tuple(dimension_numbers) != channels_last:
        raise ValueError(f"found {dimension_numbers}; expected channels last, {channels_last}")
    geometry = Geometry(strides, tuple(padding), dimension_numbers)
    window, pixels = kernel.shape[:-2], _out_pixels(geometry, x, kernel)
    plain_3x3 = window == (3, 3) and geometry[:2] == ((1, 1), ((1, 1), (1, 1)))
    if plain_3x3 and winograd.pays(x, kernel):
        return jax.lax.platform_dependent(
            *(x, kernel),
            cpu=winograd.convolve_3x3,
            default=functools.partial(_convolve, geometry=geometry),
        )
    # A single pixel is quick as it is; enlarged it would take longer.
    counts = math.prod(x.shape[1:-1]), math.prod(pixels)
    if not any(1 < count < math.prod(window) for count in counts):
        return _convolve(x, kernel, geometry)
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(_on_enlarged_map, geometry=geometry, pixels=pixels),
        default=functools.partial(_convolve, geometry=geometry),
    )


def _out_pixels(geometry: Geometry, x: Array, kernel: Array) -> tuple[int, ...]:
    sizes = zip(x.shape[1:-1], kernel.shape[:-2], geometry.strides, geometry.padding, strict=True)
    return tuple(
        max(0, (size + low + high - width) // stride + 1)
        for size, width, stride, (low, high) in sizes
    )


def _on_enlarged_map(x: Array, kernel: Array, geometry: Geometry, pixels: tuple[int, ...]) -> Array:
    """The same on a map so large that along each axis as many pixels come out as the window has.

    The new ones are cut off. Where the window has more pixels than what it moves over, the map or in
    the gradient the slope, XLA lets that move over the window, and takes a hundred times as long. The
    barriers keep it from seeing what is done here.
    """
    more = [
        max(0, width - count) * stride
        for count, width, stride in zip(pixels, kernel.shape[:-2], geometry.strides, strict=True)
    ]
    margins = [(0, 0, 0), *((0, extra, 0) for extra in more), (0, 0, 0)]
    enlarged = jax.lax.optimization_barrier(jax.lax.pad(x, jnp.zeros((), x.dtype), margins))
    y = jax.lax.optimization_barrier(_convolve(enlarged, kernel, geometry))
    return jax.lax.slice(y, (0,) * y.ndim, (y.shape[0], *pixels, y.shape[-1]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: Array, kernel: Array, geometry: Geometry) -> Array:
    return plain_convolution(x, kernel, geometry)


def _forward(x: Array, kernel: Array, geometry: Geometry) -> tuple[Array, tuple[Array, Array]]:
    return plain_convolution(x, kernel, geometry), (x, kernel)


def _backward(geometry: Geometry, saved: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    return convolution_gradients.gradients(geometry, *saved, slope)


_convolve.defvjp(_forward, _backward)
