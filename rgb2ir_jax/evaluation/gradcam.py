"""Where in a clip the score of a class comes from: Grad-CAM.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, equations 1 and 2.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Head = Callable[[Array], Array]
"""From maps (clip, time, height, width, channel) to logits (clip, class)."""


def grad_cam(
    head: Head,
    maps: Float[Array, "clip time height width channel"],
    classes: Int[Array, " clip"],
) -> Float[Array, "clip time height width"]:
    """How much each place of a feature map speaks for a class.

    A channel's weight is the mean over all places and frames of the derivative of the class's logit;
    the map is the ReLU of the channels' weighted sum. A clip's frames share the weights, since the
    logit is their consensus. For a linear classifier on the maps' mean this is the ReLU of the class
    activation map of Zhou et al., CVPR 2016, divided by the number of places.

    Args:
        head: the network behind the maps, in evaluation mode: clips must not influence each other.
        maps: of the layer that is looked at, usually the last stage.
        classes: a class for each clip.

    Returns:
        float32, at least 0, in units of the logit.
    """
    maps = maps.astype(jnp.float32)

    def score(maps: Array) -> Array:
        # Each clip's logit depends on its own maps alone, so that one sum has all gradients.
        return jnp.sum(jnp.take_along_axis(head(maps), classes[:, None], axis=1))

    weights = jnp.mean(jax.grad(score)(maps), axis=(1, 2, 3))
    return jax.nn.relu(jnp.einsum("nc,nthwc->nthw", weights, maps))


def shares_of_greatest(
    maps: Float[np.ndarray, "clip time height width"],
) -> Float[np.ndarray, "clip time height width"]:
    """Each clip's maps divided by the greatest value in any of its frames; zeros where there is none.

    So the frames of a clip can be compared with each other, and clips cannot.
    """
    greatest = maps.max(axis=(1, 2, 3), keepdims=True)
    return np.divide(maps, greatest, out=np.zeros_like(maps), where=greatest > 0)
