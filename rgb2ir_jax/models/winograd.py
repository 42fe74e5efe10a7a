"""3x3 convolutions with 2.25 times fewer multiplications, for CPUs: Winograd's F(2x2, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv:1509.09308), section 4.1: every
2x2 pixels of the result come from a 4x4 tile of the map, by additions, one product for each of the
tile's 16 places, and additions again. What lies between takes four times the map's memory, so that a
few images are done at a time, as many as suit a cache. XLA's own convolutions stay behind PyTorch's on
a CPU; fewer multiplications make up for it (docs/performance.md).
"""

import math
from collections.abc import Callable, Sequence

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
"""Of a map; with fewer values or channels, what lies around the products takes as long as they save."""


def pays(
    x: Float[Array, "image height width channel"],
    kernel: Float[Array, "3 3 channel out_channel"],
) -> bool:
    """Whether a CPU convolves such a map sooner in this way.

    Not for maps that several devices share, who would exchange parts of them, and not for an exported
    program's, which take any number of images.
    """
    if not isinstance(x.size, int) or jax.device_count() > 1:
        return False
    return (
        x.dtype == kernel.dtype == jnp.float32
        and min(kernel.shape[2:]) >= _FEWEST_CHANNELS
        and x.size >= _FEWEST_VALUES
        and min(x.shape[1:3]) > 1
    )


@jax.custom_vjp
def convolve_3x3(
    x: Float[Array, "image height width channel"],
    kernel: Float[Array, "3 3 channel out_channel"],
) -> Float[Array, "image height width out_channel"]:
    """The 3x3 convolution with stride 1 of maps with a margin of one zero, channels last.

    Errors against float64 are up to five times the plain sum's. Derivatives are reverse ones alone.
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
    pieces = _in_pieces(*materialized(x, slope))
    sums = jax.lax.fori_loop(
        0, len(pieces[0]), lambda i, sums: add(sums, *(part[i] for part in pieces)), none
    )
    towards_kernel = jnp.stack([jnp.stack(row) for row in _both_ways(_taps_of_places, sums)])
    return towards_x, towards_kernel


convolve_3x3.defvjp(_forward, _backward)


def _convolve(x: Array, kernels: Square) -> Array:
    (pieces,) = _in_pieces(*materialized(x))
    y = jnp.zeros((*pieces.shape[:-1], kernels[0][0].shape[-1]), x.dtype)
    # Written as a slice; `y.at[i].set` reads the old values too, for an index that is out of bounds.
    y = jax.lax.fori_loop(
        0,
        len(pieces),
        lambda i, y: jax.lax.dynamic_update_index_in_dim(y, _of_tiles(pieces[i], kernels), i, 0),
        y,
    )
    (y,) = materialized(y)
    return y.reshape(-1, *y.shape[2:])[: len(x)]


def _in_pieces(*maps: Array) -> tuple[Array, ...]:
    """Maps of a few images each, (piece, image of the piece, ...), the last filled up with zeros."""
    images = len(maps[0])
    size = _images_at_a_time(images, max(1, _PIECE * images // max(1, maps[0].size)))
    count = max(1, math.ceil(images / size))
    more = count * size - images
    return tuple(
        jnp.pad(x, [(0, more), *[(0, 0)] * (x.ndim - 1)]).reshape(count, size, *x.shape[1:])
        for x in maps
    )


def _images_at_a_time(images: int, most: int) -> int:
    """A divisor, if it is not much less than the most; or about equal parts."""
    divisor = max((n for n in range(1, min(images, most) + 1) if images % n == 0), default=1)
    if divisor == images or 2 * divisor >= most:
        return divisor
    return math.ceil(images / math.ceil(images / most))


def _of_tiles(x: Array, kernels: Square) -> Array:
    tiles = _both_ways(_tile_places, _pixels_of_tiles(x))
    upper, lower = _both_ways(_results, _each(jnp.matmul, tiles, kernels))
    rows = jnp.stack([jnp.stack(upper, axis=3), jnp.stack(lower, axis=3)], axis=2)
    images, height, width, _ = x.shape
    whole = rows.reshape(images, 2 * rows.shape[1], 2 * rows.shape[3], rows.shape[-1])
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
