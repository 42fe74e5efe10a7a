"""The norm of all gradients together, and clipping by it."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from rgb2ir_jax.models.normalization import channel_sum


def global_norm(gradients: Any) -> Float[Array, ""]:
    """The root of the sum of the squares of all values, in at least float32; of no values, 0.

    As `optax.tree.norm` of float32 arrays, but that a sum goes by way of the last axis: XLA for CPU
    takes several times as long for a sum to a single number (docs/performance.md).
    """
    return jnp.sqrt(sum(map(_sum_of_squares, jax.tree.leaves(gradients)), jnp.zeros(())))


def clip_by_global_norm(most: float) -> optax.GradientTransformation:
    """`optax.clip_by_global_norm` with the norm of this module.

    A step that reports the norm of what it clips has the same sums in it twice, and XLA keeps one.
    """

    def clipped(gradients: Any, params: Any) -> Any:
        del params
        norm = global_norm(gradients)
        return jax.tree.map(
            lambda x: jnp.where(norm < most, x, x / norm.astype(x.dtype) * most), gradients
        )

    return optax.stateless(clipped)


# Arrays of one shape share what is jitted: tracing and lowering are half of a warm start.
@jax.jit
def _sum_of_squares(x: Array) -> Array:
    squares = jnp.square(x.astype(jnp.promote_types(x.dtype, jnp.float32)))
    return (channel_sum(squares) if x.ndim > 1 and x.size else squares).sum()
