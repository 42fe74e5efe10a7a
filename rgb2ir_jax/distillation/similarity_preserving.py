"""Similarity-preserving distillation (SP): Tung and Mori, ICCV 2019, arXiv:1907.09682, Eq. 1-4."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rgb2ir_jax.distillation.base import Method, Terms, check_unit, paired_stage_maps
from rgb2ir_jax.distillation.checks import check_choice, check_maps
from rgb2ir_jax.distillation.numerics import as_float, normalised_gram
from rgb2ir_jax.models.output import NetworkOutput

PRESETS = ("zoo", "crd")


def similarity_preserving_loss(
    student_map: Float[Array, "_n _h _w _c"], teacher_map: Float[Array, "_n _h _w _c"]
) -> Float[Array, ""]:
    """Squared Frobenius distance of the two networks' clip similarities, over N^2.

    G = X X^T of the flattened maps X (N, H*W*C), its rows then divided by their L2 norms. Agrees
    with HobbitLong/RepDistiller in value and gradient.

    Args:
        student_map: (N, H, W, C), a stage's output for N clips (or frames).
        teacher_map: the same N; size and width are free.

    Returns:
        A scalar, invariant to a rotation of either network's flattened maps. 0 for one clip, unless
        one of the networks' maps is all zero.

    Raises:
        ValueError: unequal numbers of clips, or maps that are not (N, H, W, C).
    """
    check_maps([student_map], [teacher_map])
    student, teacher = similarity(student_map), similarity(teacher_map)
    return jnp.mean(jnp.square(student - teacher))


def similarity(maps: Float[Array, "n _h _w _c"]) -> Float[Array, "n n"]:
    """The similarities of N clips by one stage, with rows of norm 1 (Eq. 1-3)."""
    return normalised_gram(as_float(maps).reshape(len(maps), -1))


class SimilarityPreserving(Method):
    """Similarity-preserving distillation. Terms: `loss` alone.

    Args:
        preset: "zoo" averages over all stages (Knowledge-Distillation-Zoo), "crd" takes the last one
            (RepDistiller).
        unit: "clip" or "frame".
    """

    def __init__(self, *, preset: str = "zoo", unit: str = "clip"):
        check_choice("preset", preset, PRESETS)
        check_unit(unit)
        self.preset = preset
        self.unit = unit

    def __call__(
        self, student: NetworkOutput, teacher: NetworkOutput, labels: Array, progress: Array
    ) -> Terms:
        """See `Method`."""
        del labels, progress
        maps = list(zip(*paired_stage_maps(student, teacher, self.unit), strict=True))
        if self.preset == "crd":
            maps = maps[-1:]
        losses = [similarity_preserving_loss(s, t) for s, t in maps]
        return {"loss": jnp.mean(jnp.stack(losses))}
