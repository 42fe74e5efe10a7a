"""Values that XLA for CPU computes once and keeps, instead of computing them anew for each reader."""

import jax
from jaxtyping import Array


def materialized(*arrays: Array) -> tuple[Array, ...]:
    """The same values, read from memory by whatever follows.

    XLA's CPU backend joins what makes a map (BatchNorm, shortcut, ReLU) to every reader of it, and so
    computes it several times, sometimes in an order that suits no cache (docs/performance.md). It
    drops optimisation barriers before it joins. What stays is the border of a condition whose outcome
    a barrier hides until XLA has done with simplifying conditions; nothing is copied at it. Under a
    condition an array must not come out as it went in, or the condition goes: an axis is added.
    """

    def held(*arrays: Array) -> tuple[Array, ...]:
        return tuple(array[None] for array in arrays)

    always = jax.lax.optimization_barrier(True)
    return tuple(array[0] for array in jax.lax.cond(always, held, held, *arrays))
