"""Attention transfer (AT): Zagoruyko and Komodakis, ICLR 2017, arXiv:1612.03928, Eq. 2."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from rgb2ir_jax.distillation.base import Method, Terms, check_unit, paired_stage_maps
from rgb2ir_jax.distillation.checks import check_choice, check_maps, check_whole
from rgb2ir_jax.distillation.numerics import as_float, normalise_rows, pool_to_smaller, tame_each
from rgb2ir_jax.models.output import NetworkOutput

PRESETS = ("zoo", "crd")


def attention_transfer_loss(
    student_maps: Sequence[Float[Array, "_n _h _w _c"]],
    teacher_maps: Sequence[Float[Array, "_n _h _w _c"]],
    *,
    power: int = 2,
) -> Float[Array, ""]:
    """Mean squared difference of the networks' attention maps, averaged over stages.

    Per stage, see `attention_vectors`: q = flatten(mean over channels of F^power) / its L2 norm, then
    the mean over clips and positions of (q^S - q^T)^2. The paper's norm of the difference is not
    squared; the released implementations square and average, and so does this one (it agrees with
    HobbitLong/RepDistiller in value and gradient).

    Args:
        student_maps: k stage outputs after their ReLU, (N, H_i, W_i, C_i) each, N clips (or frames).
        teacher_maps: k stage outputs with the same N. Where sizes differ, the larger map is first
            brought to the smaller's size by adaptive average pooling; widths are free.
        power: of the activation, a whole number of at least 1.

    Returns:
        A scalar, invariant to a positive scale of any clip's map.

    Raises:
        ValueError: unequal numbers of stages or clips, maps that are not (N, H, W, C), or a power
            that is not a whole number of at least 1.
    """
    check_maps(student_maps, teacher_maps)
    check_whole("power", power, 1)
    losses = []
    for student_map, teacher_map in zip(student_maps, teacher_maps, strict=True):
        student, teacher = attention_vectors(student_map, teacher_map, power=power)
        losses.append(jnp.mean(jnp.square(student - teacher)))
    return sum(losses[1:], losses[0]) / len(losses)


def attention_vectors(
    student_map: Float[Array, "n _h _w _c"],
    teacher_map: Float[Array, "n _hh _ww _cc"],
    *,
    power: int,
) -> tuple[Float[Array, "n position"], Float[Array, "n position"]]:
    """Both networks' flat attention maps of one stage at the smaller one's size, with rows of norm 1."""
    # Per clip, so that powers stay finite; the norm takes the factor out again.
    maps = (as_float(maps) for maps in (student_map, teacher_map))
    student, teacher = pool_to_smaller(*(m / tame_each(m) for m in maps))

    def attend(pooled: Array) -> Array:
        activation = jnp.mean(pooled ** int(power), axis=-1)
        return normalise_rows(activation.reshape(len(activation), -1))

    return attend(student), attend(teacher)


class AttentionTransfer(Method):
    """Attention transfer on all stages. Terms: `loss` alone.

    Args:
        power: of the activation.
        preset: "zoo" averages over stages (Knowledge-Distillation-Zoo), "crd" adds them
            (RepDistiller).
        unit: "clip" or "frame".
    """

    def __init__(self, *, power: int = 2, preset: str = "zoo", unit: str = "clip"):
        check_whole("power", power, 1)
        check_choice("preset", preset, PRESETS)
        check_unit(unit)
        self.power = power
        self.preset = preset
        self.unit = unit

    def __call__(
        self, student: NetworkOutput, teacher: NetworkOutput, labels: Array, progress: Array
    ) -> Terms:
        """See `Method`."""
        del labels, progress
        student_maps, teacher_maps = paired_stage_maps(student, teacher, self.unit)
        loss = attention_transfer_loss(student_maps, teacher_maps, power=self.power)
        return {"loss": loss * len(student_maps) if self.preset == "crd" else loss}
