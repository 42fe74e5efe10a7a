"""Temporal segment network: Wang et al., "Temporal segment networks", arXiv:1608.00859.

One image network looks at every sampled frame of a clip; the segments' logits are averaged.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from rgb2ir_jax.models.output import NetworkOutput
from rgb2ir_jax.models.resnet import ResNet


class TSN(nnx.Module):
    """A `ResNet` applied to each segment of a clip, with the average as consensus.

    The module holds parameters (`nnx.Param`) and BatchNorm statistics (`nnx.BatchStat`) and nothing
    else, so that ``nnx.split(model, nnx.Param, nnx.BatchStat)`` is exhaustive and the pair can go
    through a plain `jax.jit`. Inside `jax.grad`, merge with ``copy=True``: statistics that come
    from outside the differentiated function cannot be updated in place there.

    Args:
        depth: of the ResNet: 10, 18, 34, 50 or 101.
        num_classes: number of logits.
        width: base width of the ResNet, 64 for the published networks.
        in_channels: channels of a frame.
        dropout: probability of zeroing a pooled feature before the classifier, in training only.
        zero_init_residual: see `ResNet`.
        temporal_shift: see `ResNet`; the segments of a clip are then no longer seen one by one.
        stride_in_1x1: see `ResNet`.
        classifier_std: see `ResNet`.
        dtype: compute dtype of the convolutions; parameters and logits are float32.
        rngs: supplies the "params" stream.

    Raises:
        ValueError: as `ResNet` does.
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
        self.network = ResNet(
            depth,
            num_classes,
            width=width,
            in_channels=in_channels,
            dropout=dropout,
            zero_init_residual=zero_init_residual,
            temporal_shift=temporal_shift,
            stride_in_1x1=stride_in_1x1,
            classifier_std=classifier_std,
            dtype=dtype,
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
            clips: normalised frames, one a segment.
            train: use and accumulate batch statistics (over clips and segments together, as the
                authors do) and apply dropout, drawn anew for each frame.
            dropout_key: see `ResNet.__call__`.

        Returns:
            Consensus logits, stage maps and pooled features, see `NetworkOutput`.
        """
        batch, time = clips.shape[:2]
        frames = clips.reshape(batch * time, *clips.shape[2:])
        output = self.network(frames, train=train, dropout_key=dropout_key, segments=time)

        def unfold(x: Array) -> Array:
            return x.reshape(batch, time, *x.shape[1:])

        return NetworkOutput(
            logits=jnp.mean(unfold(output.logits), axis=1),
            stages=jax.tree.map(unfold, output.stages),
            features=unfold(output.features),
        )

    def head(
        self, maps: Float[Array, "clip time height width channel"]
    ) -> Float[Array, "clip classes"]:
        """The logits of the last stage's maps, as evaluation computes them."""
        return jnp.mean(self.network.fc(jnp.mean(maps, axis=(2, 3))), axis=1)
