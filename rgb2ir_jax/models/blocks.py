"""What residual networks are built of: convolution, BatchNorm, shortcut and the two kinds of block."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rgb2ir_jax.models.convolution import convolve
from rgb2ir_jax.models.normalization import BatchNorm
from rgb2ir_jax.models.temporal_shift import temporal_shift

_he_normal_fan_out = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


def convolution(
    in_channels: int, out_channels: int, size: int, stride: int, dtype: DTypeLike, rngs: nnx.Rngs
) -> nnx.Conv:
    """A square convolution without bias, padded by (size-1)/2 on every side.

    "SAME" would pad even inputs of a strided convolution on one side only, which shifts every
    feature by half a pixel against the weights of torchvision.
    """
    margin = (size - 1) // 2
    return nnx.Conv(
        in_channels,
        out_channels,
        kernel_size=(size, size),
        strides=(stride, stride),
        padding=((margin, margin), (margin, margin)),
        use_bias=False,
        kernel_init=_he_normal_fan_out,
        conv_general_dilated=convolve,
        dtype=dtype,
        param_dtype=jnp.float32,
        rngs=rngs,
    )


def batch_norm(
    channels: int,
    dtype: DTypeLike,
    rngs: nnx.Rngs,
    *,
    zero_scale: bool = False,
    epsilon: float = 1e-5,
) -> BatchNorm:
    """BatchNorm that keeps 0.9 of its running statistics at each step (torch: momentum 0.1)."""
    initializers = nnx.initializers
    return BatchNorm(
        channels,
        momentum=0.9,
        epsilon=epsilon,
        dtype=dtype,
        param_dtype=jnp.float32,
        scale_init=initializers.zeros_init() if zero_scale else initializers.ones_init(),
        rngs=rngs,
    )


class Downsample(nnx.Module):
    """A shortcut's projection: strided 1x1 convolution and BatchNorm (option B of He et al.)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        epsilon: float = 1e-5,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ) -> None:
        self.conv = convolution(in_channels, out_channels, 1, stride, dtype, rngs)
        self.bn = batch_norm(out_channels, dtype, rngs, epsilon=epsilon)

    def __call__(
        self, x: Float[Array, "batch height width channel"], *, train: bool
    ) -> Float[Array, "batch out_height out_width out_channel"]:
        """Projects `x` to the block's output shape."""
        return self.bn(self.conv(x), use_running_average=not train)


def shifted(
    x: Float[Array, "batch height width channel"], segments: int | None
) -> Float[Array, "batch height width channel"]:
    """The temporal shift of images that are the segments of clips.

    Raises:
        ValueError: it is not said how many segments a clip has.
    """
    if segments is None:
        raise ValueError(
            "a network with temporal_shift looks at clips and needs their number of segments, found "
            "None: call it through TSN, or pass segments"
        )
    return temporal_shift(x, segments)


class BasicBlock(nnx.Module):
    """Two 3x3 convolutions around a shortcut."""

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        *,
        zero_init_residual: bool,
        shift: bool,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ) -> None:
        self.shift = shift
        self.conv1 = convolution(in_channels, channels, 3, stride, dtype, rngs)
        self.bn1 = batch_norm(channels, dtype, rngs)
        self.conv2 = convolution(channels, channels, 3, 1, dtype, rngs)
        self.bn2 = batch_norm(channels, dtype, rngs, zero_scale=zero_init_residual)
        if stride != 1 or in_channels != channels:
            self.downsample = Downsample(in_channels, channels, stride, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "batch height width channel"],
        *,
        train: bool,
        segments: int | None = None,
    ) -> Float[Array, "batch out_height out_width out_channel"]:
        """Applies the block; `train` selects batch statistics and updates the running ones.

        With `shift`, the residual branch sees the temporal shift of clips of `segments` images.
        """
        frozen = not train
        shortcut = self.downsample(x, train=train) if hasattr(self, "downsample") else x
        x = shifted(x, segments) if self.shift else x
        x = nnx.relu(self.bn1(self.conv1(x), use_running_average=frozen))
        x = self.bn2(self.conv2(x), use_running_average=frozen)
        return nnx.relu(x + shortcut)


class Bottleneck(nnx.Module):
    """1x1 reduction, 3x3 convolution, 1x1 expansion by four.

    The 3x3 convolution carries the stride (version 1.5, torchvision's), or with `stride_in_1x1` the
    reduction (version 1, the paper's and Caffe's). Both have the same tensors.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        *,
        zero_init_residual: bool,
        shift: bool,
        stride_in_1x1: bool,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ) -> None:
        out_channels = channels * self.expansion
        strides = (stride, 1) if stride_in_1x1 else (1, stride)
        self.shift = shift
        self.conv1 = convolution(in_channels, channels, 1, strides[0], dtype, rngs)
        self.bn1 = batch_norm(channels, dtype, rngs)
        self.conv2 = convolution(channels, channels, 3, strides[1], dtype, rngs)
        self.bn2 = batch_norm(channels, dtype, rngs)
        self.conv3 = convolution(channels, out_channels, 1, 1, dtype, rngs)
        self.bn3 = batch_norm(out_channels, dtype, rngs, zero_scale=zero_init_residual)
        if stride != 1 or in_channels != out_channels:
            self.downsample = Downsample(in_channels, out_channels, stride, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "batch height width channel"],
        *,
        train: bool,
        segments: int | None = None,
    ) -> Float[Array, "batch out_height out_width out_channel"]:
        """Applies the block; `train` selects batch statistics and updates the running ones.

        With `shift`, the residual branch sees the temporal shift of clips of `segments` images.
        """
        frozen = not train
        shortcut = self.downsample(x, train=train) if hasattr(self, "downsample") else x
        x = shifted(x, segments) if self.shift else x
        x = nnx.relu(self.bn1(self.conv1(x), use_running_average=frozen))
        x = nnx.relu(self.bn2(self.conv2(x), use_running_average=frozen))
        x = self.bn3(self.conv3(x), use_running_average=frozen)
        return nnx.relu(x + shortcut)
