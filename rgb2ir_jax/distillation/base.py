"""What every distillation method is: a small module from two networks' outputs to named scalars."""

from typing import TypeAlias

from flax import nnx
from jaxtyping import Array, Float, Int

from rgb2ir_jax.models.output import NetworkOutput

Terms: TypeAlias = dict[str, Float[Array, ""]]


class Method(nnx.Module):
    """One distillation method, with its options as attributes.

    A subclass takes its options as keyword arguments (the config's names), holds trainable
    connectors, if it has any, as submodules (they train with the student and are absent from the
    exported student), and is listed in `rgb2ir_jax.distillation.registry`.
    """

    def __call__(
        self,
        student: NetworkOutput,
        teacher: NetworkOutput,
        labels: Int[Array, " clip"],
        progress: Float[Array, ""],
    ) -> Terms:
        """Computes the method's loss on one batch.

        Args:
            student: what the student puts out, in training mode.
            teacher: what the frozen teacher puts out; carries no gradient.
            labels: (B,) class indices.
            progress: share of the training that is done, in [0, 1].

        Returns:
            `{"loss": scalar, ...}`: `loss` is what is weighted and added to the cross-entropy; all
            other entries are its parts, reported beside it under their own names.
        """
        raise NotImplementedError


def stage_maps(output: NetworkOutput) -> list[Float[Array, "clip height width channel"]]:
    """One map a stage and clip, first stage first: each (B, T, H, W, C) averaged over its T segments.

    The paper's graphs have as many vertices as the batch has clips, so the unit is the clip.
    """
    return [output.stages[name].astype("float32").mean(axis=1) for name in sorted(output.stages)]
