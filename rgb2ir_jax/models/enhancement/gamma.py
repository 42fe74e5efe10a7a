"""Gamma intensity correction, the classical light for dark footage (DarkLight; DL-KDD's reference 9)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

GAMMA = 1.8
"""Our choice: DL-KDD's paper names the method and no value."""


def gamma_correction(
    images: Float[Array, "*batch height width channel"], gamma: float | int = GAMMA
) -> Float[Array, "*batch height width channel"]:
    """x^(1/gamma) of pixels in [0, 1], in float32: brighter for gamma above 1, as it was for 1.

    It is often done by a table of 256 integers; here nothing is rounded.
    The slope at 0 is infinite, so that black pixels have no finite gradient for gamma above 1. None
    is asked for: pictures come from files, and the stage is frozen.

    Args:
        images: pixels in [0, 1].
        gamma: above 0.

    Raises:
        ValueError: gamma is not above 0.
    """
    if not gamma > 0:
        raise ValueError(f"gamma is {gamma}, expected a number above 0")
    return jnp.power(images.astype(jnp.float32), 1.0 / gamma)
