"""Relational knowledge distillation (RKD): Park et al., CVPR 2019, arXiv:1904.05068, Eq. 4-9.

Agrees with the authors' code (lenscloth/RKD) in value and gradient.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rgb2ir_jax.distillation.base import Method, Terms, check_unit, paired_features, weigh
from rgb2ir_jax.distillation.checks import check_features, check_not_negative
from rgb2ir_jax.distillation.numerics import NORM_FLOOR, as_float, tame
from rgb2ir_jax.models.output import NetworkOutput

# The authors' smallest distance between two different clips, and its square's smallest value in float32.
_DISTANCE_FLOOR = 1e-6
_SQUARE_FLOOR = 1e-36


def rkd_distance_loss(
    student_features: Float[Array, "_n _d"], teacher_features: Float[Array, "_n _d"]
) -> Float[Array, ""]:
    """Smooth-L1 difference of the networks' pairwise distances, averaged over N^2 (Eq. 4-6).

    Distances are Euclidean, and divided by their mean over the pairs of different clips. As in the
    authors' code two different clips are never closer than 1e-6, so duplicates count in that mean,
    without gradient of their own.

    Args:
        student_features: (N, D) pooled features of N clips (or frames).
        teacher_features: the same N, any D.

    Returns:
        A scalar, invariant to rotation, translation and positive scaling of either network's
        features. 0 for one clip.

    Raises:
        ValueError: unequal numbers of clips, or features that are not (N, D).
    """
    check_features(student_features, teacher_features)
    student, teacher = (_distances(x) for x in (student_features, teacher_features))
    return jnp.mean(_smooth_l1(student - teacher))


def rkd_angle_loss(
    student_features: Float[Array, "_n _d"], teacher_features: Float[Array, "_n _d"]
) -> Float[Array, ""]:
    """Smooth-L1 difference of the networks' angles among triples, averaged over N^3 (Eq. 7-9).

    The angle at clip i is the cosine of (x_j - x_i, x_k - x_i), 0 where a side has no length. Memory
    grows with N^3 + N^2 D. For shapes, invariances and errors see `rkd_distance_loss`.
    """
    check_features(student_features, teacher_features)
    student, teacher = (_cosines(x) for x in (student_features, teacher_features))
    return jnp.mean(_smooth_l1(student - teacher))


def rkd_loss(
    student_features: Float[Array, "_n _d"],
    teacher_features: Float[Array, "_n _d"],
    *,
    distance_weight: float = 25.0,
    angle_weight: float = 50.0,
) -> Float[Array, ""]:
    """distance_weight * `rkd_distance_loss` + angle_weight * `rkd_angle_loss` (Eq. 10).

    The defaults are the authors' for their classification experiments. A weight of 0 switches its
    term off exactly, without computing it.
    """
    check_features(student_features, teacher_features)
    check_not_negative(distance_weight=distance_weight, angle_weight=angle_weight)
    loss = jnp.zeros((), jnp.result_type(as_float(student_features), as_float(teacher_features)))
    if distance_weight:
        loss += distance_weight * rkd_distance_loss(student_features, teacher_features)
    if angle_weight:
        loss += angle_weight * rkd_angle_loss(student_features, teacher_features)
    return loss


class _Sides(NamedTuple):
    """x_j - x_i of all pairs of clips, divided by `scale`.

    Attributes:
        sides: (i, j, D).
        squares: (i, j), their squared lengths.
        apart: (i, j), whether the two clips differ by more than rounding.
        scale: a scalar that keeps squares finite.
    """

    sides: Array
    squares: Array
    apart: Array
    scale: Array


def _sides(features: Array) -> _Sides:
    features = as_float(features)
    scale = tame(features)
    features = features / scale
    # Through inner products, the distances of clips that are close to each other would be lost.
    sides = features[None, :, :] - features[:, None, :]
    squares = jnp.sum(jnp.square(sides), axis=-1)
    # Where x_j and x_i are equal the compiler may leave the rounding of their last operation (it
    # fuses that with the subtraction), which has no direction and must not be given length 1.
    lengths = jnp.sum(jnp.square(features), axis=-1)
    noise = (2.0 * float(jnp.finfo(features.dtype).eps)) ** 2
    apart = squares > noise * jnp.maximum(lengths[:, None], lengths[None, :])
    return _Sides(sides, squares, apart & ~np.eye(len(features), dtype=bool), scale)


def _distances(features: Array) -> Array:
    _, squares, apart, scale = _sides(features)
    count = len(squares)
    if count == 1:
        return jnp.zeros_like(squares)
    floor = jnp.maximum(jnp.square(_DISTANCE_FLOOR / scale), _SQUARE_FLOOR)
    apart &= squares > floor
    # The root has no gradient at 0, hence the second `where`.
    distances = jnp.where(apart, jnp.sqrt(jnp.where(apart, squares, 1.0)), jnp.sqrt(floor))
    distances = jnp.where(np.eye(count, dtype=bool), 0.0, distances)
    return distances / (jnp.sum(distances) / (count * (count - 1)))


def _cosines(features: Array) -> Array:
    sides, squares, apart, _ = _sides(features)
    lengths = jnp.sqrt(jnp.maximum(jnp.where(apart, squares, 1.0), NORM_FLOOR**2))
    directions = jnp.where(apart[..., None], sides / lengths[..., None], 0.0)
    return jnp.einsum("ijd,ikd->ijk", directions, directions, precision=jax.lax.Precision.HIGHEST)


def _smooth_l1(difference: Array) -> Array:
    """Huber's loss with its bend at 1 (Eq. 6)."""
    size = jnp.abs(difference)
    return jnp.where(size < 1.0, 0.5 * jnp.square(difference), size - 0.5)


class RKD(Method):
    """Relational distillation of the pooled features.

    Terms: `loss`, and its parts `distance` and `angle` before their weights (those whose weight is
    not 0).

    Args:
        distance_weight: of the distances.
        angle_weight: of the angles.
        unit: "clip" or "frame".
    """

    def __init__(
        self, *, distance_weight: float = 25.0, angle_weight: float = 50.0, unit: str = "clip"
    ):
        check_not_negative(distance_weight=distance_weight, angle_weight=angle_weight)
        check_unit(unit)
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight
        self.unit = unit

    def __call__(
        self, student: NetworkOutput, teacher: NetworkOutput, labels: Array, progress: Array
    ) -> Terms:
        """See `Method`."""
        del labels, progress
        student_features, teacher_features = paired_features(student, teacher, self.unit)
        return weigh(
            {
                "distance": (
                    self.distance_weight,
                    lambda: rkd_distance_loss(student_features, teacher_features),
                ),
                "angle": (
                    self.angle_weight,
                    lambda: rkd_angle_loss(student_features, teacher_features),
                ),
            }
        )
