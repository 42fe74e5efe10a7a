"""Multi-scale graph cross-attention (MGCAM), Eq. 1-6 of the RGB-to-infrared distillation paper.

The clips of a batch are the vertices of one graph per network and stage. The graphs of student
stage i and teacher stage j give an attention over clips, which mixes the activation maps of both
networks; the loss is the distance between the mixed and normalised maps, summed over stage pairs.

The paper leaves nine choices open (Eq. 1 subtracts maps of different widths, for one); the defaults
here are our reading, and every other reading that was considered is an option. See docs/methods.md.
"""

import inspect
import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rgb2ir_jax.distillation.base import Method, Terms, check_unit, paired_stage_maps
from rgb2ir_jax.distillation.checks import check_choice, check_maps
from rgb2ir_jax.distillation.clip_graph import Kernel, clip_attention, cross_graph, self_graph
from rgb2ir_jax.distillation.numerics import (
    adaptive_average_pool,
    as_float,
    normalise_rows,
    tame,
)
from rgb2ir_jax.models.output import NetworkOutput

Pairs = Literal["all", "matched"]
Graph = Literal["self", "cross"]
Activation = Literal["mean_square", "mean_abs"]
Reduction = Literal["l2sq_batchmean", "mse"]
_CHOICES = {
    "pairs": get_args(Pairs),
    "graph": get_args(Graph),
    "kernel": get_args(Kernel),
    "activation": get_args(Activation),
    "reduction": get_args(Reduction),
}


def mgcam_loss(
    student_maps: Sequence[Float[Array, "_n _h _w _c"]],
    teacher_maps: Sequence[Float[Array, "_n _h _w _c"]],
    *,
    pairs: Pairs = "all",
    graph: Graph = "self",
    kernel: Kernel = "l2",
    activation: Activation = "mean_square",
    reduction: Reduction = "l2sq_batchmean",
    attention_scale: float = 1.0,
    attention_gradient: bool = True,
) -> Float[Array, ""]:
    """The graph cross-attention loss between k stages of two networks.

    Args:
        student_maps: k stage outputs, (N, H_i, W_i, C_i) each, N clips (or frames).
        teacher_maps: k stage outputs with the same N; sizes and widths are free.
        pairs: "all" sums over every (i, j) as Eq. 6 does, "matched" over i = j. Both are divided by
            k.
        graph: "self" builds one graph from each network's own maps; "cross" builds one from both,
            as Eq. 1 is written, from pooled activation maps since the widths of the networks
            differ.
        kernel: what the Gaussian of Eq. 1 sees: "l2", maps of unit norm; "raw", the maps as they
            are (the literal text, which underflows to the identity); "median", distances over their median.
        activation: activation map of Eq. 4-5: mean over channels of F^2 ("mean_square") or of |F|
            ("mean_abs").
        reduction: of the squared difference in Eq. 6: "l2sq_batchmean" sums over positions and
            averages over clips; "mse" averages over both.
        attention_scale: factor on the logits of Eq. 3; 1 is the paper's, a larger one sharpens the
            attention.
        attention_gradient: whether gradient flows through the attention weights.

    Returns:
        A scalar, 0 when both networks have the same normalised mixed maps.

    Raises:
        ValueError: unequal numbers of stages or clips, maps that are not (N, H, W, C), an unknown
            option.
    """
    check_maps(student_maps, teacher_maps)
    check_options(
        pairs=pairs,
        graph=graph,
        kernel=kernel,
        activation=activation,
        reduction=reduction,
        attention_scale=attention_scale,
    )

    stages = len(student_maps)
    students = [_scaled(maps) for maps in student_maps]
    teachers = [_scaled(maps) for maps in teacher_maps]
    if pairs == "all":
        i, j = (index.ravel() for index in np.indices((stages, stages)))
    else:
        i = j = np.arange(stages)
    student_rows, teacher_rows, positions = _activation_rows(students, teachers, i, j, activation)

    if graph == "self":
        student_graphs = jnp.stack([self_graph(maps, scale, kernel) for maps, scale in students])
        teacher_graphs = jnp.stack([self_graph(maps, scale, kernel) for maps, scale in teachers])
        query, key = student_graphs[i], teacher_graphs[j]
    else:
        student_scales = jnp.stack([scale for _, scale in students])[i]
        teacher_scales = jnp.stack([scale for _, scale in teachers])[j]
        power = 2 if activation == "mean_square" else 1
        query = key = jax.vmap(partial(cross_graph, kernel=kernel, power=power))(
            student_rows, student_scales, teacher_rows, teacher_scales
        )

    attention = clip_attention(query, key, attention_scale)
    if not attention_gradient:
        attention = jax.lax.stop_gradient(attention)
    mixed = jnp.einsum(
        "pml,spld->spmd",
        attention,
        jnp.stack([student_rows, teacher_rows]),
        precision=jax.lax.Precision.HIGHEST,
    )
    student_mixed, teacher_mixed = normalise_rows(mixed)
    distances = jnp.sum(jnp.square(teacher_mixed - student_mixed), axis=-1)
    if reduction == "mse":
        distances = distances / positions[:, None]
    return jnp.sum(jnp.mean(distances, axis=1)) / stages


