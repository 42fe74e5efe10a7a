"""BatchNorm folded into the convolutions before it, for networks that only look.

With frozen statistics, BatchNorm is the affine map x * s + (bias - mean * s), s = scale / sqrt(var +
epsilon), of each channel, and so is what becomes of it behind a convolution (Jacob et al.,
arXiv:1712.05877, sec. 3.2): kernel * s, with a bias.
"""

from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from rgb2ir_jax.models.r2plus1d import R2Plus1D
from rgb2ir_jax.models.resnet import ResNet
from rgb2ir_jax.models.tsn import TSN

Network = TypeVar("Network", bound=ResNet | TSN | R2Plus1D)

_PAIRS = {"conv": "bn", "conv1": "bn1", "conv2": "bn2", "conv3": "bn3"}


class FoldedNorm(nnx.Module):
    """Stands where a BatchNorm stood that is folded into the convolution before it."""

    def __call__(
        self, x: Float[Array, "*batch channel"], *, use_running_average: bool
    ) -> Float[Array, "*batch channel"]:
        """Returns `x`.

        Raises:
            ValueError: statistics of the batch are asked for.
        """
        if not use_running_average:
            raise ValueError(
                "this network's BatchNorm is folded into its convolutions, so it cannot be trained; "
                "call it with train=False, or train the network from before the folding"
            )
        return x


def fold_batch_norm(network: Network) -> Network:
    """A network without BatchNorm that computes what `network` computes with ``train=False``.

    Logits, stage maps and features are equal but for rounding (in float32: 1e-5 of their size). The
    new network has parameters (`nnx.Param`) only, and raises ValueError when it is trained.

    Args:
        network: left as it is.

    Returns:
        A copy in which each convolution has a bias. The arithmetic of the folding is float64.
    """
    folded = nnx.clone(network)
    for _, module in list(nnx.iter_modules(folded)):
        for convolution_name, norm_name in _PAIRS.items():
            convolution = getattr(module, convolution_name, None)
            norm = getattr(module, norm_name, None)
            if isinstance(convolution, nnx.Conv) and isinstance(norm, nnx.BatchNorm):
                _fold(convolution, norm)
                setattr(module, norm_name, FoldedNorm())
    return folded


def _fold(convolution: nnx.Conv, norm: nnx.BatchNorm) -> None:
    """Writes what `norm` does into `convolution`, which has no bias yet."""

    def exact(variable: nnx.Variable | None) -> np.ndarray:
        if variable is None:
            raise ValueError("a BatchNorm without scale or bias is not one of this package's")
        return np.asarray(variable[...], np.float64)

    scale = exact(norm.scale) / np.sqrt(exact(norm.var) + norm.epsilon)
    kernel = exact(convolution.kernel) * scale
    bias = exact(norm.bias) - exact(norm.mean) * scale
    dtype = convolution.kernel[...].dtype
    convolution.kernel[...] = jnp.asarray(kernel, dtype)
    convolution.use_bias = True
    convolution.bias = nnx.Param(jnp.asarray(bias, dtype))
