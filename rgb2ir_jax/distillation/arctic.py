"""ARCTIC: Quan et al., "Attention-based relation matching and activation region constraint", CVIU 2023.

Only the paper's abstract was at hand. It names three parts (relation matching between all feature
layers under attention, consistency of the teacher's most salient region, distillation that favours
right predictions); every formula below is our own reading of it, see docs/methods.md.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from rgb2ir_jax.distillation.attention_transfer import attention_vectors
from rgb2ir_jax.distillation.base import Method, Terms, Widths, check_unit, paired_stage_maps, weigh
from rgb2ir_jax.distillation.checks import check_maps, check_not_negative, check_positive
from rgb2ir_jax.distillation.connectors import Embedding, stage_pairs
from rgb2ir_jax.distillation.numerics import as_float
from rgb2ir_jax.distillation.similarity_preserving import similarity
from rgb2ir_jax.distillation.soft_target import soft_target_divergences, teacher_is_right
from rgb2ir_jax.models.output import NetworkOutput

_EMBEDDING_SIZE = 128


def relation_matching_loss(
    student_maps: Sequence[Float[Array, "_n _h _w _c"]],
    teacher_maps: Sequence[Float[Array, "_n _h _w _c"]],
    attention: Float[Array, "_i _j"],
) -> Float[Array, ""]:
    """ARM: (1/k) * sum over stage pairs of a_ij * ||G_i^S - G_j^T||_F^2 / N.

    G is the N x N clip similarity of a stage with rows of norm 1, as in similarity-preserving
    distillation; a squared row difference is at most 4 whatever N, hence one N in the denominator.

    Args:
        student_maps: k stage outputs, (N, H_i, W_i, C_i) each.
        teacher_maps: k stage outputs with the same N; sizes and widths are free.
        attention: (k, k) weights of student stage i and teacher stage j, rows summing to 1.

    Raises:
        ValueError: unequal numbers of stages or clips, or an attention that is not (k, k).
    """
    check_maps(student_maps, teacher_maps)
    stages = len(student_maps)
    if attention.shape != (stages, stages):
        raise ValueError(
            f"the attention has shape {attention.shape}, expected {(stages, stages)}: a weight for "
            "each pair of stages"
        )
    student, teacher = (
        jnp.stack([similarity(m) for m in maps]) for maps in (student_maps, teacher_maps)
    )
    distances = jnp.sum(jnp.square(student[:, None] - teacher[None, :]), axis=(2, 3))
    return jnp.sum(as_float(attention) * distances) / (stages * student.shape[-1])


def activation_region_loss(
    student_maps: Sequence[Float[Array, "_n _h _w _c"]],
    teacher_maps: Sequence[Float[Array, "_n _h _w _c"]],
    *,
    share: float = 0.3,
) -> Float[Array, ""]:
    """ARC: squared difference of attention maps where the teacher's is largest.

    The attention maps are attention transfer's with power 2. Per clip and stage the ceil(share *
    positions) largest positions of the teacher's are summed (of equal ones, the first); mean over
    clips and stages.

    Args:
        student_maps: k stage outputs, (N, H_i, W_i, C_i) each.
        teacher_maps: k stage outputs with the same N; sizes and widths are free.
        share: of the positions, in (0, 1].

    Raises:
        ValueError: unequal numbers of stages or clips, or a share out of range.
    """
    check_maps(student_maps, teacher_maps)
    _check_share(share)
    losses = []
    for student_map, teacher_map in zip(student_maps, teacher_maps, strict=True):
        student, teacher = attention_vectors(student_map, teacher_map, power=2)
        # Rounded first, or 0.1 of 30 positions would be four.
        count = math.ceil(round(share * student.shape[1], 6))
        _, region = jax.lax.top_k(jax.lax.stop_gradient(teacher), max(count, 1))
        squares = jnp.take_along_axis(jnp.square(student - teacher), region, axis=1)
        losses.append(jnp.mean(jnp.sum(squares, axis=1)))
    return sum(losses[1:], losses[0]) / len(losses)


def right_teacher_loss(
    student_logits: Float[Array, "_clip _cls"],
    teacher_logits: Float[Array, "_clip _cls"],
    labels: Int[Array, " _clip"],
    *,
    temperature: float = 4.0,
) -> Float[Array, ""]:
    """SKD: soft targets of those clips alone on which the teacher is right, averaged over all clips.

    Raises:
        ValueError: as `soft_target_loss`, or not one label a clip.
    """
    divergences = soft_target_divergences(student_logits, teacher_logits, temperature)
    return jnp.mean(jnp.where(teacher_is_right(teacher_logits, labels), divergences, 0.0))


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, expected a number above 0 and not above 1")


class ARCTIC(Method):
    """ARCTIC on all stages and the consensus logits.

    The attention between stages is softmax over j of q_i . k_j / sqrt(128), averaged over the clips;
    q_i and k_j are the pooled maps of student stage i and teacher stage j after a trained two-layer
    embedding each. Terms: `loss`, and before their weights `relation`, `region` and `selective`.

    Args:
        relation_weight: of ARM.
        region_weight: of ARC.
        selective_weight: of SKD.
        share: of a map's positions that ARC compares.
        temperature: of SKD.
        unit: "clip" or "frame", of ARM and ARC.
        widths: the channels of both networks' stages.
        rngs: for the embeddings' initial weights.
    """

    connects = True

    def __init__(
        self,
        *,
        relation_weight: float = 1.0,
        region_weight: float = 1.0,
        selective_weight: float = 0.1,
        share: float = 0.3,
        temperature: float = 4.0,
        unit: str = "clip",
        widths: Widths,
        rngs: nnx.Rngs,
    ):
        check_not_negative(
            relation_weight=relation_weight,
            region_weight=region_weight,
            selective_weight=selective_weight,
        )
        _check_share(share)
        check_positive("temperature", temperature)
        check_unit(unit)
        self.share = share
        self.temperature = temperature
        self.relation_weight = relation_weight
        self.region_weight = region_weight
        self.selective_weight = selective_weight
        self.unit = unit
        pairs = stage_pairs(widths)
        self.queries = nnx.List([Embedding(s, _EMBEDDING_SIZE, rngs=rngs) for s, _ in pairs])
        self.keys = nnx.List([Embedding(t, _EMBEDDING_SIZE, rngs=rngs) for _, t in pairs])

    def attention(
        self,
        student_maps: Sequence[Float[Array, "_n _h _w _c"]],
        teacher_maps: Sequence[Float[Array, "_n _h _w _c"]],
    ) -> Float[Array, "i j"]:
        """The (k, k) attention of student stages (rows) on teacher stages, averaged over clips."""
        query, key = (
            jnp.stack(
                [embed(jnp.mean(m, axis=(1, 2))) for embed, m in zip(embeds, maps, strict=True)]
            )
            for embeds, maps in ((self.queries, student_maps), (self.keys, teacher_maps))
        )
        scores = jnp.einsum("ine,jne->nij", query, key) / math.sqrt(_EMBEDDING_SIZE)
        return jnp.mean(jax.nn.softmax(scores, axis=-1), axis=0)

    def __call__(
        self, student: NetworkOutput, teacher: NetworkOutput, labels: Array, progress: Array
    ) -> Terms:
        """See `Method`."""
        del progress
        student_maps, teacher_maps = paired_stage_maps(student, teacher, self.unit)
        return weigh(
            {
                "relation": (
                    self.relation_weight,
                    lambda: relation_matching_loss(
                        student_maps, teacher_maps, self.attention(student_maps, teacher_maps)
                    ),
                ),
                "region": (
                    self.region_weight,
                    lambda: activation_region_loss(student_maps, teacher_maps, share=self.share),
                ),
                "selective": (
                    self.selective_weight,
                    lambda: right_teacher_loss(
                        student.logits, teacher.logits, labels, temperature=self.temperature
                    ),
                ),
            }
        )
