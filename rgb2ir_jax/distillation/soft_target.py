"""Soft targets (ST): Hinton et al., "Distilling the knowledge in a neural network", arXiv:1503.02531."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rgb2ir_jax.distillation.base import Method, Terms
from rgb2ir_jax.distillation.checks import (
    check_labels,
    check_logits,
    check_not_negative,
    check_positive,
)
from rgb2ir_jax.distillation.numerics import as_float, divergence, log_softmax
from rgb2ir_jax.models.output import NetworkOutput


def soft_target_loss(
    student_logits: Float[Array, "_clip _cls"],
    teacher_logits: Float[Array, "_clip _cls"],
    *,
    temperature: float = 4.0,
) -> Float[Array, ""]:
    """temperature^2 * KL(softmax(z^T / temperature) || softmax(z^S / temperature)), mean over clips.

    The square keeps the gradient's size as the temperature changes (sec. 2 of the paper). Agrees
    with the KD loss of megvii-research/mdistiller.

    Args:
        student_logits: (B, C) logits of any float dtype; computed in float32 (float64 is kept).
        teacher_logits: (B, C).
        temperature: softmax temperature, positive.

    Returns:
        A scalar, 0 when both networks predict the same.

    Raises:
        ValueError: shapes that do not match, fewer than two classes, or a temperature that is not
            positive.
    """
    return jnp.mean(soft_target_divergences(student_logits, teacher_logits, temperature))


def soft_target_divergences(
    student_logits: Float[Array, "_clip _cls"],
    teacher_logits: Float[Array, "_clip _cls"],
    temperature: float,
) -> Float[Array, " _clip"]:
    """The summands of `soft_target_loss`, one a clip: for methods that weight clips unequally."""
    check_logits(student_logits, teacher_logits)
    check_positive("temperature", temperature)
    student, teacher = (log_softmax(z, temperature) for z in (student_logits, teacher_logits))
    return temperature**2 * divergence(teacher, student)


def teacher_is_right(
    teacher_logits: Float[Array, "_clip _cls"], labels: Int[Array, " _clip"]
) -> Bool[Array, " _clip"]:
    """For each clip, whether the teacher's largest logit is the label's.

    Raises:
        ValueError: not one label a clip.
    """
    check_labels(labels, teacher_logits)
    return jnp.argmax(as_float(teacher_logits), axis=1) == labels


class SoftTarget(Method):
    """Soft targets on the clips' consensus logits. Terms: `loss` alone.

    Args:
        temperature: of both softmaxes.
        cross_entropy: factor on the run's cross-entropy. 1 leaves it alone; RepDistiller's setting
            is 0.1 beside a weight of 0.9.
    """

    uses = "logits"

    def __init__(self, *, temperature: float = 4.0, cross_entropy: float = 1.0):
        check_positive("temperature", temperature)
        check_not_negative(cross_entropy=cross_entropy)
        self.temperature = temperature
        self.cross_entropy = cross_entropy

    def __call__(
        self, student: NetworkOutput, teacher: NetworkOutput, labels: Array, progress: Array
    ) -> Terms:
        """See `Method`."""
        del labels, progress
        loss = soft_target_loss(student.logits, teacher.logits, temperature=self.temperature)
        return {"loss": loss}

    def cross_entropy_scale(self, progress: Array) -> float | None:
        """See `Method`."""
        del progress
        return None if self.cross_entropy == 1.0 else self.cross_entropy
