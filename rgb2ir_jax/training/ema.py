"""The moving average of the network that learns: Polyak & Juditsky, 1992; decay as TensorFlow's."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rgb2ir_jax.training.state import Variables


def average_decay(decay: float, step: Int[Array, ""]) -> Float[Array, ""]:
    """How much of the average stays at an update: at first less, so that the random start is forgotten.

    min(decay, (1 + step) / (10 + step)), the rule of `tf.train.ExponentialMovingAverage`.
    """
    done = step.astype(jnp.float32)
    return jnp.minimum(decay, (1 + done) / (10 + done))


def update_average(average: Variables, network: Variables, decay: Float[Array, ""]) -> Variables:
    """Returns decay * average + (1 - decay) * network, of parameters and BatchNorm statistics."""
    return jax.tree.map(
        lambda old, new: (decay * old + (1 - decay) * new).astype(old.dtype), average, network
    )
