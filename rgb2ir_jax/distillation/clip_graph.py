"""Graphs of the clips of a batch, and attention between two: Eq. 1-3 of the paper (`mgcam.py`).

The graphs take maps that were divided by a scalar, and that scalar: squares of the maps must stay
finite.
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rgb2ir_jax.distillation.numerics import normalise_rows, squared_distances

Kernel = Literal["l2", "raw", "median"]

# exp(-d/2) is exactly 0 from here on, in float64 too; a larger distance would only overflow.
_FAR = 1e4


def self_graph(
    maps: Float[Array, "n _h _w _c"], scale: Float[Array, ""], kernel: Kernel
) -> Float[Array, "n n"]:
    """Eq. 1-2 for one network and stage.

    Args:
        maps: (N, H, W, C), divided by `scale`.
        scale: what they were divided by; counts for the kernel "raw" alone.
        kernel: what the Gaussian of Eq. 1 sees, see `mgcam_loss`.

    Returns:
        (N, N), symmetric, each entry in [0, 1].
    """
    vertices = maps.reshape(maps.shape[0], -1)
    if kernel == "l2":
        vertices = normalise_rows(vertices)
    distances = squared_distances(vertices, vertices)
    # Rounding would leave a vertex some way from itself, by 0.1 where squared norms are a million.
    distances = jnp.where(np.eye(len(distances), dtype=bool), 0.0, distances)
    return _normalised_graph(distances, kernel, scale, power=1)


def cross_graph(
    student_rows: Float[Array, "n position"],
    student_scale: Float[Array, ""],
    teacher_rows: Float[Array, "n position"],
    teacher_scale: Float[Array, ""],
    *,
    kernel: Kernel,
    power: int,
) -> Float[Array, "n n"]:
    """Eq. 1-2 as written, on the activation maps of a stage pair.

    Args:
        student_rows: (N, P) flat activation maps.
        student_scale: the maps under them were divided by it.
        teacher_rows: (N, P).
        teacher_scale: as `student_scale`.
        kernel: see `mgcam_loss`.
        power: of the maps in an activation; the rows were divided by scale^power.

    Returns:
        (N, N), rows for the student's clips; not symmetric.
    """
    scale = jnp.maximum(student_scale, teacher_scale)
    if kernel == "l2":
        student_rows, teacher_rows = normalise_rows(student_rows), normalise_rows(teacher_rows)
    else:
        student_rows = student_rows * (student_scale / scale) ** power
        teacher_rows = teacher_rows * (teacher_scale / scale) ** power
    return _normalised_graph(squared_distances(student_rows, teacher_rows), kernel, scale, power)


def clip_attention(
    query: Float[Array, "*pair n n"], key: Float[Array, "*pair n n"], attention_scale: float
) -> Float[Array, "*pair n n"]:
    """Eq. 3: how much each clip attends to each, softmax(scale * Q K^T / sqrt(N)) over the last axis.

    Args:
        query: normalised graphs of the student, (..., N, N).
        key: of the teacher, of the same shape.
        attention_scale: factor on the logits; 1 is the paper's.
    """
    scores = jnp.einsum("...mn,...ln->...ml", query, key, precision=jax.lax.Precision.HIGHEST)
    return jax.nn.softmax(attention_scale / math.sqrt(query.shape[-1]) * scores, axis=-1)


def _normalised_graph(distances: Array, kernel: Kernel, scale: Array, power: int) -> Array:
    """D^-1/2 exp(-distances/2) D^-1/2; the vertices were divided by scale^power."""
    if kernel == "raw":
        # Back to the true distances, cut where the Gaussian is 0 anyway so that nothing overflows.
        # Beyond 1e8 every distance but 0 is cut, and a larger factor would overflow in the gradient.
        scale = jnp.minimum(scale, 1e8)
        far = jnp.asarray(_FAR, distances.dtype)
        for _ in range(2 * power):
            far = far / scale
        distances = jnp.minimum(distances, far)
        for _ in range(2 * power):
            distances = distances * scale
    elif kernel == "median":
        distances = distances / _median_off_diagonal(distances)
    edges = jnp.exp(-0.5 * jnp.minimum(distances, _FAR))
    degrees = jnp.sum(edges, axis=1)
    # A row of a cross graph can be empty (every distance large): it stays 0 instead of 0/0.
    connected = degrees > 1e-20
    inverse_root = jnp.where(connected, jax.lax.rsqrt(jnp.where(connected, degrees, 1.0)), 0.0)
    return edges * inverse_root[:, None] * inverse_root[None, :]


def _median_off_diagonal(distances: Array) -> Array:
    count = distances.shape[0]
    if count == 1:
        return jnp.ones((), distances.dtype)
    off_diagonal = distances[~np.eye(count, dtype=bool)]
    median = jax.lax.stop_gradient(jnp.median(off_diagonal))
    return jnp.where(median > 0, median, 1.0)
