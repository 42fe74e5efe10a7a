"""What every network hands to losses and metrics."""

from collections.abc import Mapping
from typing import no_type_check

import flax.struct
from jaxtyping import Array, Float

STAGE_NAMES = ("stage1", "stage2", "stage3", "stage4")


# A pytree is also rebuilt with shapes, shardings or None for leaves (jax.eval_shape, jax.tree.map),
# which a runtime check of the annotations would refuse.
@no_type_check
@flax.struct.dataclass
class NetworkOutput:
    """The output of one video network for a batch of clips; a JAX pytree.

    Attributes:
        logits: (clip, class) float32, the consensus over the clip's segments.
        stages: the feature map of each residual stage after its last ReLU, by name ("stage1" to
            "stage4", shallow to deep), each (clip, time, height, width, channel) in the network's
            compute dtype. Height, width and channels differ from stage to stage, and so do the time
            steps of a network that strides in time (R(2+1)D).
        features: (clip, time, channel) spatially average-pooled features of the last stage, before
            dropout, in float32.
    """

    logits: Float[Array, "clip classes"]
    stages: Mapping[str, Float[Array, "clip _time _height _width _channel"]]
    features: Float[Array, "clip time channel"]
