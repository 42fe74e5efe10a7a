"""Keys that are counted in Python are Flax's, bit for bit."""

import jax
import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models import ResNet
from rgb2ir_jax.models.keys import KeysInTurn


def taken(rngs):
    return [jax.random.key_data(rngs.params()) for _ in range(4)]


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_keys_are_flaxs_in_the_same_order(seed):
    key = jax.random.key(seed)
    expected = np.stack(taken(nnx.Rngs(params=key)))
    assert len(np.unique(expected, axis=0)) == 4
    np.testing.assert_array_equal(np.stack(taken(KeysInTurn(key))), expected)
    # Each of its own, in a compiled program too, and again from the start in the next one.
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(jax.jit(lambda: taken(KeysInTurn(key)))()), expected)


def test_a_networks_weights_are_those_of_flaxs_keys():
    def weights(rngs):
        return nnx.state(ResNet(10, 3, width=2, rngs=rngs))

    found, expected = (
        jax.jit(lambda kind=kind: weights(kind(jax.random.key(5))))()
        for kind in (KeysInTurn, lambda key: nnx.Rngs(params=key))
    )
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)
