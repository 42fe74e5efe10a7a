"""The four losses that train Zero-DCE without any reference picture.

Source: Guo et al., CVPR 2020, sec. 3.3, with the values of the authors' code (Li-Chongyi/Zero-DCE, Myloss.py and
lowlight_train.py), which differs from the paper's text in constant factors. All are finite in value and
gradient on pixels in [0, 1], grey and black pictures included, and are computed in float32.
"""

from collections.abc import Callable, Collection, Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

SPATIAL_POOL = 4
EXPOSURE_PATCH = 16
WELL_EXPOSED = 0.6
WEIGHTS = {"spatial": 1.0, "exposure": 10.0, "color": 5.0, "smoothness": 200.0}
"""The authors' code: lowlight_train.py."""

# Sums of fourth powers of differences below 3e-8, which is less than a bit of a float32 near 1.
_FLOOR = 1e-30

Terms = dict[str, Array]


def spatial_consistency_loss(
    images: Float[Array, "*batch height width _channel"],
    enhanced: Float[Array, "... _height _width _channel"],
) -> Float[Array, ""]:
    """How much the contrast between neighbouring 4x4 regions has changed.

    With Y and I the pictures' channel means, averaged over 4x4 blocks (what is left over at the right
    and below is left out), the mean over regions of sum over the four neighbours j of ((Y_i - Y_j) -
    (I_i - I_j))^2. Neighbours outside of the picture are 0 in both, as in the authors' code.

    Args:
        images: the pictures as they were.
        enhanced: the same, enhanced; the loss is symmetric in the two.

    Raises:
        ValueError: the pictures are smaller than 4x4, or not of one size.
    """
    if images.shape[:-1] != enhanced.shape[:-1]:
        raise ValueError(f"pictures are {images.shape}, enhanced ones {enhanced.shape}")
    # The differences are linear: those of the change are the change of those.
    change = _pooled(enhanced, SPATIAL_POOL) - _pooled(images, SPATIAL_POOL)
    padded = jnp.pad(change, ((0, 0), (1, 1), (1, 1)))
    neighbours = (
        padded[:, 1:-1, :-2],
        padded[:, 1:-1, 2:],
        padded[:, :-2, 1:-1],
        padded[:, 2:, 1:-1],
    )
    return jnp.mean(sum(jnp.square(change - neighbour) for neighbour in neighbours))


def exposure_loss(
    enhanced: Float[Array, "*batch height width _channel"],
    patch: int = EXPOSURE_PATCH,
    level: float | int = WELL_EXPOSED,
) -> Float[Array, ""]:
    """Mean squared distance of the patches' mean brightness from a well exposed level.

    Args:
        enhanced: enhanced pictures.
        patch: side of the square patches in pixels; what is left over at the right and below is left
            out.
        level: the wanted mean of all channels.

    Raises:
        ValueError: the pictures are smaller than a patch.
    """
    return jnp.mean(jnp.square(_pooled(enhanced, patch) - level))


def color_constancy_loss(enhanced: Float[Array, "*batch height width 3"]) -> Float[Array, ""]:
    """How far the mean colour is from grey: mean over pictures of sqrt(sum of (m_p - m_q)^4).

    m are the channels' means, (p, q) the pairs RG, RB, GB; the authors' code squares twice. The root of
    0, of grey pictures such as infrared, is 0 with gradient 0.
    """
    means = jnp.mean(_flat(enhanced), axis=(1, 2))
    red, green, blue = means[:, 0], means[:, 1], means[:, 2]
    total = (red - green) ** 4 + (red - blue) ** 4 + (blue - green) ** 4
    colourful = total > _FLOOR
    return jnp.mean(jnp.where(colourful, jnp.sqrt(jnp.where(colourful, total, 1.0)), 0.0))


