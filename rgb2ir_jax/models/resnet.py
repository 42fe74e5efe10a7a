"""ResNet for images: He et al., "Deep residual learning for image recognition", arXiv:1512.03385.

The network is torchvision's, number for number, so that published weights keep their meaning:
version 1.5 bottlenecks (the stride sits in the 3x3 convolution), explicit symmetric padding, a
max-pool padded with minus infinity, and BatchNorm with epsilon 1e-5. Module names follow
torchvision's tensor names (``layer1.0.conv1``), see ``pretrained/torchvision_layout.py``.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from rgb2ir_jax.models.blocks import (
    BasicBlock,
    Bottleneck,
    batch_norm,
    convolution,
)
from rgb2ir_jax.models.output import STAGE_NAMES
from rgb2ir_jax.models.pooling import max_pool_3x3_stride_2

# The authors of TSM shift in every second block of a network whose third stage is this deep.
_BLOCKS_OF_A_DEEP_STAGE = 23


class Architecture(NamedTuple):
    """How deep each of the four stages is, and of which kind its blocks are."""

    blocks: tuple[int, int, int, int]
    bottleneck: bool


ARCHITECTURES = {
    # Of Simon, Rodner and Denzler, arXiv:1612.01452; for quick trials. torchvision has the others.
    10: Architecture((1, 1, 1, 1), bottleneck=False),
    18: Architecture((2, 2, 2, 2), bottleneck=False),
    34: Architecture((3, 4, 6, 3), bottleneck=False),
    50: Architecture((3, 4, 6, 3), bottleneck=True),
    101: Architecture((3, 4, 23, 3), bottleneck=True),
}


class ImageOutput(NamedTuple):
    """The output of a ResNet for a batch of images.

    Attributes:
        logits: float32.
        stages: feature map of each stage after its last ReLU, by name, in the compute dtype.
        features: globally average-pooled map of the last stage, before dropout, float32.
    """

    logits: Float[Array, "batch classes"]
    stages: dict[str, Float[Array, "batch _height _width _channel"]]
    features: Float[Array, "batch channel"]


class ResNet(nnx.Module):
    """A ResNet with its classifier.

    Args:
        depth: 10, 18, 34, 50 or 101.
        num_classes: number of logits.
        width: channels of the stem; stage i has width * 2^(i-1) channels (times four for
            bottlenecks). 64 is the published network.
        in_channels: channels of the input image.
        dropout: probability of zeroing a pooled feature before the classifier, in training only.
        zero_init_residual: start the last BatchNorm scale of every block at 0, so that each block
            is the identity at first. Off, as in torchvision's published training.
        temporal_shift: let the residual branches exchange an eighth of their channels with each
            neighbouring segment (TSM, "blockres"; in every block, with depth 101 in every second
            one, as the authors do). Images are then the segments of clips. No tensor changes.
        stride_in_1x1: let bottlenecks carry the stride in their first convolution (version 1)
            instead of the second one (version 1.5). Tensors cannot tell which they are for.
        classifier_std: standard deviation of the initial classifier weights. 0.001 is what the
            authors of TSN use (their models.py); the first predictions are then nearly uniform.
        dtype: compute dtype of the convolutions; parameters, BatchNorm statistics, pooled features
            and the classifier stay float32.
        rngs: supplies the "params" stream. No random state is kept.

    Raises:
        ValueError: for an unknown depth, a width, class or channel number below 1, or a dropout
            probability outside [0, 1).
    """

    def __init__(
        self,
        depth: int,
        num_classes: int,
        *,
        width: int = 64,
        in_channels: int = 3,
        dropout: float = 0.0,
        zero_init_residual: bool = False,
        temporal_shift: bool = False,
        stride_in_1x1: bool = False,
        classifier_std: float = 0.001,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        if depth not in ARCHITECTURES:
            raise ValueError(f"ResNet depth is {depth}, expected one of {sorted(ARCHITECTURES)}.")
        for name, value in (
            ("num_classes", num_classes),
            ("width", width),
            ("in_channels", in_channels),
        ):
            if value < 1:
                raise ValueError(f"ResNet {name} is {value}, expected at least 1.")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"ResNet dropout is {dropout}, expected a probability in [0, 1).")
        architecture = ARCHITECTURES[depth]
        block = Bottleneck if architecture.bottleneck else BasicBlock
        variant = {"stride_in_1x1": stride_in_1x1} if architecture.bottleneck else {}
        every = 2 if architecture.blocks[2] >= _BLOCKS_OF_A_DEEP_STAGE else 1

        self.dtype = jnp.dtype(dtype)
        self.dropout = dropout
        self.conv1 = convolution(in_channels, width, 7, 2, dtype, rngs)
        self.bn1 = batch_norm(width, dtype, rngs)

        def stage(index: int) -> nnx.List:
            channels = width * 2**index
            in_channels = width if index == 0 else channels // 2 * block.expansion
            blocks = []
            for position in range(architecture.blocks[index]):
                blocks.append(
                    block(
                        in_channels,
                        channels,
                        stride=2 if index > 0 and position == 0 else 1,
                        zero_init_residual=zero_init_residual,
                        shift=temporal_shift and position % every == 0,
                        **variant,
                        dtype=dtype,
                        rngs=rngs,
                    )
                )
                in_channels = channels * block.expansion
            return nnx.List(blocks)

        self.layer1 = stage(0)
        self.layer2 = stage(1)
        self.layer3 = stage(2)
        self.layer4 = stage(3)
        self.fc = nnx.Linear(
            8 * width * block.expansion,
            num_classes,
            kernel_init=nnx.initializers.normal(classifier_std),
            dtype=jnp.float32,
            param_dtype=jnp.float32,
            rngs=rngs,
        )

    def __call__(
        self,
        images: Float[Array, "batch height width channel"],
        *,
        train: bool,
        dropout_key: PRNGKeyArray | None = None,
        segments: int | None = None,
    ) -> ImageOutput:
        """Computes logits, stage maps and pooled features of normalised images.

        Args:
            images: normalised, NHWC.
            train: normalise by the batch's statistics, update the running ones and apply dropout;
                otherwise normalise by the running statistics.
            dropout_key: the key of this call's dropout mask, needed when `train` is set and the
                dropout probability is not 0.
            segments: images of each clip, which must follow each other; needed with
                `temporal_shift` alone.

        Raises:
            ValueError: in training with dropout when no key is given; with `temporal_shift` when
                the images are no whole number of clips, or `segments` is not given.
        """
        x = jnp.asarray(images, self.dtype)
        x = nnx.relu(self.bn1(self.conv1(x), use_running_average=not train))
        x = max_pool_3x3_stride_2(x)
        stages = {}
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        for name, blocks in zip(STAGE_NAMES, layers, strict=True):
            for block in blocks:
                x = block(x, train=train, segments=segments)
            stages[name] = x
        features = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        classified = features
        if train and self.dropout > 0.0:
            if dropout_key is None:
                raise ValueError(
                    f"Training with dropout={self.dropout} needs a dropout_key, found None: pass "
                    "one derived from the run's seed and the step number."
                )
            keep = 1.0 - self.dropout
            mask = jax.random.bernoulli(dropout_key, keep, features.shape)
            classified = jnp.where(mask, features / keep, 0.0)
        return ImageOutput(self.fc(classified), stages, features)
