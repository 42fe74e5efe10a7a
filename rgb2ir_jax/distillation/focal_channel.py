"""Focal channel knowledge distillation: Gan et al., IEEE Access 2023.

Only the paper's abstract was at hand: correlations and distributions of the teacher's key channels
are transferred, those of the others ignored. The formulas are our own reading of it (the
distributions' follow channel-wise distillation, Shu et al., ICCV 2021), see docs/methods.md.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from rgb2ir_jax.distillation.base import Method, Terms, Widths, check_unit, paired_stage_maps, weigh
from rgb2ir_jax.distillation.checks import (
    check_maps,
    check_not_negative,
    check_positive,
    check_same_channels,
)
from rgb2ir_jax.distillation.connectors import Connector, stage_pairs
from rgb2ir_jax.distillation.numerics import (
    as_float,
    divergence,
    log_softmax,
    normalised_gram,
    pool_to_smaller,
    tame_each,
)
from rgb2ir_jax.distillation.soft_target import soft_target_loss
from rgb2ir_jax.models.output import NetworkOutput


def focal_channels(teacher_map: Float[Array, "n _h _w c"]) -> Int[Array, "n k"]:
    """For each clip the indices of the K = C // 2 channels (at least one) of largest pooled activation.

    Args:
        teacher_map: (N, H, W, C).

    Returns:
        (N, K), the largest first; of equal channels, the first.

    Raises:
        ValueError: the map is not a non-empty (N, H, W, C) array.
    """
    check_maps([teacher_map], [teacher_map])
    maps = as_float(teacher_map)
    # Scaled per clip, so that the sum over positions stays finite.
    pooled = jnp.mean(maps / tame_each(maps), axis=(1, 2))
    return jax.lax.top_k(jax.lax.stop_gradient(pooled), max(pooled.shape[1] // 2, 1))[1]


def focal_correlation_loss(
    student_map: Float[Array, "_n _h _w _c"], teacher_map: Float[Array, "_n _h _w _c"]
) -> Float[Array, ""]:
    """L_cor: squared difference of the networks' K x K correlations between focal channels, / (K N).

    Per clip X (K, H*W) holds the focal channels, and X X^T is compared after its rows were divided
    by their L2 norms.

    Args:
        student_map: (N, H, W, C), connected to the teacher's channels.
        teacher_map: (N, H', W', C). The larger map is brought to the smaller's size by adaptive
            average pooling.

    Raises:
        ValueError: unequal numbers of clips or channels, or maps that are not (N, H, W, C).
    """
    student, teacher = _focal_rows(student_map, teacher_map)
    difference = normalised_gram(student) - normalised_gram(teacher)
    return jnp.sum(jnp.square(difference)) / (student.shape[0] * student.shape[1])


def focal_distribution_loss(
    student_map: Float[Array, "_n _h _w _c"],
    teacher_map: Float[Array, "_n _h _w _c"],
    *,
    temperature: float = 4.0,
) -> Float[Array, ""]:
    """L_dis: temperature^2 times the KL between spatial softmaxes, mean over focal channels and clips.

    For shapes and errors see `focal_correlation_loss`.
    """
    check_positive("temperature", temperature)
    rows = _focal_rows(student_map, teacher_map)
    student, teacher = (log_softmax(r, temperature) for r in rows)
    return temperature**2 * jnp.mean(divergence(teacher, student))


def _focal_rows(student_map: Array, teacher_map: Array) -> tuple[Array, Array]:
    """The focal channels of both networks as (N, K, positions)."""
    check_same_channels(student_map, teacher_map)
    channels = focal_channels(teacher_map)[:, None, :]
    student, teacher = (
        jnp.take_along_axis(m.reshape(m.shape[0], -1, m.shape[-1]), channels, axis=2).swapaxes(1, 2)
        for m in pool_to_smaller(as_float(student_map), as_float(teacher_map))
    )
    return student, teacher


class FocalChannel(Method):
    """Focal channel distillation on the last stage and the consensus logits.

    The student's map passes a 1x1 convolution and BatchNorm to the teacher's channels. Terms:
    `loss`, and before their weights `soft_target`, `correlation` and `distribution`.

    Args:
        soft_target_weight: of the soft targets.
        correlation_weight: of L_cor.
        distribution_weight: of L_dis.
        temperature: of the soft targets and of L_dis.
        unit: "clip" or "frame", of L_cor and L_dis.
        widths: the channels of both networks' stages.
        rngs: for the connector's initial weights.
    """

    connects = True

    def __init__(
        self,
        *,
        soft_target_weight: float = 1.0,
        correlation_weight: float = 1.0,
        distribution_weight: float = 1.0,
        temperature: float = 4.0,
        unit: str = "clip",
        widths: Widths,
        rngs: nnx.Rngs,
    ):
        check_not_negative(
            soft_target_weight=soft_target_weight,
            correlation_weight=correlation_weight,
            distribution_weight=distribution_weight,
        )
        check_positive("temperature", temperature)
        check_unit(unit)
        self.temperature = temperature
        self.soft_target_weight = soft_target_weight
        self.correlation_weight = correlation_weight
        self.distribution_weight = distribution_weight
        self.unit = unit
        self.connector = Connector(*stage_pairs(widths)[-1], rngs=rngs)

    def __call__(
        self, student: NetworkOutput, teacher: NetworkOutput, labels: Array, progress: Array
    ) -> Terms:
        """See `Method`."""
        del labels, progress
        (*_, student_map), (*_, teacher_map) = paired_stage_maps(student, teacher, self.unit)
        student_map = self.connector(student_map)
        tau = self.temperature
        return weigh(
            {
                "soft_target": (
                    self.soft_target_weight,
                    lambda: soft_target_loss(student.logits, teacher.logits, temperature=tau),
                ),
                "correlation": (
                    self.correlation_weight,
                    lambda: focal_correlation_loss(student_map, teacher_map),
                ),
                "distribution": (
                    self.distribution_weight,
                    lambda: focal_distribution_loss(student_map, teacher_map, temperature=tau),
                ),
            }
        )
