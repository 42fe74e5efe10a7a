"""BERT over the time steps of a clip, in place of their mean.

One encoder layer of Devlin et al., "BERT", arXiv:1810.04805, over a class token and the pooled
features of a video network's last stage; Kalfaoglu et al., "Late temporal modeling in 3D CNN
architectures with BERT for action recognition", arXiv:2008.01232, sec. 3. The layer is that of
transformers' `BertLayer`: normalised after each residual sum. (The code of Kalfaoglu et al. normalises
before, and in training hides a fifth of the time steps from the attention.)
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

HEADS = 8
MOST_STEPS = 16
"""Of the last stage: a clip of 128 frames. There are two to eight in clips of 16 to 64."""

_normal = nnx.initializers.normal(0.02)


def attention(
    query: Float[Array, "clip step head size"],
    key: Float[Array, "clip step head size"],
    value: Float[Array, "clip step head size"],
    *,
    dropout: float = 0.0,
    dropout_key: PRNGKeyArray | None = None,
) -> Float[Array, "clip step head size"]:
    """Scaled dot-product attention: softmax(query key^T / sqrt(size)) value, for each head.

    With a `dropout_key`, weights are dropped with the probability `dropout`.
    """
    scores = jnp.einsum("nqhd,nkhd->nhqk", query, key) / math.sqrt(query.shape[-1])
    weights = _drop(jax.nn.softmax(scores, axis=-1), dropout, dropout_key)
    return jnp.einsum("nhqk,nkhd->nqhd", weights, value)


class TemporalBERT(nnx.Module):
    """One BERT layer over a class token and the time steps of a clip.

    Args:
        channels: of the features; a multiple of the heads.
        heads: of the attention.
        steps: the most time steps that it has positions for.
        dropout: probability of dropping an embedding, an attention weight or a sublayer's output in
            training; BERT's 0.1.
        rngs: supplies the "params" stream. No random state is kept.

    Raises:
        ValueError: the heads cannot share the channels equally.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int = HEADS,
        steps: int = MOST_STEPS,
        dropout: float = 0.1,
        rngs: nnx.Rngs,
    ) -> None:
        if channels % heads:
            raise ValueError(
                f"{heads} attention heads cannot share {channels} channels equally; choose a width of "
                "which the last stage is a multiple of the heads"
            )

        def linear(inputs: int, outputs: int) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, kernel_init=_normal, rngs=rngs)

        def layer_norm() -> nnx.LayerNorm:
            return nnx.LayerNorm(channels, epsilon=1e-12, use_fast_variance=False, rngs=rngs)

        self.heads, self.dropout = heads, dropout
        self.class_token = nnx.Param(_normal(rngs.params(), (1, channels), jnp.float32))
        self.positions = nnx.Param(_normal(rngs.params(), (steps + 1, channels), jnp.float32))
        self.query = linear(channels, channels)
        self.key = linear(channels, channels)
        self.value = linear(channels, channels)
        self.attention_output = linear(channels, channels)
        self.attention_norm = layer_norm()
        self.intermediate = linear(channels, 4 * channels)
        self.output = linear(4 * channels, channels)
        self.output_norm = layer_norm()

    def __call__(
        self,
        features: Float[Array, "clip step channel"],
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> Float[Array, "clip channel"]:
        """The class token behind the layer.

        Args:
            features: pooled features of each time step.
            dropout_key: drops by it; None: nothing is dropped (evaluation).

        Raises:
            ValueError: there are more time steps than positions.
        """
        clips, steps, channels = features.shape
        most = self.positions.shape[0] - 1
        if steps > most:
            raise ValueError(
                f"the clip has {steps} time steps in the last stage and the BERT head positions for {most}; "
                f"choose clips of at most {8 * most} frames"
            )
        keys = (None,) * 4 if dropout_key is None else tuple(jax.random.split(dropout_key, 4))
        token = jnp.broadcast_to(self.class_token[...], (clips, 1, channels))
        x = jnp.concatenate([token, features], axis=1) + self.positions[: steps + 1]
        x = _drop(x, self.dropout, keys[0])

        by_head = (clips, steps + 1, self.heads, channels // self.heads)
        query, key, value = (
            projection(x).reshape(by_head) for projection in (self.query, self.key, self.value)
        )
        seen = attention(query, key, value, dropout=self.dropout, dropout_key=keys[1])
        seen = self.attention_output(seen.reshape(x.shape))
        x = self.attention_norm(x + _drop(seen, self.dropout, keys[2]))
        # What follows the attention is computed of each step alone, and only one is asked for.
        x = x[:, 0]
        wide = jax.nn.gelu(self.intermediate(x), approximate=False)
        return self.output_norm(x + _drop(self.output(wide), self.dropout, keys[3]))


def _drop(
    x: Float[Array, "*shape"], rate: float, key: PRNGKeyArray | None
) -> Float[Array, "*shape"]:
    if key is None or rate == 0.0:
        return x
    keep = 1.0 - rate
    return jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0.0)
