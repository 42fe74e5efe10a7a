"""Several teachers: one output that stands for the probabilities of all of them."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rgb2ir_jax.distillation.numerics import log_softmax
from rgb2ir_jax.models.output import NetworkOutput


def ensemble_logits(
    logits: Sequence[Float[Array, "_clip _cls"]], temperature: float
) -> Float[Array, "_clip _cls"]:
    """Logits z whose softmax(z / temperature) is the mean of softmax(z_k / temperature) over k.

    That is temperature * log(mean of the softmaxes). It depends on the temperature: probabilities
    are averaged as soft as the method that reads them will see them.

    Args:
        logits: (B, C) of each teacher.
        temperature: of the method.

    Raises:
        ValueError: teachers that do not tell the same number of classes apart.
    """
    if len({z.shape for z in logits}) != 1:
        raise ValueError(
            f"teachers have logits of shapes {[tuple(z.shape) for z in logits]}; expected one shape"
        )
    logs = jnp.stack([log_softmax(z, temperature) for z in logits])
    return temperature * (jax.nn.logsumexp(logs, axis=0) - math.log(len(logits)))


def pool_logits(teachers: Sequence[NetworkOutput], temperature: float) -> list[NetworkOutput]:
    """Each teacher's own maps and features, with the logits of all of them together.

    One teacher is returned as it is.
    """
    if len(teachers) == 1:
        return list(teachers)
    logits = ensemble_logits([teacher.logits for teacher in teachers], temperature)
    return [teacher.replace(logits=logits) for teacher in teachers]  # type: ignore[attr-defined]
