"""Trainable modules that bring a student's stage to the width of a teacher's.

They belong to a method, are trained with the student by the same optimizer, and stay behind when
the student is exported. Statistics are those of the batch: a connector is only ever used in
training.
"""

from flax import nnx
from jaxtyping import Array, Float

from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.distillation.numerics import normalise_rows
from rgb2ir_jax.models.normalization import BatchNorm

_he_normal_fan_out = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


class Connector(nnx.Module):
    """A 1x1 convolution without bias, and BatchNorm: (N, H, W, C_in) to (N, H, W, C_out).

    Args:
        in_channels: of the student's stage.
        out_channels: of the teacher's stage.
        rngs: supplies the "params" stream.
    """

    def __init__(self, in_channels: int, out_channels: int, *, rngs: nnx.Rngs):
        # A 1x1 convolution is a matrix product over the channels, and the product is the faster on CPU.
        self.conv = nnx.Linear(
            in_channels, out_channels, use_bias=False, kernel_init=_he_normal_fan_out, rngs=rngs
        )
        self.bn = BatchNorm(out_channels, momentum=0.9, epsilon=1e-5, rngs=rngs)

    def __call__(
        self, maps: Float[Array, "n height width channel"]
    ) -> Float[Array, "n height width out_channel"]:
        """Connects `maps`, with the batch's statistics."""
        return self.bn(self.conv(maps), use_running_average=False)


class Embedding(nnx.Module):
    """Two linear layers with a ReLU between them, and L2 normalisation: (N, C) to (N, size)."""

    def __init__(self, in_channels: int, size: int, *, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(in_channels, size, rngs=rngs)
        self.out = nnx.Linear(size, size, rngs=rngs)

    def __call__(self, features: Float[Array, "n channel"]) -> Float[Array, "n size"]:
        """Embeds `features` as vectors of unit length."""
        return normalise_rows(self.out(nnx.relu(self.hidden(features))))


def stage_pairs(widths: Widths) -> list[tuple[int, int]]:
    """(student's, teacher's) channels of each stage, first stage first.

    Raises:
        ValueError: the networks do not have the same stages.
    """
    if sorted(widths.student) != sorted(widths.teacher) or not widths.student:
        raise ValueError(
            f"the student has the stages {', '.join(sorted(widths.student)) or 'none'} and the teacher "
            f"{', '.join(sorted(widths.teacher)) or 'none'}; expected the same stages, at least one"
        )
    return [(widths.student[name], widths.teacher[name]) for name in sorted(widths.student)]
