"""Arithmetic that the losses share: finite in value and gradient on every finite input.

A norm has no gradient at zero and a square overflows in float32 beyond 1.8e19; every loss here is a
loss of a network whose maps may be all zero or badly scaled, so both are dealt with once, in this
module.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

NORM_FLOOR = 1e-12
"""Smallest norm that anything is divided by (torch.nn.functional.normalize's default)."""

# No probability is left long before; a smaller log-probability would only overflow.
_FAINTEST = -1e30


def as_float(array: Num[Array, "..."]) -> Float[Array, "..."]:
    """Casts to float32, the precision of every loss; float64 (under `jax_enable_x64`) is kept."""
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def tame(array: Float[Array, "..."]) -> Float[Array, ""]:
    """A power of two to divide by so that squares stay finite: 1, or just below max |array|.

    Without gradient. Dividing by it is exact, changes nothing in a loss that is invariant to the
    scale of its input, and nothing at all when no entry reaches 2.
    """
    return _power_of_two(jnp.max(jnp.abs(array), initial=0.0))


def tame_each(array: Float[Array, " n *rest"]) -> Float[Array, " n *ones"]:
    """`tame` for each entry of the first axis, shaped to divide by: (N, 1, ..., 1)."""
    axes = tuple(range(1, array.ndim))
    return _power_of_two(jnp.max(jnp.abs(array), axis=axes, keepdims=True, initial=0.0))


def _power_of_two(size: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The largest power of two that is not above `size`, but at least 1; without gradient."""
    kind = jnp.finfo(size.dtype)
    # A division becomes a multiplication by the inverse, which must not be a subnormal number.
    size = jnp.clip(jax.lax.stop_gradient(size), 1.0, 1.0 / float(kind.smallest_normal))
    bits = jax.lax.bitcast_convert_type(size, jnp.dtype(f"int{kind.bits}"))
    return jax.lax.bitcast_convert_type((bits >> kind.nmant) << kind.nmant, size.dtype)


def normalise_rows(rows: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
    """Divides each row by max(its L2 norm, 1e-12); the gradient at a zero row is finite."""
    squared = jnp.sum(jnp.square(rows), axis=-1, keepdims=True)
    return rows / jnp.sqrt(jnp.maximum(squared, NORM_FLOOR**2))


def normalised_gram(rows: Float[Array, "*batch row size"]) -> Float[Array, "*batch row row"]:
    """X X^T with each of its rows divided by max(its L2 norm, 1e-12).

    A row of the result does not change with the scale of its own vector, nor with a scale common to
    all, so both are divided out before the product.
    """
    own = _power_of_two(jnp.max(jnp.abs(rows), axis=-1, keepdims=True, initial=0.0))
    common = jnp.max(own, axis=-2, keepdims=True)
    return normalise_rows(
        jnp.einsum(
            "...ad,...bd->...ab", rows / own, rows / common, precision=jax.lax.Precision.HIGHEST
        )
    )


def squared_distances(
    rows: Float[Array, "row size"], columns: Float[Array, "column size"]
) -> Float[Array, "row column"]:
    """Squared Euclidean distances between two sets of vectors, never below zero."""
    inner = jnp.matmul(rows, columns.T, precision=jax.lax.Precision.HIGHEST)
    row_squares = jnp.sum(jnp.square(rows), axis=1)
    column_squares = jnp.sum(jnp.square(columns), axis=1)
    return jnp.maximum(row_squares[:, None] + column_squares[None, :] - 2.0 * inner, 0.0)


def centred_logits(
    logits: Num[Array, "*batch cls"], temperature: float
) -> Float[Array, "*batch cls"]:
    """(z - max z) / temperature over the last axis: the same softmax, finite for all finite logits."""
    logits = as_float(logits)
    centred = logits - jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    return jnp.maximum(centred, _FAINTEST) / temperature


def log_softmax(logits: Num[Array, "*batch cls"], temperature: float) -> Float[Array, "*batch cls"]:
    """Computes log softmax(z / temperature) over the last axis, finite for all finite logits."""
    return jax.nn.log_softmax(centred_logits(logits, temperature), axis=-1)


def divergence(
    teacher_log: Float[Array, "*batch cls"], student_log: Float[Array, "*batch cls"]
) -> Float[Array, "*batch"]:
    """KL(teacher || student) over the last axis, of two sets of log-probabilities, in nats."""
    return jnp.sum(jnp.exp(teacher_log) * (teacher_log - student_log), axis=-1)


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


def pool_time(
    maps: Float[Array, "clip time *rest"], steps: int
) -> Float[Array, "clip steps *rest"]:
    """Mean over time by windows as `adaptive_average_pool`'s: to `steps` time steps."""
    return _pool_axis(maps, 1, steps)


def pool_to_smaller(
    student_map: Float[Array, "n height width channel"],
    teacher_map: Float[Array, "n _height _width _channel"],
) -> tuple[
    Float[Array, "n out_height out_width channel"], Float[Array, "n out_height out_width _channel"]
]:
    """Brings the larger map to the smaller's height and width by adaptive average pooling."""
    size = (
        min(student_map.shape[1], teacher_map.shape[1]),
        min(student_map.shape[2], teacher_map.shape[2]),
    )
    student, teacher = (
        _pool_axis(_pool_axis(maps, 1, size[0]), 2, size[1]) for maps in (student_map, teacher_map)
    )
    return student, teacher


def _pool_axis(array: Float[Array, "..."], axis: int, wanted: int) -> Float[Array, "..."]:
    length = array.shape[axis]
    if length == wanted:
        return array
    array = jnp.moveaxis(array, axis, -1)
    if length % wanted == 0:
        window = length // wanted
        # Divided before the sum, which could overflow.
        pooled = jnp.sum(array.reshape(*array.shape[:-1], wanted, window) / window, axis=-1)
    else:
        cells = np.arange(wanted)
        starts, ends = cells * length // wanted, -((-(cells + 1) * length) // wanted)
        offsets = np.arange((ends - starts).max())
        inside = offsets < (ends - starts)[:, None]
        # Positions past a short window point at its last input and weigh nothing.
        indices = np.minimum(starts[:, None] + offsets, ends[:, None] - 1)
        weights = inside / inside.sum(axis=1, keepdims=True)
        pooled = jnp.sum(array[..., indices] * weights.astype(array.dtype), axis=-1)
    return jnp.moveaxis(pooled, -1, axis)
