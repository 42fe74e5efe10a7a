"""The objective within a step: over the whole batch, or over equal parts of it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from rgb2ir_jax.distillation.base import Terms
from rgb2ir_jax.models.output import NetworkOutput
from rgb2ir_jax.training.label_smoothing import smoothing_term
from rgb2ir_jax.training.state import Variables, merge


def compare(
    graph: nnx.GraphDef,
    variables: Variables,
    output: NetworkOutput,
    guidance: Sequence[NetworkOutput],
    labels: Int[Array, " clip"],
    progress: Float[Array, ""],
    *,
    label_smoothing: float = 0.0,
    parts: int = 1,
) -> tuple[Float[Array, ""], Terms, nnx.State]:
    """Computes the loss, its terms and the connectors' new statistics.

    Args:
        graph: of the objective.
        variables: of the objective.
        output: of the network that learns.
        guidance: of each teacher.
        labels: of the clips.
        progress: share of the training that is done.
        label_smoothing: share of the label that goes to all classes alike.
        parts: equal parts of the batch, one after the other, that are compared each by itself; all
            that is returned is then the mean over them. A batch that lies on as many devices
            is compared where it lies.
    """
    if parts > 1:
        split = jax.tree.map(
            lambda x: x.reshape(parts, -1, *x.shape[1:]), (output, list(guidance), labels)
        )
        each = jax.vmap(
            lambda own, others, names: compare(
                graph, variables, own, others, names, progress, label_smoothing=label_smoothing
            )
        )(*split)
        return jax.tree.map(lambda x: jnp.mean(x, axis=0), each)
    objective = merge(graph, variables)
    loss, terms = objective(output, guidance, labels, progress)
    if label_smoothing:
        term = smoothing_term(objective, output.logits, labels, progress, label_smoothing)
        loss = loss + term
        terms |= {"loss": loss, "label_smoothing": term}
    return loss, terms, nnx.state(objective, nnx.BatchStat)
