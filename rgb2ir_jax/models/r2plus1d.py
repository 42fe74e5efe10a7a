"""R(2+1)D, a network whose convolutions see space and time in turn.

Tran et al., "A closer look at spatiotemporal convolutions for action recognition", CVPR 2018,
arXiv:1711.11248. The networks are the published ones, number for number, so that their weights keep their meaning: 18
layers as torchvision's `r2plus1d_18`, 34 layers as Caffe2's that were trained on IG-65M (Ghadiyaram et
al., arXiv:1905.00561). Names of tensors: ``pretrained/video_layout.py``.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from rgb2ir_jax.models.bert_head import TemporalBERT
from rgb2ir_jax.models.output import STAGE_NAMES, NetworkOutput
from rgb2ir_jax.models.r2plus1d_blocks import Block, Conv2Plus1D

TEMPORAL_HEADS = ("mean", "bert")
"""What makes one vector of a clip's time steps: their mean, or a class token that attends to them."""


class VideoArchitecture(NamedTuple):
    """What tells the published networks apart.

    Attributes:
        blocks: of each stage.
        epsilon: of the BatchNorms.
        own_middle: see `Block`.
    """

    blocks: tuple[int, int, int, int]
    epsilon: float
    own_middle: bool


VIDEO_ARCHITECTURES = {
    # torchvision's, which counts the middle channels once a block.
    18: VideoArchitecture((2, 2, 2, 2), 1e-5, own_middle=False),
    # Caffe2's, whose weights PyTorch's users have from moabitcoin/ig65m-pytorch.
    34: VideoArchitecture((3, 4, 6, 3), 1e-3, own_middle=True),
}


class R2Plus1D(nnx.Module):
    """An R(2+1)D with its classifier.

    Stages two to four halve time, as they halve height and width: clips of T frames leave ceil(T/8)
    time steps in the last stage. There is no max-pool: stages have twice the height and width of a
    ResNet's of the same input.

    As a `TSN`, it holds parameters and BatchNorm statistics and nothing else.

    Args:
        depth: 18 or 34.
        num_classes: number of logits.
        width: channels of the stem, 64 in the published networks; stage i has width * 2^(i-1).
        in_channels: channels of a frame.
        dropout: probability of zeroing a feature of the clip before the classifier, in training only.
        zero_init_residual: start the last BatchNorm scale of every block at 0.
        temporal_head: "mean", the published networks' global pooling, or "bert", see `TemporalBERT`;
            BERT's own dropout of 0.1 is off where `dropout` is 0.
        classifier_std: standard deviation of the initial classifier weights, see `ResNet`.
        dtype: compute dtype of the convolutions; parameters, BatchNorm statistics, pooled features,
            the head and the classifier stay float32.
        rngs: supplies the "params" stream. No random state is kept.

    Raises:
        ValueError: for an unknown depth or head, a width, class or channel number below 1, or a
            dropout probability outside [0, 1).
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
        temporal_head: str = "mean",
        classifier_std: float = 0.001,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        if depth not in VIDEO_ARCHITECTURES:
            raise ValueError(
                f"R(2+1)D depth is {depth}, expected one of {sorted(VIDEO_ARCHITECTURES)}."
            )
        for name, value in (
            ("num_classes", num_classes),
            ("width", width),
            ("in_channels", in_channels),
        ):
            if value < 1:
                raise ValueError(f"R(2+1)D {name} is {value}, expected at least 1.")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"R(2+1)D dropout is {dropout}, expected a probability in [0, 1).")
        if temporal_head not in TEMPORAL_HEADS:
            raise ValueError(
                f"R(2+1)D temporal_head is {temporal_head!r}, expected one of {', '.join(TEMPORAL_HEADS)}."
            )
        architecture = VIDEO_ARCHITECTURES[depth]
        epsilon = architecture.epsilon
        self.dtype = jnp.dtype(dtype)
        self.dropout = dropout
        # 45 channels in the middle of a stem of 64, where the paper's formula would have 83.
        self.stem = Conv2Plus1D(
            in_channels,
            max(1, 45 * width // 64),
            width,
            size=7,
            stride=2,
            epsilon=epsilon,
            dtype=dtype,
            rngs=rngs,
        )

        def stage(index: int) -> nnx.List:
            channels = width * 2**index
            return nnx.List(
                Block(
                    channels // 2 if index > 0 and position == 0 else channels,
                    channels,
                    stride=2 if index > 0 and position == 0 else 1,
                    own_middle=architecture.own_middle,
                    epsilon=epsilon,
                    zero_init_residual=zero_init_residual,
                    dtype=dtype,
                    rngs=rngs,
                )
                for position in range(architecture.blocks[index])
            )

        self.layer1 = stage(0)
        self.layer2 = stage(1)
        self.layer3 = stage(2)
        self.layer4 = stage(3)
        if temporal_head == "bert":
            self.bert = TemporalBERT(8 * width, dropout=0.1 if dropout else 0.0, rngs=rngs)
        self.fc = nnx.Linear(
            8 * width,
            num_classes,
            kernel_init=nnx.initializers.normal(classifier_std),
            param_dtype=jnp.float32,
            rngs=rngs,
        )

    def __call__(
        self,
        clips: Float[Array, "clip time height width channel"],
        *,
        train: bool,
        dropout_key: PRNGKeyArray | None = None,
    ) -> NetworkOutput:
        """Classifies a batch of clips.

        Args:
            clips: normalised consecutive frames.
            train: use and accumulate batch statistics (over clips, time and places) and apply dropout.
            dropout_key: the key of this call's dropout masks, needed when `train` is set and the
                dropout probability is not 0.

        Returns:
            Logits, stage maps and pooled features; each stage has the time steps that it left, see
            `NetworkOutput`.

        Raises:
            ValueError: in training with dropout when no key is given; with a BERT head when the clip
                is longer than it has positions for.
        """
        if train and self.dropout > 0.0 and dropout_key is None:
            raise ValueError(
                f"Training with dropout={self.dropout} needs a dropout_key, found None: pass one derived "
                "from the run's seed and the step number."
            )
        x = nnx.relu(self.stem(jnp.asarray(clips, self.dtype), train=train))
        stages = {}
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        for name, blocks in zip(STAGE_NAMES, layers, strict=True):
            for block in blocks:
                x = block(x, train=train)
            stages[name] = x
        features = jnp.mean(x, axis=(2, 3), dtype=jnp.float32)
        key = dropout_key if train and self.dropout > 0.0 else None
        return NetworkOutput(self._classify(features, key), stages, features)

    def head(
        self, maps: Float[Array, "clip time height width channel"]
    ) -> Float[Array, "clip classes"]:
        """The logits of the last stage's maps, as evaluation computes them."""
        return self._classify(jnp.mean(maps, axis=(2, 3), dtype=jnp.float32), None)

    def _classify(
        self, features: Float[Array, "clip time channel"], key: PRNGKeyArray | None
    ) -> Float[Array, "clip classes"]:
        if hasattr(self, "bert"):
            inner = None if key is None else jax.random.fold_in(key, 1)
            clip = self.bert(features, dropout_key=inner)
        else:
            clip = jnp.mean(features, axis=1)
        if key is not None:
            keep = 1.0 - self.dropout
            clip = jnp.where(jax.random.bernoulli(key, keep, clip.shape), clip / keep, 0.0)
        return self.fc(clip)
