"""Frames cut out of a stack of pictures, scaled and mirrored on the device, as OpenCV does, bit for bit."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, Num, UInt8

from rgb2ir_jax.training.resident.taps import AREA, LINEAR, SUM, Axes, Scaling

_UNROLLED = 4
"""Taps up to which a sum is written out, so that the compiler makes one pass of it."""


class Window(NamedTuple):
    """What is cut out of the stack for a batch.

    Attributes:
        frames: Numbers of the pictures.
        corner: The crops' upper and left edges, in pixels.
        scale: Number of the side in the `Scaling`.
        flip: Whether left and right are exchanged.
    """

    frames: Int32[Array, "clip time"]
    corner: Int32[Array, "clip 2"]
    scale: Int32[Array, " clip"]
    flip: Bool[Array, " clip"]


def cut(
    pictures: UInt8[Array, "frame height width channel"], window: Window, scaling: Scaling
) -> UInt8[Array, "clip time size size channel"]:
    """Cuts crops out of pictures and scales them, as `data.transforms.apply_view` does.

    Args:
        pictures: The stack, pixels 0-255.
        window: Which of them, and what of these; must lie within.
        scaling: See `taps.make_scaling`.

    Returns:
        Pixels, 0-255.
    """
    each = {
        kind: _ARITHMETIC[kind](pictures, window, _of_clips(axes, window), scaling)
        for kind, axes in scaling.axes.items()
    }
    (_, result), *others = each.items()
    kinds = scaling.kind[window.scale]
    for kind, found in others:
        result = jnp.where((kinds == kind)[:, None, None, None, None], found, result)
    return result


def _of_clips(axes: Axes, window: Window) -> Axes:
    """The taps of each clip's side, counted from the pictures' edges, mirrored where it is."""
    axes = jax.tree.map(lambda table: jnp.asarray(table)[window.scale], axes)
    flip = window.flip[:, None, None]
    rows, columns = axes
    columns = jax.tree.map(lambda table: jnp.where(flip, table[:, ::-1], table), columns)
    corner = window.corner[:, :, None, None]
    return Axes(
        rows._replace(places=rows.places + corner[:, 0]),
        columns._replace(places=columns.places + corner[:, 1]),
    )


def _grow(
    pictures: UInt8[Array, "frame height width channel"], window: Window, axes: Axes, _: Scaling
) -> UInt8[Array, "clip time size size channel"]:
    """OpenCV's fixed point: weights of 11 bits, of which the rows' sum keeps 4 + 16 bits less."""
    total = _two_sums(
        pictures, window, axes, jnp.int32, lambda row, weight: (row >> 4) * weight >> 16
    )
    return ((total + 2) >> 2).astype(jnp.uint8)


def _sum_up(
    pictures: UInt8[Array, "frame height width channel"],
    window: Window,
    axes: Axes,
    scaling: Scaling,
) -> UInt8[Array, "clip time size size channel"]:
    """The mean of whole pixels."""
    total = _two_sums(pictures, window, axes, jnp.int32, jnp.multiply)
    share, halves = (
        jnp.asarray(table)[window.scale][:, None, None, None, None]
        for table in (scaling.share, scaling.halves)
    )
    mean = jnp.round(total.astype(jnp.float32) * share).astype(jnp.int32)
    return jnp.where(halves, (total + 2) >> 2, mean).astype(jnp.uint8)


def _average(
    pictures: UInt8[Array, "frame height width channel"], window: Window, axes: Axes, _: Scaling
) -> UInt8[Array, "clip time size size channel"]:
    """The mean of pixels and parts of pixels, in float32 and OpenCV's order."""
    total = _two_sums(pictures, window, axes, jnp.float32, _rounded_product)
    return jnp.minimum(jnp.round(total), 255).astype(jnp.uint8)


def _rounded_product(value: Num[Array, "..."], weight: Num[Array, "..."]) -> Num[Array, "..."]:
    # Compilers fuse a product with the sum that takes it, and then do not round in between, which
    # OpenCV does. They do not see through this; nothing here is negative.
    return jnp.abs(value * weight)


def _two_sums(
    pictures: UInt8[Array, "frame height width channel"],
    window: Window,
    axes: Axes,
    dtype: type,
    weigh_row: Callable[[Array, Array], Array],
) -> Num[Array, "clip time size size channel"]:
    """Weighs and adds up columns, then the rows that come of it, each in order."""
    rows, columns = axes
    weigh = _rounded_product if dtype == jnp.float32 else jnp.multiply
    frames = window.frames[:, :, None, None]

    def tap(table: Array | np.ndarray, number: Array | int) -> Array:
        return jax.lax.dynamic_index_in_dim(jnp.asarray(table), number, axis=2, keepdims=False)

    def row(down: Array | int) -> Array:
        y = tap(rows.places, down)[:, None, :, None]

        def column(right: Array | int) -> Array:
            x = tap(columns.places, right)[:, None, None, :]
            pixels = pictures.at[frames, y, x].get(
                mode="promise_in_bounds", wrap_negative_indices=False
            )
            return weigh(pixels.astype(dtype), tap(columns.weights, right)[:, None, None, :, None])

        return weigh_row(
            _add_up(column, columns.places.shape[2]),
            tap(rows.weights, down)[:, None, :, None, None],
        )

    return _add_up(row, rows.places.shape[2])


def _add_up(term: Callable[[Array | int], Array], count: int) -> Array:
    first = term(0)
    if count <= _UNROLLED:
        for number in range(1, count):
            first = first + term(number)
        return first
    return jax.lax.fori_loop(1, count, lambda number, total: total + term(number), first)


_ARITHMETIC = {LINEAR: _grow, SUM: _sum_up, AREA: _average}
