"""Random keys for fresh weights, quick to trace."""

from typing import Any

import jax
from flax import nnx
from jaxtyping import PRNGKeyArray


class KeysInTurn(nnx.Rngs):
    """The keys that ``nnx.Rngs(params=key)`` gives, the same bits in the same order.

    Flax counts the keys in an array of its own. In a traced program that is one more operation for
    each key, and at each the whole program so far is searched for where the count came from: two
    thirds of what it takes to trace a ResNet's construction. Here the count is a Python number, so
    keys must be taken where they are made: all inside one traced function, or all outside.

    Args:
        key: that all others follow from.
    """

    def __init__(self, key: PRNGKeyArray) -> None:
        super().__init__()
        self.params = _Stream(key, tag="params")


class _Stream(nnx.RngStream):
    def __init__(self, *arguments: Any, **fields: Any) -> None:
        super().__init__(*arguments, **fields)
        self.taken = 0

    def __call__(self) -> jax.Array:
        key = jax.random.fold_in(self.key[...], self.taken)
        self.taken += 1
        return key
