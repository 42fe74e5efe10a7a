"""What a network is trained on: cross-entropy plus any weighted set of methods (Eq. 10)."""

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from rgb2ir_jax.distillation.base import Method, Terms, Widths
from rgb2ir_jax.distillation.ensemble import pool_logits
from rgb2ir_jax.distillation.numerics import as_float
from rgb2ir_jax.distillation.registry import METHODS, build_method, check_options
from rgb2ir_jax.models.output import NetworkOutput

Sections: TypeAlias = Mapping[str, Mapping[str, Any]] | ConfigDict


class Weight(NamedTuple):
    """How much a method counts.

    Attributes:
        value: the factor on its loss.
        warmup: share of the training over which the factor rises linearly from 0; 0: none.
    """

    value: float
    warmup: float

    def at(self, progress: Float[Array, ""]) -> Float[Array, ""] | float:
        """The factor when the share `progress` of the training is done."""
        if self.warmup == 0.0:
            return self.value
        return self.value * jnp.minimum(progress / self.warmup, 1.0)


def cross_entropy_loss(
    logits: Float[Array, "clip cls"], labels: Int[Array, " clip"]
) -> Float[Array, ""]:
    """Mean cross-entropy of (B, C) logits against (B,) class indices, in float32."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(as_float(logits), labels))


def check_distill(distill: Sections) -> None:
    """Refuses a config's section before any work; makes no weights.

    Raises:
        ValueError: names the method and the field, what was found and what was expected.
    """
    for name, section in distill.items():
        _, options = _read(name, section)
        check_options(name, options)


def _read(name: str, section: Mapping[str, Any] | ConfigDict) -> tuple[Weight, dict[str, Any]]:
    """A method's weight and its own options."""
    options = dict(section)
    if "weight" not in options:
        raise ValueError(f"config.distill.{name}.weight is missing, expected a number of 0 or more")
    weight = Weight(float(options.pop("weight")), float(options.pop("warmup", 0.0)))
    if not 0 <= weight.value < math.inf:
        raise ValueError(
            f"config.distill.{name}.weight is {weight.value}, expected a finite number of 0 or more"
        )
    if not 0 <= weight.warmup <= 1:
        raise ValueError(
            f"config.distill.{name}.warmup is {weight.warmup}, expected a share of the training in [0, 1]"
        )
    return weight, options


class Objective(nnx.Module):
    """L = scale * L_CE + sum over methods of weight * L_method (Eq. 10 is its case mgcam + dkd).

    The scale is 1, unless a method changes it (`Method.cross_entropy_scale`); those of several
    methods multiply.

    Args:
        distill: the config's section: method name -> {"weight": float, "warmup": float (optional),
            option: value, ...}. A method of weight 0 is left out altogether. Empty: cross-entropy
            alone (the teacher's own training).
        widths: of the student and each teacher, in the teachers' order; needed by methods with
            connectors alone.
        seed: of the connectors' initial weights, which also depend on the method's name and the
            teacher's position, and on nothing else.
    """

    def __init__(
        self, distill: Sections | None = None, widths: Sequence[Widths] = (), seed: int = 0
    ):
        self.weights: dict[str, Weight] = {}
        self.methods: nnx.Dict[nnx.List[Method]] = nnx.Dict()
        for name, section in (distill or {}).items():
            weight, options = _read(name, section)
            if weight.value == 0.0:
                continue
            self.weights[name] = weight
            self.methods[name] = nnx.List(_build(name, options, widths, seed))

    def __call__(
        self,
        student: NetworkOutput,
        teacher: NetworkOutput | Sequence[NetworkOutput] | None,
        labels: Int[Array, " clip"],
        progress: Float[Array, ""],
    ) -> tuple[Float[Array, ""], Terms]:
        """Returns the total loss and every term by its name in the logs.

        The terms: `loss`, `ce`, and for each method `NAME` (its loss), `NAME_weighted`,
        `NAME/PART`; `ce_weighted` where a method scales the cross-entropy. Of several teachers,
        soft-label terms see the mean probabilities, and other terms are averaged.
        """
        teachers = _as_sequence(teacher)
        cross_entropy = cross_entropy_loss(student.logits, labels)
        total, terms = cross_entropy, {"ce": cross_entropy}
        for modules in self.methods.values():
            scale = modules[0].cross_entropy_scale(progress)
            if scale is not None:
                total = terms["ce_weighted"] = scale * total
        for name, weight in self.weights.items():
            if not teachers:
                raise ValueError(f"method {name!r} compares with a teacher, and there is none")
            parts = _compare(self.methods[name], student, teachers, labels, progress)
            loss = parts.pop("loss")
            weighted = weight.at(progress) * loss
            total = total + weighted
            terms |= {name: loss, f"{name}_weighted": weighted}
            terms |= {f"{name}/{part}": value for part, value in parts.items()}
        return total, {"loss": total, **terms}


def _build(
    name: str, options: Mapping[str, Any], widths: Sequence[Widths], seed: int
) -> list[Method]:
    """One module; of a method with connectors, one for each teacher."""
    if not (name in METHODS and METHODS[name].connects and widths):
        return [build_method(name, options)]
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
    return [
        build_method(
            name, options, widths=pair, rngs=nnx.Rngs(params=jax.random.fold_in(key, position))
        )
        for position, pair in enumerate(widths)
    ]


def _as_sequence(
    teacher: NetworkOutput | Sequence[NetworkOutput] | None,
) -> Sequence[NetworkOutput]:
    if teacher is None:
        return ()
    return (teacher,) if isinstance(teacher, NetworkOutput) else teacher


def _compare(
    modules: Sequence[Method],
    student: NetworkOutput,
    teachers: Sequence[NetworkOutput],
    labels: Array,
    progress: Array,
) -> Terms:
    """The terms of one method, over all teachers."""
    method = modules[0]
    guides = pool_logits(teachers, method.temperature)
    if method.uses == "logits":
        return dict(method(student, guides[0], labels, progress))
    if not method.connects:
        modules = [method] * len(guides)
    if len(modules) != len(guides):
        raise ValueError(
            f"{type(method).__name__} has connectors to {len(modules)} teachers, found {len(guides)}"
        )
    each = [
        module(student, guide, labels, progress)
        for module, guide in zip(modules, guides, strict=True)
    ]
    if len(each) == 1:
        return dict(each[0])
    return jax.tree.map(lambda *values: sum(values[1:], values[0]) / len(values), *each)
