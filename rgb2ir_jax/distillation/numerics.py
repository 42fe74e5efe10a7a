"""Arithmetic that the losses share: finite in value and gradient on every finite input.

A norm has no gradient at zero and a square overflows in float32 beyond 1.8e19; every loss here is a
loss of a network whose maps may be all zero or badly scaled, so both are dealt with once, in this
module.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

NORM_FLOOR = 1e-12
"""Smallest norm that anything is divided by (torch.nn.functional.normalize's default)."""


def as_float(array: Num[Array, "..."]) -> Float[Array, "..."]:
    """Casts to float32, the precision of every loss; float64 (under `jax_enable_x64`) is kept."""
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def tame(array: Float[Array, "..."]) -> Float[Array, ""]:
    """Returns max(1, max |array|), without gradient: what to divide by so that squares stay finite.

    Dividing by it changes nothing in a loss that is invariant to the scale of its input, and
    nothing at all when no entry exceeds 1.
    """
    return jax.lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(array), initial=0.0), 1.0))


def normalise_rows(rows: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
    """Divides each row by max(its L2 norm, 1e-12); the gradient at a zero row is finite."""
    squared = jnp.sum(jnp.square(rows), axis=-1, keepdims=True)
    return rows / jnp.sqrt(jnp.maximum(squared, NORM_FLOOR**2))


def squared_distances(
    rows: Float[Array, "row size"], columns: Float[Array, "column size"]
) -> Float[Array, "row column"]:
    """Squared Euclidean distances between two sets of vectors, never below zero."""
    inner = jnp.matmul(rows, columns.T, precision=jax.lax.Precision.HIGHEST)
    row_squares = jnp.sum(jnp.square(rows), axis=1)
    column_squares = jnp.sum(jnp.square(columns), axis=1)
    return jnp.maximum(row_squares[:, None] + column_squares[None, :] - 2.0 * inner, 0.0)


def adaptive_average_pool(
    maps: Float[Array, "*batch height width"], size: tuple[int, int]
) -> Float[Array, "*batch out_height out_width"]:
    """Mean over the windows of PyTorch's `adaptive_avg_pool2d`.

    Output cell i of n covers the inputs floor(i*len/n) to ceil((i+1)*len/n) - 1, so windows overlap
    where the sizes do not divide. `size` is the output's (height, width).
    """
    for axis, wanted in zip((-2, -1), size, strict=True):
        maps = _pool_axis(maps, axis, wanted)
    return maps


def _pool_axis(array: Float[Array, "..."], axis: int, wanted: int) -> Float[Array, "..."]:
    length = array.shape[axis]
    if length == wanted:
        return array
    array = jnp.moveaxis(array, axis, -1)
    if length % wanted == 0:
        pooled = jnp.mean(array.reshape(*array.shape[:-1], wanted, length // wanted), axis=-1)
    else:
        cells = np.arange(wanted)
        starts, ends = cells * length // wanted, -((-(cells + 1) * length) // wanted)
        window = np.arange((ends - starts).max())
        inside = window < (ends - starts)[:, None]
        # Positions past a short window point at its last input and weigh nothing.
        indices = np.minimum(starts[:, None] + window, ends[:, None] - 1)
        weights = inside / inside.sum(axis=1, keepdims=True)
        pooled = jnp.sum(array[..., indices] * weights.astype(array.dtype), axis=-1)
    return jnp.moveaxis(pooled, -1, axis)


def check_maps(student_maps: Sequence[Array], teacher_maps: Sequence[Array]) -> None:
    """Raises ValueError unless both are equally many (N, H, W, C) maps of one and the same N > 0."""
    if len(student_maps) != len(teacher_maps) or not student_maps:
        raise ValueError(
            f"found {len(student_maps)} student maps and {len(teacher_maps)} teacher maps; expected one "
            "map per stage from each network, equally many of them and at least one"
        )
    maps = [*student_maps, *teacher_maps]
    shapes = [tuple(m.shape) for m in maps]
    if any(len(shape) != 4 or 0 in shape for shape in shapes):
        raise ValueError(f"maps must be non-empty (N, H, W, C) arrays, found shapes {shapes}")
    if len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"all maps must come from the same N clips, found shapes {shapes}")
