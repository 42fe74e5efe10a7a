"""What R(2+1)D is built of: a convolution over space, one over time, and residual blocks of both.

Tran et al., "A closer look at spatiotemporal convolutions for action recognition", CVPR 2018,
arXiv:1711.11248, sec. 3.5. Both convolutions are computed as two-dimensional ones, the spatial one on
the frames of all clips and the temporal one on (time, place): the sums are the same, and XLA's
three-dimensional convolutions take up to ten times as long on a CPU.
"""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rgb2ir_jax.models.blocks import Downsample, batch_norm, convolution
from rgb2ir_jax.models.convolution import convolve

_he_normal_fan_out = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


def middle_channels(in_channels: int, out_channels: int) -> int:
    """Channels between the two convolutions that give both the parameters of one of 3x3x3.

    M = floor(t d^2 N_in N_out / (d^2 N_in + t N_out)) with t = d = 3, sec. 3.5 of the paper.
    """
    return 27 * in_channels * out_channels // (9 * in_channels + 3 * out_channels)


def by_frame(
    function: Callable[[Array], Array], clips: Float[Array, "clip time height width channel"]
) -> Float[Array, "clip time out_height out_width out_channel"]:
    """Applies a function of images (NHWC) to all frames of all clips."""
    count, time = clips.shape[:2]
    images = function(clips.reshape(count * time, *clips.shape[2:]))
    return images.reshape(count, time, *images.shape[1:])


class Conv2Plus1D(nnx.Module):
    """A convolution over space, BatchNorm, ReLU, one of three steps over time, BatchNorm.

    Args:
        in_channels: of the input.
        middle: channels between the two.
        out_channels: of the output.
        size: of the spatial kernel's sides.
        stride: in space.
        time_stride: in time; of t steps ceil(t / time_stride) are left.
        epsilon: of both BatchNorms.
        zero_scale: start the last BatchNorm's scale at 0.
        dtype: compute dtype.
        rngs: supplies the "params" stream.
    """

    def __init__(
        self,
        in_channels: int,
        middle: int,
        out_channels: int,
        *,
        size: int = 3,
        stride: int = 1,
        time_stride: int = 1,
        epsilon: float,
        zero_scale: bool = False,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ) -> None:
        self.conv1 = convolution(in_channels, middle, size, stride, dtype, rngs)
        self.bn1 = batch_norm(middle, dtype, rngs, epsilon=epsilon)
        self.conv2 = nnx.Conv(
            middle,
            out_channels,
            kernel_size=(3, 1),
            strides=(time_stride, 1),
            padding=((1, 1), (0, 0)),
            use_bias=False,
            kernel_init=_he_normal_fan_out,
            conv_general_dilated=convolve,
            dtype=dtype,
            param_dtype=jnp.float32,
            rngs=rngs,
        )
        self.bn2 = batch_norm(out_channels, dtype, rngs, epsilon=epsilon, zero_scale=zero_scale)

    def __call__(
        self, clips: Float[Array, "clip time height width channel"], *, train: bool
    ) -> Float[Array, "clip out_time out_height out_width out_channel"]:
        """Applies both; what follows the last BatchNorm is the caller's."""
        frozen = not train

        def over_space(images: Array) -> Array:
            return nnx.relu(self.bn1(self.conv1(images), use_running_average=frozen))

        x = by_frame(over_space, clips)
        count, time, height, width, channels = x.shape
        x = self.conv2(x.reshape(count, time, height * width, channels))
        x = self.bn2(x, use_running_average=frozen)
        return x.reshape(count, x.shape[1], height, width, x.shape[-1])


class Block(nnx.Module):
    """Two factorised convolutions around a shortcut; a stride counts in time as in space.

    Args:
        in_channels: of the input.
        channels: of the output.
        stride: of the first convolution.
        own_middle: let the second convolution's middle follow from its own channels, as Caffe2's
            networks do; otherwise it is the first one's, as in torchvision. Both are the same but
            in the first block of a stage that widens.
        epsilon: of the BatchNorms.
        zero_init_residual: start the last BatchNorm's scale at 0.
        dtype: compute dtype.
        rngs: supplies the "params" stream.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        *,
        own_middle: bool,
        epsilon: float,
        zero_init_residual: bool,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ) -> None:
        middle = middle_channels(in_channels, channels)
        self.stride = stride
        self.first = Conv2Plus1D(
            in_channels,
            middle,
            channels,
            stride=stride,
            time_stride=stride,
            epsilon=epsilon,
            dtype=dtype,
            rngs=rngs,
        )
        self.second = Conv2Plus1D(
            channels,
            middle_channels(channels, channels) if own_middle else middle,
            channels,
            epsilon=epsilon,
            zero_scale=zero_init_residual,
            dtype=dtype,
            rngs=rngs,
        )
        if stride != 1 or in_channels != channels:
            self.downsample = Downsample(
                in_channels, channels, stride, epsilon=epsilon, dtype=dtype, rngs=rngs
            )

    def __call__(
        self, clips: Float[Array, "clip time height width channel"], *, train: bool
    ) -> Float[Array, "clip out_time out_height out_width out_channel"]:
        """Applies the block; `train` selects batch statistics and updates the running ones."""
        shortcut = clips
        if hasattr(self, "downsample"):
            # A kernel of one step with a stride sees every `stride`-th step alone.
            shortcut = by_frame(
                lambda images: self.downsample(images, train=train), clips[:, :: self.stride]
            )
        x = nnx.relu(self.first(clips, train=train))
        return nnx.relu(self.second(x, train=train) + shortcut)
