"""3x3 convolutions with 2.25 times fewer multiplications, for CPUs: Winograd's F(2x2, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv:1509.09308), section 4.1: every
2x2 pixels of the result come from a 4x4 tile of the map, by additions, one product for each of the
tile's 16 places, and additions again. What lies between takes four times the map's memory, so that a
few images are done at a time, as many as suit a cache. XLA's own convolutions stay behind PyTorch's on
a CPU; fewer multiplications make up for it (docs/performance.md).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rgb2ir_jax.models.materialization import materialized

# Arrays by row and column: the pixels of all tiles, the taps of a kernel, the 16 places of a product.
Square = Sequence[Sequence[Array]]

_PIECE = 2**19
"""Values of a map that are worked on at a time, 2 MB in float32."""
_FEWEST_CHANNELS = 64
_FEWEST_VALUES = 3 * 2**17
"""Of a map; with fewer, transforming the kernel takes as long as what is saved."""


def pays(x: Array, kernel: Array) -> bool:
    """Whether a CPU convolves such a map sooner in this way."""
    if not isinstance(x.size, int):  # An exported program takes any number of images.
        return False
    enough = x.size >= _FEWEST_VALUES and min(kernel.shape[2:]) >= _FEWEST_CHANNELS
    return enough and x.dtype == kernel.dtype == jnp.float32


@jax.custom_vjp
def convolve_3x3(
    x: Float[Array, "image height width channel"],
    kernel: Float[Array, "3 3 channel out_channel"],
) -> Float[Array, "image height width out_channel"]:
    """The 3x3 convolution with stride 1 of maps with a margin of one zero, channels last.

    Its errors against float64 are up to three times the plain sum's. Derivatives are reverse ones alone.
    """
    return _convolve(x, _both_ways(_kernel_places, _taps(kernel)))


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return convolve_3x3(x, kernel), (x, kernel)


# Layers of one shape share what is jitted: tracing and lowering are half of a warm start.
@jax.jit
def _backward(saved: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    x, kernel = saved
    kernels = _both_ways(_kernel_places, _taps(kernel))
    # Of a kernel turned by half a turn, the first and the last place have changed places.
    order = (3, 1, 2, 0)
    towards_x = _convolve(slope, [[kernels[i][j].T for j in order] for i in order])

    def add(sums: Square, x: Array, slope: Array) -> Square:
        # Products over all tiles are quick of tiles that lie in memory as they are.
        tiles = [materialized(*row) for row in _both_ways(_tile_places, _pixels_of_tiles(x))]
        slopes = _both_ways(_slope_places, _pixels_of_results(slope))
        products = _each(
            lambda tile, slope: jnp.tensordot(tile, slope, ((0, 1, 2),) * 2), tiles, slopes
        )
        return _each(jnp.add, sums, products)

    none = [[jnp.zeros(kernel.shape[2:], kernel.dtype)] * 4] * 4
    x, slope = _in_pieces(*materialized(x, slope))
    sums = jax.lax.fori_loop(
        0, x.shape[1], lambda piece, sums: add(sums, _piece(x, piece), _piece(slope, piece)), none
    )
    towards_kernel = jnp.stack([jnp.stack(row) for row in _both_ways(_taps_of_places, sums)])
    return towards_x, towards_kernel


convolve_3x3.defvjp(_forward, _backward)


def _convolve(x: Array, kernels: Square) -> Array:
    (apart,) = _in_pieces(*materialized(x))

    def put(piece: Any, y: Array) -> Array:
        part = _of_tiles(_piece(apart, piece), kernels)
        return jax.lax.dynamic_update_index_in_dim(y, part, piece, 1)

    y = jnp.zeros((*apart.shape[:-1], kernels[0][0].shape[-1]), x.dtype)
    (y,) = materialized(jax.lax.fori_loop(0, apart.shape[1], put, y))
    return y.reshape(*x.shape[:-1], -1)


def _in_pieces(*maps: Array) -> tuple[Array, ...]:
    """Images apart in pieces, (image of the piece, piece, ...): each takes some from every device."""
    images, *rest = maps[0].shape
    most = max(1, _PIECE // math.prod(rest))
    size = max(size for size in range(1, images + 1) if images % size == 0 and size <= most)
    return tuple(x.reshape(size, images // size, *x.shape[1:]) for x in maps)


def _piece(apart: Array, piece: Any) -> Array:
    return jax.lax.dynamic_index_in_dim(apart, piece, 1, keepdims=False)


def _of_tiles(x: Array, kernels: Square) -> Array:
    tiles = _both_ways(_tile_places, _pixels_of_tiles(x))
    upper, lower = _both_ways(_results, _each(jnp.matmul, tiles, kernels))
    rows = jnp.stack([jnp.stack(upper, axis=3), jnp.stack(lower, axis=3)], axis=2)
    images, height, width, _ = x.shape
    whole = rows.reshape(images, 2 * rows.shape[1], 2 * rows.shape[3], -1)
    return whole[:, :height, :width]


def _pixels_of_tiles(x: Array) -> Square:
    """The pixel at each place of all 4x4 tiles, which overlap by two."""
    x = _padded(x, 1)
    rows, columns = x.shape[1] - 3, x.shape[2] - 3
    return [[x[:, i : i + rows : 2, j : j + columns : 2] for j in range(4)] for i in range(4)]


def _pixels_of_results(slope: Array) -> Square:
    slope = _padded(slope, 0)
    return [[slope[:, i::2, j::2] for j in range(2)] for i in range(2)]


def _padded(x: Array, margin: int) -> Array:
    """With zeros around, and behind to an even number of rows and columns."""
    margins = [(margin, margin + size % 2) for size in x.shape[1:3]]
    return jnp.pad(x, [(0, 0), *margins, (0, 0)])


def _taps(kernel: Array) -> Square:
    return [[kernel[i, j] for j in range(3)] for i in range(3)]


def _each(function: Callable[[Array, Array], Array], left: Square, right: Square) -> Square:
    return [
        [function(*pair) for pair in zip(*rows, strict=True)]
        for rows in zip(left, right, strict=True)
    ]


def _both_ways(transform: Callable[..., Sequence[Array]], square: Square) -> Square:
    """Transforms every column, then every row of the outcome."""
    columns = [transform(*column) for column in zip(*square, strict=True)]
    return [list(transform(*row)) for row in zip(*columns, strict=True)]


# The paper's matrices B', G and A', and the transposes of A' and G, line by line.


def _tile_places(d0: Array, d1: Array, d2: Array, d3: Array) -> Sequence[Array]:
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _kernel_places(g0: Array, g1: Array, g2: Array) -> Sequence[Array]:
    return g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2


def _results(m0: Array, m1: Array, m2: Array, m3: Array) -> Sequence[Array]:
    return m0 + m1 + m2, m1 - m2 - m3


def _slope_places(y0: Array, y1: Array) -> Sequence[Array]:
    return y0, y0 + y1, y0 - y1, -y1


def _taps_of_places(u0: Array, u1: Array, u2: Array, u3: Array) -> Sequence[Array]:
    return u0 + (u1 + u2) / 2, (u1 - u2) / 2, (u1 + u2) / 2 + u3
