"""What every distillation method is: a small module from two networks' outputs to named scalars."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from rgb2ir_jax.distillation.checks import check_choice
from rgb2ir_jax.distillation.numerics import as_float, pool_time
from rgb2ir_jax.models.output import NetworkOutput

Terms: TypeAlias = dict[str, Float[Array, ""]]
UNITS = ("clip", "frame")
"""What a feature method takes for one example: a clip (the mean of its segments), or each frame (each
time step, of networks that stride in time)."""


class Widths(NamedTuple):
    """The channels of each stage of a student and of a teacher, by the stage's name.

    All that a method with trainable connectors needs to know of the networks that it connects.
    """

    student: Mapping[str, int]
    teacher: Mapping[str, int]


class Method(nnx.Module):
    """One distillation method, with its options as attributes.

    A subclass takes its options as keyword arguments (the config's names), holds trainable
    connectors, if it has any, as submodules (they train with the student and are absent from the
    exported student), and is listed in `rgb2ir_jax.distillation.registry`.

    Attributes:
        uses: what of several teachers it compares with. The teacher's logits are in both cases
            those of the teachers together: the mean of their probabilities at `temperature`.
            "logits": nothing else; the method is called once. "features": maps or features too; the
            method is called with each teacher's own, and its terms are averaged.
        connects: whether it has connectors. Its constructor then takes `widths` (`Widths`) and
            `rngs` (`nnx.Rngs`) besides its options, and each teacher gets a module of its own.
        temperature: the softmax temperature at which it reads the teacher's logits.
    """

    uses: ClassVar[Literal["logits", "features"]] = "features"
    connects: ClassVar[bool] = False
    temperature: float = 1.0

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

    def cross_entropy_scale(self, progress: Float[Array, ""]) -> Float[Array, ""] | float | None:
        """What the method multiplies the run's cross-entropy by; None: it leaves it alone."""
        del progress
        return None


def weigh(parts: Mapping[str, tuple[float, Callable[[], Float[Array, ""]]]]) -> Terms:
    """The terms of a method that is a weighted sum: part -> (weight, how to compute it).

    Returns:
        `loss`, and each part before its weight. A part of weight 0 is off: not computed, not listed.
    """
    terms = {name: compute() for name, (weight, compute) in parts.items() if weight}
    weighted = [parts[name][0] * term for name, term in terms.items()]
    return {"loss": sum(weighted[1:], weighted[0]) if weighted else jnp.zeros(()), **terms}


def check_unit(unit: str) -> None:
    """Raises ValueError unless the unit is known."""
    check_choice("unit", unit, UNITS)


def stage_maps(
    output: NetworkOutput, unit: str = "clip"
) -> list[Float[Array, "n height width channel"]]:
    """The stages' maps, first stage first, as (N, H, W, C) in float32.

    The paper's graphs have as many vertices as the batch has clips: with unit "clip", N = B, and
    each (B, T, H, W, C) is averaged over its T segments. With "frame", N = B*T.
    """
    maps = [as_float(output.stages[name]) for name in sorted(output.stages)]
    if unit == "clip":
        return [m.mean(axis=1) for m in maps]
    return [m.reshape(-1, *m.shape[2:]) for m in maps]


def paired_stage_maps(
    student: NetworkOutput, teacher: NetworkOutput, unit: str = "clip"
) -> tuple[
    list[Float[Array, "n _height _width _channel"]], list[Float[Array, "n _height _width _channel"]]
]:
    """`stage_maps` of both networks, with one and the same N in all stages.

    With unit "clip" each stage is averaged over the time steps that it has. Networks that stride in time
    have fewer of them in later stages: with "frame", every map is first averaged over windows of time
    (`pool_time`) to the steps of the shortest one, so that N = B * steps, and the k-th step of every map
    shows the same stretch of the clip.
    """
    if unit != "clip":
        steps = min(m.shape[1] for output in (student, teacher) for m in output.stages.values())
        student, teacher = (
            output.replace(  # type: ignore[attr-defined]
                stages={name: pool_time(as_float(m), steps) for name, m in output.stages.items()}
            )
            for output in (student, teacher)
        )
    return stage_maps(student, unit), stage_maps(teacher, unit)


def paired_features(
    student: NetworkOutput, teacher: NetworkOutput, unit: str = "clip"
) -> tuple[Float[Array, "n channel"], Float[Array, "n _channel"]]:
    """`pooled_features` of both networks, with one and the same N; see `paired_stage_maps`."""
    if unit != "clip":
        steps = min(student.features.shape[1], teacher.features.shape[1])
        student, teacher = (
            output.replace(  # type: ignore[attr-defined]
                features=pool_time(as_float(output.features), steps)
            )
            for output in (student, teacher)
        )
    return pooled_features(student, unit), pooled_features(teacher, unit)


def pooled_features(output: NetworkOutput, unit: str = "clip") -> Float[Array, "n channel"]:
    """The last stage's globally average-pooled features, (B, C) or, with unit "frame", (B*T, C)."""
    features = as_float(output.features)
    if unit == "clip":
        return features.mean(axis=1)
    return features.reshape(-1, features.shape[-1])
