"""Channel correlation-based selective knowledge distillation (CCSKD): Gou et al., 2022.

Follows the released code (gjplab/CCSKD), adapted to any pair of networks and any length of
training; docs/methods.md says where it differs.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from rgb2ir_jax.distillation.base import Method, Terms, Widths, check_unit, paired_stage_maps, weigh
from rgb2ir_jax.distillation.checks import check_choice, check_features, check_not_negative
from rgb2ir_jax.distillation.connectors import Connector, stage_pairs
from rgb2ir_jax.distillation.numerics import as_float
from rgb2ir_jax.distillation.relational import rkd_angle_loss, rkd_distance_loss
from rgb2ir_jax.distillation.soft_target import (
    soft_target_divergences,
    soft_target_loss,
    teacher_is_right,
)
from rgb2ir_jax.models.output import NetworkOutput

PRESETS = ("constant", "official")

# The released training has 200 epochs; its selective term decays by 0.9 every 30 of them.
_EPOCHS, _DECAY_EPOCHS, _DECAY = 200, 30, 0.9
_WITHOUT_CROSS_ENTROPY = 0.3


def channel_distance_loss(
    student_channels: Sequence[Float[Array, "_n _c"]],
    teacher_channels: Sequence[Float[Array, "_n _c"]],
) -> Float[Array, ""]:
    """L_CD: sum over stages of the mean squared difference of pooled channels.

    Args:
        student_channels: for each stage (N, C_i), the student's connected and globally
            average-pooled map.
        teacher_channels: for each stage (N, C_i) of the teacher.

    Raises:
        ValueError: unequal numbers of stages, clips or channels.
    """
    _check_channels(student_channels, teacher_channels)
    losses = [
        jnp.mean(jnp.square(as_float(s) - as_float(t)))
        for s, t in zip(student_channels, teacher_channels, strict=True)
    ]
    return sum(losses[1:], losses[0])


def channel_relation_loss(
    student_channels: Sequence[Float[Array, "_n _c"]],
    teacher_channels: Sequence[Float[Array, "_n _c"]],
) -> Float[Array, ""]:
    """L_RKD: sum over stages of RKD's distance loss plus twice its angle loss, of the same inputs."""
    _check_channels(student_channels, teacher_channels)
    losses = [
        rkd_distance_loss(s, t) + 2.0 * rkd_angle_loss(s, t)
        for s, t in zip(student_channels, teacher_channels, strict=True)
    ]
    return sum(losses[1:], losses[0])


def selective_distillation_loss(
    student_logits: Float[Array, "_clip _cls"],
    teacher_logits: Float[Array, "_clip _cls"],
    labels: Int[Array, " _clip"],
    progress: Float[Array, ""] | float,
) -> Float[Array, ""]:
    """L_SKD: mean over clips of m_i * KL_i at temperature 1.

    m_i = (1[teacher right] + 1) * 0.9^floor(progress * 200 / 30): a clip on which the teacher is
    right counts twice, and all of them less as the training (200 epochs in the paper) goes on.

    Args:
        student_logits: (B, C).
        teacher_logits: (B, C).
        labels: (B,) class indices.
        progress: share of the training that is done, in [0, 1].

    Raises:
        ValueError: as `soft_target_loss`, or not one label a clip.
    """
    divergences = soft_target_divergences(student_logits, teacher_logits, 1.0)
    right = teacher_is_right(teacher_logits, labels).astype(divergences.dtype)
    decay = _DECAY ** jnp.floor(jnp.asarray(progress, jnp.float32) * _EPOCHS / _DECAY_EPOCHS)
    return jnp.mean((right + 1.0) * divergences) * decay.astype(divergences.dtype)


def _check_channels(student: Sequence[Array], teacher: Sequence[Array]) -> None:
    if len(student) != len(teacher) or len(student) == 0:
        raise ValueError(
            f"found {len(student)} student stages and {len(teacher)} teacher stages; expected equally "
            "many and at least one"
        )
    for s, t in zip(student, teacher, strict=True):
        check_features(s, t)
        if s.shape != t.shape:
            raise ValueError(
                f"a stage has {s.shape} student and {t.shape} teacher channels; expected the "
                "student's after a connector to the teacher's channels"
            )


class CCSKD(Method):
    """CCSKD on all stages and the consensus logits.

    Each student stage passes a 1x1 convolution, BatchNorm and a ReLU to the teacher's channels.
    Terms: `loss`, and before their weights `channel_distance`, `channel_relation`, `soft_target` and
    `selective`.

    Args:
        distance_weight: of L_CD.
        relation_weight: of L_RKD.
        soft_target_weight: of L_KD, soft targets at temperature 1.
        selective_weight: of L_SKD.
        preset: "constant" leaves the cross-entropy alone, "official" turns it off for the first 30%
            of the training, as the released schedule does.
        unit: "clip" or "frame", of the stages' terms.
        widths: the channels of both networks' stages.
        rngs: for the connectors' initial weights.
    """

    connects = True

    def __init__(
        self,
        *,
        distance_weight: float = 6.0,
        relation_weight: float = 6.0,
        soft_target_weight: float = 0.1,
        selective_weight: float = 0.1,
        preset: str = "constant",
        unit: str = "clip",
        widths: Widths,
        rngs: nnx.Rngs,
    ):
        check_not_negative(
            distance_weight=distance_weight,
            relation_weight=relation_weight,
            soft_target_weight=soft_target_weight,
            selective_weight=selective_weight,
        )
        check_choice("preset", preset, PRESETS)
        check_unit(unit)
        self.preset = preset
        self.distance_weight = distance_weight
        self.relation_weight = relation_weight
        self.soft_target_weight = soft_target_weight
        self.selective_weight = selective_weight
        self.unit = unit
        self.connectors = nnx.List([Connector(s, t, rngs=rngs) for s, t in stage_pairs(widths)])

    def __call__(
        self, student: NetworkOutput, teacher: NetworkOutput, labels: Array, progress: Array
    ) -> Terms:
        """See `Method`."""
        student_maps, teacher_maps = paired_stage_maps(student, teacher, self.unit)
        connected = [
            jnp.mean(nnx.relu(connect(m)), axis=(1, 2))
            for connect, m in zip(self.connectors, student_maps, strict=True)
        ]
        pooled = [jnp.mean(m, axis=(1, 2)) for m in teacher_maps]
        z, guide = student.logits, teacher.logits
        return weigh(
            {
                "channel_distance": (
                    self.distance_weight,
                    lambda: channel_distance_loss(connected, pooled),
                ),
                "channel_relation": (
                    self.relation_weight,
                    lambda: channel_relation_loss(connected, pooled),
                ),
                "soft_target": (
                    self.soft_target_weight,
                    lambda: soft_target_loss(z, guide, temperature=1.0),
                ),
                "selective": (
                    self.selective_weight,
                    lambda: selective_distillation_loss(z, guide, labels, progress),
                ),
            }
        )

    def cross_entropy_scale(self, progress: Array) -> Array | None:
        """See `Method`."""
        if self.preset == "constant":
            return None
        return jnp.where(progress < _WITHOUT_CROSS_ENTROPY, 0.0, 1.0)