def check_options(**options: Any) -> None:
    """Raises ValueError unless these are options of `mgcam_loss` with values that it knows."""
    known = inspect.signature(mgcam_loss).parameters
    for name, value in options.items():
        if name not in known or known[name].kind is not inspect.Parameter.KEYWORD_ONLY:
            raise ValueError(f"{name} is not an option of mgcam")
        if name == "attention_scale" and not 0 < value < math.inf:
            raise ValueError(f"attention_scale={value!r}; expected a finite number above 0")
        if name in _CHOICES:
            check_choice(name, value, _CHOICES[name])


def _scaled(maps: Array) -> tuple[Array, Array]:
    """Maps in float32, divided by a scalar that keeps their squares finite, and that scalar."""
    maps = as_float(maps)
    scale = tame(maps)
    return maps / scale, scale


def _activation_rows(
    students: list[tuple[Array, Array]],
    teachers: list[tuple[Array, Array]],
    i: np.ndarray,
    j: np.ndarray,
    activation: Activation,
) -> tuple[Array, Array, np.ndarray]:
    """Flat activation maps of each pair at the smaller stage's size, and how many positions each has.

    Zero-padded to the largest pair, so that all pairs are one batched product; padding adds nothing
    to a norm or a distance. The scale of `_scaled` is common to all rows of a map and cancels in
    Eq. 6.
    """

    def activate(maps: Array) -> Array:
        return jnp.mean(jnp.square(maps) if activation == "mean_square" else jnp.abs(maps), axis=-1)

    student = [activate(maps) for maps, _ in students]
    teacher = [activate(maps) for maps, _ in teachers]
    sizes = [
        (
            min(student[a].shape[1], teacher[b].shape[1]),
            min(student[a].shape[2], teacher[b].shape[2]),
        )
        for a, b in zip(i, j, strict=True)
    ]
    positions = np.array([height * width for height, width in sizes])

    def rows(maps: list[Array], which: np.ndarray) -> Array:
        pooled = {
            (stage, size): adaptive_average_pool(maps[stage], size)
            for stage, size in set(zip(which.tolist(), sizes, strict=True))
        }
        flat = [
            pooled[stage, size].reshape(maps[stage].shape[0], -1)
            for stage, size in zip(which.tolist(), sizes, strict=True)
        ]
        return jnp.stack([jnp.pad(r, ((0, 0), (0, positions.max() - r.shape[1]))) for r in flat])

    return rows(student, i), rows(teacher, j), positions


class MGCAM(Method):
    """The graph cross-attention loss between the four residual stages. Terms: `loss` alone.

    Args:
        unit: "clip" or "frame".
        options: those of `mgcam_loss`.
    """

    def __init__(self, *, unit: str = "clip", **options: Any):
        check_unit(unit)
        check_options(**options)
        self.unit = unit
        self.options = options

    def __call__(
        self, student: NetworkOutput, teacher: NetworkOutput, labels: Array, progress: Array
    ) -> Terms:
        """See `Method`."""
        del labels, progress
        maps = paired_stage_maps(student, teacher, self.unit)
        return {"loss": mgcam_loss(*maps, **self.options)}
