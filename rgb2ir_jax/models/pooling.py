"""The stem's max-pool, with a gradient that needs no search.

XLA's own gradient of a max-pool (select-and-scatter) compares all values of every window again and
takes ten times as long on a CPU as PyTorch's gradient (docs/performance.md).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from rgb2ir_jax.models.materialization import materialized

_ROWS, _COLUMNS = 1, 2


@jax.custom_vjp
def max_pool_3x3_stride_2(
    x: Float[Array, "batch height width channel"],
) -> Float[Array, "batch out_height out_width channel"]:
    """Maximum over 3x3 windows at every second pixel, padded by one pixel of minus infinity.

    The gradient goes to the largest value of each window, of equal ones to the first, row by row, as
    in PyTorch and XLA. A window that holds a NaN gives NaN.
    """
    for axis in (_COLUMNS, _ROWS):
        before, centre, after = _windows(x, axis, -jnp.inf)
        x = jnp.maximum(jnp.maximum(before, centre), after)
    return x


def _forward(x: Array) -> tuple[Array, tuple[Array, tuple[int, ...]]]:
    columns = _windows(x, _COLUMNS, -jnp.inf)
    wide, column = _largest(columns, [jnp.full(columns[0].shape, k, jnp.uint8) for k in range(3)])
    # Rows last: of equal values the one in the first row counts, and in it the first.
    places = [place + jnp.uint8(3 * k) for k, place in enumerate(_windows(column, _ROWS, 0.0))]
    found = _largest(_windows(wide, _ROWS, -jnp.inf), places)
    # A CPU would compare again for every pixel of the gradient.
    pooled, place = jax.lax.platform_dependent(
        *found, cpu=materialized, default=lambda *found: found
    )
    return pooled, (place, x.shape)


def _backward(saved: tuple[Array, tuple[int, ...]], slope: Array) -> tuple[Array]:
    place, (batch, height, width, channels) = saved

    def to(row: int, column: int) -> Array:
        """What the windows give to the pixel in this row and column of theirs."""
        return jnp.where(place == 3 * row + column, slope, 0)

    # An even row is the middle of one window; an odd one the last of it and the first of the next.
    even_even = to(1, 1)
    even_odd = to(1, 2) + _from_next(to(1, 0), _COLUMNS)
    odd_even = to(2, 1) + _from_next(to(0, 1), _ROWS)
    odd_odd = to(2, 2) + _from_next(to(2, 0), _COLUMNS)
    odd_odd += _from_next(to(0, 2) + _from_next(to(0, 0), _COLUMNS), _ROWS)
    even = jnp.stack([even_even, even_odd], axis=3)
    odd = jnp.stack([odd_even, odd_odd], axis=3)
    out_height, out_width = slope.shape[1:3]
    full = jnp.stack([even, odd], axis=2).reshape(batch, 2 * out_height, 2 * out_width, channels)
    return (full[:, :height, :width],)


max_pool_3x3_stride_2.defvjp(_forward, _backward)


def _windows(x: Array, axis: int, fill: float) -> tuple[Array, Array, Array]:
    """The first, middle and last pixels of all windows along an axis."""
    size = x.shape[axis]
    even = jax.lax.slice_in_dim(x, 0, size, 2, axis)
    odd = jax.lax.slice_in_dim(x, 1, size, 2, axis)
    # Of an odd number of pixels, the last window reaches into the padding.
    missing = even.shape[axis] - odd.shape[axis]
    value = jnp.asarray(fill, x.dtype)
    before = jax.lax.pad(odd, value, _margins(x.ndim, axis, 1, missing - 1))
    after = jax.lax.pad(odd, value, _margins(x.ndim, axis, 0, missing))
    return before, even, after


def _largest(
    values: Sequence[Float[Array, "*shape"]], places: Sequence[UInt8[Array, "*shape"]]
) -> tuple[Float[Array, "*shape"], UInt8[Array, "*shape"]]:
    """The largest of some values (or NaN), and its place."""
    best, where = values[0], places[0]
    for value, place in zip(values[1:], places[1:], strict=True):
        better = (value > best) | jnp.isnan(value)
        best = jnp.where(better, value, best)
        where = jnp.where(better, place, where)
    return best, where


def _from_next(x: Array, axis: int) -> Array:
    """What the window after each one has, and zero behind the last."""
    rest = jax.lax.slice_in_dim(x, 1, x.shape[axis], 1, axis)
    return jax.lax.pad(rest, jnp.asarray(0, x.dtype), _margins(x.ndim, axis, 0, 1))


def _margins(rank: int, axis: int, low: int, high: int) -> list[tuple[int, int, int]]:
    return [(low, high, 0) if k == axis else (0, 0, 0) for k in range(rank)]
