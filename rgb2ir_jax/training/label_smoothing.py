"""Label smoothing: Szegedy et al., "Rethinking the Inception architecture", sec. 7."""

import jax
from jaxtyping import Array, Float, Int

from rgb2ir_jax.distillation.objective import Objective, cross_entropy_loss


def smoothing_term(
    objective: Objective,
    logits: Float[Array, "clip cls"],
    labels: Int[Array, " clip"],
    progress: Float[Array, ""],
    share: float,
) -> Float[Array, ""]:
    """What smoothed labels add to a loss with plain ones; methods see the plain labels.

    Cross-entropy with labels of which a `share` goes to all C classes alike is
    (1 - share) CE + share * mean over classes of -log p. The objective holds the plain CE, times
    the scale of the methods that change it.
    """
    uniform = -jax.nn.log_softmax(logits.astype("float32")).mean()
    term = share * (uniform - cross_entropy_loss(logits, labels))
    for modules in objective.methods.values():
        scale = modules[0].cross_entropy_scale(progress)
        if scale is not None:
            term = scale * term
    return term
