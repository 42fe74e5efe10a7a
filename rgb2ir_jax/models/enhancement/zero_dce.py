"""Zero-DCE: a network that brightens dark pictures by curves, and never saw how they should look.

Guo et al., "Zero-reference deep curve estimation for low-light image enhancement", CVPR 2020
(arXiv:2001.06826), as its authors' code has it (Li-Chongyi/Zero-DCE, model.py). The network says, for
each pixel and colour, how strongly to bend it: eight times x <- x + r (x^2 - x), a curve that keeps
[0, 1], its two ends and the order of brightness.
"""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

ITERATIONS = 8
_MAPS = 3 * ITERATIONS
_WIDTH = 32
# (input, output) channels of e_conv1 to e_conv7; the last three see two layers' maps side by side.
_CHANNELS = (
    (3, _WIDTH),
    (_WIDTH, _WIDTH),
    (_WIDTH, _WIDTH),
    (_WIDTH, _WIDTH),
    (2 * _WIDTH, _WIDTH),
    (2 * _WIDTH, _WIDTH),
    (2 * _WIDTH, _MAPS),
)
LAYERS = tuple(f"e_conv{number}" for number in range(1, len(_CHANNELS) + 1))
"""Names of the convolutions, the official ones."""


class ZeroDCE(nnx.Module):
    """The curve estimator (DCE-Net): seven 3x3 convolutions, 79,416 parameters, no normalisation.

    Layers 5, 6 and 7 see the maps of layers 3 and 4, 2 and 5, 1 and 6. It knows no classes and no
    modes: training and evaluation compute the same.

    Args:
        dtype: compute dtype of the convolutions. Parameters are float32, and so is the arithmetic on
            the pixels, whose eight steps would lose half of bfloat16's digits.
        rngs: supplies the "params" stream: kernels N(0, 0.02^2), as the authors' training, biases
            uniform in +-1/sqrt(fan in), which that leaves as PyTorch makes them.
    """

    def __init__(self, *, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs) -> None:
        for name, (inputs, outputs) in zip(LAYERS, _CHANNELS, strict=True):
            setattr(self, name, _convolution(inputs, outputs, dtype, rngs))

    def curves(
        self, images: Float[Array, "*batch height width _channel"]
    ) -> Float[Array, "*batch height width 24"]:
        """The curve maps r in [-1, 1], three for each of the eight steps, in float32.

        Args:
            images: pixels in [0, 1]; one channel (infrared) counts as R = G = B.

        Raises:
            ValueError: the images have neither one channel nor three.
        """
        pictures = _as_rgb(images)
        # One axis in front, whose size an exported program may not know yet.
        x = pictures.reshape(math.prod(pictures.shape[:-3]), *pictures.shape[-3:])
        layers = [getattr(self, name) for name in LAYERS]
        x1 = nnx.relu(layers[0](x))
        x2 = nnx.relu(layers[1](x1))
        x3 = nnx.relu(layers[2](x2))
        x4 = nnx.relu(layers[3](x3))
        x5 = nnx.relu(layers[4](jnp.concatenate([x3, x4], axis=-1)))
        x6 = nnx.relu(layers[5](jnp.concatenate([x2, x5], axis=-1)))
        curves = jnp.tanh(layers[6](jnp.concatenate([x1, x6], axis=-1)).astype(jnp.float32))
        return curves.reshape(*images.shape[:-1], _MAPS)

    def __call__(
        self, images: Float[Array, "*batch height width _channel"]
    ) -> tuple[Float[Array, "*batch height width 3"], Float[Array, "*batch height width 24"]]:
        """The enhanced pictures in [0, 1] and the curve maps, see `curves`; both float32."""
        curves = self.curves(images)
        return apply_curves(_as_rgb(images), curves), curves


def apply_curves(
    images: Float[Array, "*batch height width 3"], curves: Float[Array, "*batch height width 24"]
) -> Float[Array, "*batch height width 3"]:
    """Eight times x + r (x^2 - x), each with its three maps (the paper's Eq. 3, with A = -r)."""
    x = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    for r in jnp.split(curves.astype(x.dtype), ITERATIONS, axis=-1):
        x = x + r * (jnp.square(x) - x)
    return x


def multiply_accumulates(height: int, width: int) -> int:
    """Multiply-accumulates of one picture, counted as `models.cost` counts them."""
    return height * width * sum(9 * inputs * outputs for inputs, outputs in _CHANNELS)


def _as_rgb(
    images: Float[Array, "*batch height width _channel"],
) -> Float[Array, "*batch height width 3"]:
    channels = images.shape[-1]
    if channels not in (1, 3):
        raise ValueError(
            f"Zero-DCE takes pictures of three channels, or of one that stands for all three; found {channels}"
        )
    return jnp.broadcast_to(images, (*images.shape[:-1], 3))


def _convolution(inputs: int, outputs: int, dtype: DTypeLike, rngs: nnx.Rngs) -> nnx.Conv:
    bound = (9 * inputs) ** -0.5
    return nnx.Conv(
        inputs,
        outputs,
        kernel_size=(3, 3),
        padding=((1, 1), (1, 1)),
        kernel_init=nnx.initializers.normal(0.02),
        bias_init=functools.partial(_uniform, bound=bound),
        dtype=dtype,
        param_dtype=jnp.float32,
        rngs=rngs,
    )


def _uniform(
    key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32, *_: object, bound: float
) -> Array:
    return jax.random.uniform(key, shape, dtype, -bound, bound)
