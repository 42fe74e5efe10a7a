"""Decoupled knowledge distillation (DKD): Zhao et al., CVPR 2022; Eq. 7-9 of the RGB-to-infrared paper.

The divergence between teacher and student splits into one of the target class against all others
(TCKD) and one among the other classes (NCKD), which are then weighted independently of each other.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rgb2ir_jax.distillation.base import Method, Terms
from rgb2ir_jax.distillation.checks import (
    check_labels,
    check_logits,
    check_not_negative,
    check_positive,
)
from rgb2ir_jax.distillation.numerics import centred_logits
from rgb2ir_jax.models.output import NetworkOutput


def dkd_terms(
    student_logits: Float[Array, "_clip _cls"],
    teacher_logits: Float[Array, "_clip _cls"],
    labels: Int[Array, " _clip"],
    *,
    temperature: float = 1.0,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Target-class and non-target-class divergence, each times temperature^2, averaged over clips.

    With p = softmax(logits / temperature) and y the label: TCKD = KL([p_y, 1-p_y]^T || [p_y,
    1-p_y]^S) and NCKD = KL between the softmaxes over the C-1 other classes (0 for two classes).
    Computed from log-sigmoids and masked log-softmaxes, so that it is exact for logits of any size;
    the common trick of subtracting 1000 from the target's logit is not.

    Args:
        student_logits: (B, C) logits of any float dtype; computed in float32 (float64 is kept).
        teacher_logits: (B, C).
        labels: (B,) class indices in [0, C).
        temperature: softmax temperature, positive.

    Returns:
        (tckd, nckd), two scalars.

    Raises:
        ValueError: shapes that do not match, fewer than two classes, or a temperature that is not
            positive.
    """
    check_logits(student_logits, teacher_logits)
    check_labels(labels, student_logits)
    check_positive("temperature", temperature)
    student, teacher = (centred_logits(z, temperature) for z in (student_logits, teacher_logits))
    is_target = jnp.arange(student.shape[1]) == labels[:, None]
    student_margin, student_others = _decouple(student, is_target)
    teacher_margin, teacher_others = _decouple(teacher, is_target)

    # log p_y = log_sigmoid(margin) and log(1 - p_y) = log_sigmoid(-margin), margin = z_y -
    # logsumexp(others).
    tckd = sum(
        jax.nn.sigmoid(sign * teacher_margin)
        * (jax.nn.log_sigmoid(sign * teacher_margin) - jax.nn.log_sigmoid(sign * student_margin))
        for sign in (1.0, -1.0)
    )
    nckd = jnp.sum(jnp.exp(teacher_others) * ~is_target * (teacher_others - student_others), axis=1)
    scale = temperature**2
    return scale * jnp.mean(tckd), scale * jnp.mean(nckd)


def dkd_loss(
    student_logits: Float[Array, "_clip _cls"],
    teacher_logits: Float[Array, "_clip _cls"],
    labels: Int[Array, " _clip"],
    *,
    target_weight: float = 0.7,
    nontarget_weight: float = 0.35,
    temperature: float = 1.0,
) -> Float[Array, ""]:
    """target_weight * TCKD + nontarget_weight * NCKD (Eq. 7; the paper's weights are the defaults).

    A weight of 0 switches its term off exactly. See `dkd_terms` for shapes and errors.
    """
    tckd, nckd = dkd_terms(student_logits, teacher_logits, labels, temperature=temperature)
    return target_weight * tckd + nontarget_weight * nckd


def _decouple(logits: Array, is_target: Array) -> tuple[Array, Array]:
    """The target's margin (B,) over all other classes, and the others' log-softmax (B, C), 0 at the target."""
    others = jax.nn.logsumexp(jnp.where(is_target, -jnp.inf, logits), axis=1, keepdims=True)
    target = jnp.sum(jnp.where(is_target, logits, 0.0), axis=1)
    return target - others[:, 0], jnp.where(is_target, 0.0, logits - others)


class DKD(Method):
    """DKD on the clips' consensus logits.

    Terms: `loss`, and its parts `tckd` and `nckd` before their weights.
    """

    uses = "logits"

    def __init__(self, *, target_weight: float, nontarget_weight: float, temperature: float):
        check_not_negative(target_weight=target_weight, nontarget_weight=nontarget_weight)
        check_positive("temperature", temperature)
        self.target_weight = target_weight
        self.nontarget_weight = nontarget_weight
        self.temperature = temperature

    def __call__(
        self, student: NetworkOutput, teacher: NetworkOutput, labels: Array, progress: Array
    ) -> Terms:
        """See `Method`."""
        del progress
        tckd, nckd = dkd_terms(student.logits, teacher.logits, labels, temperature=self.temperature)
        loss = self.target_weight * tckd + self.nontarget_weight * nckd
        return {"loss": loss, "tckd": tckd, "nckd": nckd}