def illumination_smoothness_loss(
    curves: Float[Array, "*batch height width _map"],
) -> Float[Array, ""]:
    """Total variation of the curve maps, so that brightness of neighbouring pixels keeps its order.

    2 (V / ((h-1) w) + H / (h (w-1))) / pictures, V and H the sums of the squared differences between
    pixels above and beside each other, over all maps.

    Raises:
        ValueError: the maps are one pixel high or wide.
    """
    maps = _flat(curves)
    pictures, height, width = maps.shape[:3]
    if min(height, width) < 2:
        raise ValueError(f"curve maps of {height}x{width} pixels; expected at least 2x2")
    down = jnp.sum(jnp.square(maps[:, 1:] - maps[:, :-1]))
    across = jnp.sum(jnp.square(maps[:, :, 1:] - maps[:, :, :-1]))
    return 2 * (down / ((height - 1) * width) + across / (height * (width - 1))) / pictures


def zero_dce_terms(
    images: Float[Array, "*batch height width _channel"],
    enhanced: Float[Array, "*batch height width 3"],
    curves: Float[Array, "*batch height width 24"],
    *,
    exposure_patch: int = EXPOSURE_PATCH,
    exposure_level: float | int = WELL_EXPOSED,
    names: Collection[str] = tuple(WEIGHTS),
) -> Terms:
    """The four losses by name: "spatial", "exposure", "color", "smoothness"; see `WEIGHTS`.

    Args:
        images: the pictures as they were.
        enhanced: the same, enhanced.
        curves: the maps that did it.
        exposure_patch: see `exposure_loss`.
        exposure_level: likewise.
        names: those that are wanted; what the others look like does not matter.
    """
    losses: dict[str, Callable[[], Array]] = {
        "spatial": lambda: spatial_consistency_loss(images, enhanced),
        "exposure": lambda: exposure_loss(enhanced, exposure_patch, exposure_level),
        "color": lambda: color_constancy_loss(enhanced),
        "smoothness": lambda: illumination_smoothness_loss(curves),
    }
    return {name: loss() for name, loss in losses.items() if name in names}


def weighted_sum(terms: Terms, weights: Mapping[str, float | int]) -> Float[Array, ""]:
    """The sum of weight times loss; a weight of 0 switches its loss off, even one that is infinite."""
    start = jnp.zeros((), jnp.float32)
    return sum((weights[name] * terms[name] for name in terms if weights[name]), start)


def zero_dce_loss(
    images: Float[Array, "*batch height width _channel"],
    enhanced: Float[Array, "*batch height width 3"],
    curves: Float[Array, "*batch height width 24"],
    *,
    spatial_weight: float | int = WEIGHTS["spatial"],
    exposure_weight: float | int = WEIGHTS["exposure"],
    color_weight: float | int = WEIGHTS["color"],
    smoothness_weight: float | int = WEIGHTS["smoothness"],
) -> Float[Array, ""]:
    """The weighted sum of the four; a weight of 0 switches its loss off, whatever the pictures."""
    weights = {
        "spatial": spatial_weight,
        "exposure": exposure_weight,
        "color": color_weight,
        "smoothness": smoothness_weight,
    }
    wanted = [name for name, weight in weights.items() if weight]
    return weighted_sum(zero_dce_terms(images, enhanced, curves, names=wanted), weights)


def _flat(images: Float[Array, "*batch height width channel"]) -> Float[Array, "n h w channel"]:
    # float32; float64 (under `jax_enable_x64`) is kept.
    exact = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    return exact.reshape(-1, *images.shape[-3:])


def _pooled(
    images: Float[Array, "*batch height width _channel"], size: int
) -> Float[Array, "n rows columns"]:
    """The channels' mean, averaged over blocks of `size` x `size` pixels."""
    means = jnp.mean(_flat(images), axis=-1)
    pictures, height, width = means.shape
    rows, columns = height // size, width // size
    if not rows or not columns:
        raise ValueError(
            f"pictures of {height}x{width} pixels; this loss looks at blocks of {size}x{size}"
        )
    blocks = means[:, : rows * size, : columns * size]
    return jnp.mean(blocks.reshape(pictures, rows, size, columns, size), axis=(2, 4))
