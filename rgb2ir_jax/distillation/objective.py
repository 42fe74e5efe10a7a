"""What a network is trained on: cross-entropy plus any weighted set of methods (Eq. 10)."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from rgb2ir_jax.distillation.base import Terms
from rgb2ir_jax.distillation.numerics import as_float
from rgb2ir_jax.distillation.registry import build_method
from rgb2ir_jax.models.output import NetworkOutput


def cross_entropy_loss(
    logits: Float[Array, "clip cls"], labels: Int[Array, " clip"]
) -> Float[Array, ""]:
    """Mean cross-entropy of (B, C) logits against (B,) class indices, in float32."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(as_float(logits), labels))


class Objective(nnx.Module):
    """L = L_CE + sum over methods of weight * L_method (Eq. 10 is its case mgcam + dkd).

    Args:
        distill: the config's section: method name -> {"weight": float, option: value, ...}. A
            method of weight 0 is left out altogether. Empty: cross-entropy alone (the teacher's own
            training).
    """

    def __init__(self, distill: Mapping[str, Mapping[str, Any]] | ConfigDict | None = None):
        sections = {name: dict(section) for name, section in (distill or {}).items()}
        weights = {name: float(section.pop("weight")) for name, section in sections.items()}
        self.weights = {name: weight for name, weight in weights.items() if weight != 0.0}
        self.methods = nnx.Dict({name: build_method(name, sections[name]) for name in self.weights})

    def __call__(
        self,
        student: NetworkOutput,
        teacher: NetworkOutput | None,
        labels: Int[Array, " clip"],
        progress: Float[Array, ""],
    ) -> tuple[Float[Array, ""], Terms]:
        """Returns the total loss and every term by its name in the logs.

        The terms: `loss`, `ce`, and for each method `NAME` (its loss), `NAME_weighted`,
        `NAME/PART`.
        """
        cross_entropy = cross_entropy_loss(student.logits, labels)
        total, terms = cross_entropy, {"ce": cross_entropy}
        for name, weight in self.weights.items():
            if teacher is None:
                raise ValueError(f"method {name!r} compares with a teacher, and there is none")
            parts = dict(self.methods[name](student, teacher, labels, progress))
            loss = parts.pop("loss")
            total = total + weight * loss
            terms |= {name: loss, f"{name}_weighted": weight * loss}
            terms |= {f"{name}/{part}": value for part, value in parts.items()}
        return total, {"loss": total, **terms}
