"""Correlation congruence (CC): Peng et al., ICCV 2019, arXiv:1904.01802, Eq. 6-8."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rgb2ir_jax.distillation.base import Method, Terms, check_unit, paired_features
from rgb2ir_jax.distillation.checks import check_features, check_positive, check_whole
from rgb2ir_jax.distillation.numerics import as_float, normalise_rows, tame_each
from rgb2ir_jax.models.output import NetworkOutput


def correlation_congruence_loss(
    student_features: Float[Array, "_n _d"],
    teacher_features: Float[Array, "_n _d"],
    *,
    gamma: float = 0.4,
    order: int = 2,
) -> Float[Array, ""]:
    """Mean squared difference of the networks' correlations between clips, by a Gaussian kernel.

    For features x of unit norm, exp(-gamma |x - x'|^2) = exp(-2 gamma) exp(2 gamma x.x'), expanded
    into its Taylor series: K = sum over p = 0..order of exp(-2 gamma) (2 gamma)^p / p! (x.x')^p. The
    loss is the mean over N^2 of (K^S - K^T)^2. Three public versions disagree; this is the one that
    needs no trained embedding of the teacher, and agrees with YangLiu9208/SAKDN (as
    Knowledge-Distillation-Zoo) in value and gradient.

    Args:
        student_features: (N, D) pooled features of N clips (or frames).
        teacher_features: the same N, any D.
        gamma: of the kernel, positive.
        order: of the series, 0 or more.

    Returns:
        A scalar.

    Raises:
        ValueError: unequal numbers of clips, features that are not (N, D), or a gamma or order out
            of range.
    """
    check_features(student_features, teacher_features)
    _check_options(gamma, order)
    student, teacher = (_correlation(x, gamma, order) for x in (student_features, teacher_features))
    return jnp.mean(jnp.square(student - teacher))


def _check_options(gamma: float, order: int) -> None:
    check_positive("gamma", gamma)
    check_whole("order", order, 0)


def _correlation(features: Array, gamma: float, order: int) -> Array:
    features = as_float(features)
    rows = normalise_rows(features / tame_each(features))
    cosines = jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)
    kernel = jnp.zeros_like(cosines)
    for p in range(int(order) + 1):
        kernel += math.exp(-2 * gamma) * (2 * gamma) ** p / math.factorial(p) * cosines**p
    return kernel


class CorrelationCongruence(Method):
    """Correlation congruence of the pooled features. Terms: `loss` alone.

    Args:
        gamma: of the kernel.
        order: of its series.
        unit: "clip" or "frame".
    """

    def __init__(self, *, gamma: float = 0.4, order: int = 2, unit: str = "clip"):
        _check_options(gamma, order)
        check_unit(unit)
        self.gamma = gamma
        self.order = order
        self.unit = unit

    def __call__(
        self, student: NetworkOutput, teacher: NetworkOutput, labels: Array, progress: Array
    ) -> Terms:
        """See `Method`."""
        del labels, progress
        features = paired_features(student, teacher, self.unit)
        return {"loss": correlation_congruence_loss(*features, gamma=self.gamma, order=self.order)}
