"""The BERT head against transformers' formulas, written out in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models.bert_head import TemporalBERT, attention

CLIPS, STEPS, CHANNELS, HEADS = 3, 5, 16, 8


def softmax(scores: np.ndarray) -> np.ndarray:
    exact = np.exp(scores - scores.max(-1, keepdims=True))
    return exact / exact.sum(-1, keepdims=True)


def expected_attention(query, key, value) -> np.ndarray:
    """Head by head and clip by clip, on (clip, step, head, size)."""
    out = np.zeros(query.shape)
    for clip, head in np.ndindex(query.shape[0], query.shape[2]):
        q, k, v = (x[clip, :, head].astype(np.float64) for x in (query, key, value))
        out[clip, :, head] = softmax(q @ k.T / math.sqrt(q.shape[-1])) @ v
    return out


def layer_norm(x, scale, bias) -> np.ndarray:
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-12) * scale + bias


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def random_head(**options) -> TemporalBERT:
    head = TemporalBERT(CHANNELS, rngs=nnx.Rngs(0), **options)
    rng = np.random.default_rng(0)
    for variable in jax.tree.leaves(nnx.state(head), is_leaf=lambda x: isinstance(x, nnx.Variable)):
        values = rng.normal(0, 0.4, variable.shape)
        variable[...] = jnp.asarray(values, jnp.float32)
    return head


def features(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 2, (CLIPS, STEPS, CHANNELS)).astype(np.float32)


def test_attention_is_that_of_transformers() -> None:
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(0, 3, (3, CLIPS, STEPS, HEADS, 4)).astype(np.float32)
    found = attention(*map(jnp.asarray, (query, key, value)))
    np.testing.assert_allclose(found, expected_attention(query, key, value), atol=2e-5, rtol=1e-5)


def test_the_head_is_a_layer_of_bert() -> None:
    """BertSelfAttention, BertSelfOutput, BertIntermediate, BertOutput; then the class token."""
    head, x = random_head(), features()

    def of(module, name) -> np.ndarray:
        return np.asarray(getattr(getattr(head, module), name)[...], np.float64)

    def linear(module, x) -> np.ndarray:
        return x @ of(module, "kernel") + of(module, "bias")

    tokens = np.repeat(np.asarray(head.class_token[...], np.float64)[None], CLIPS, axis=0)
    hidden = np.concatenate([tokens, x], axis=1) + np.asarray(head.positions[...])[: STEPS + 1]
    split = [linear(m, hidden).reshape(CLIPS, -1, HEADS, 2) for m in ("query", "key", "value")]
    seen = linear("attention_output", expected_attention(*split).reshape(hidden.shape))
    norms = [(of(m, "scale"), of(m, "bias")) for m in ("attention_norm", "output_norm")]
    hidden = layer_norm(hidden + seen, *norms[0])
    out = layer_norm(hidden + linear("output", gelu(linear("intermediate", hidden))), *norms[1])

    np.testing.assert_allclose(head(jnp.asarray(x)), out[:, 0], atol=5e-5)
    assert split[0].shape == (CLIPS, STEPS + 1, HEADS, CHANNELS // HEADS)


def test_the_order_of_the_steps_counts_by_the_positions_alone() -> None:
    head, x = random_head(), jnp.asarray(features())
    assert not np.allclose(head(x), head(x[:, ::-1]), atol=1e-2)
    head.positions[...] = jnp.broadcast_to(head.positions[:1], head.positions.shape)
    np.testing.assert_allclose(head(x), head(x[:, ::-1]), atol=1e-5)


def test_gradients_are_the_differences_of_the_values() -> None:
    with jax.enable_x64(True):
        graph, state = nnx.split(random_head())
        state = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), state)
        x, slope = (jnp.asarray(features(seed), jnp.float64) for seed in (1, 2))
        weights = slope[:, 0]

        def loss(state, x):
            return jnp.sum(weights * nnx.merge(graph, state)(x))

        gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(state, x)
        direction = jax.tree.map(
            lambda leaf: jnp.asarray(np.random.default_rng(leaf.size).normal(size=leaf.shape)),
            (state, x),
        )
        slopes = jax.tree.map(lambda g, d: jnp.sum(g * d), gradients, direction)
        expected = sum(jax.tree.leaves(slopes))
        step = 1e-5

        def moved(by):
            return loss(*jax.tree.map(lambda value, d: value + by * d, (state, x), direction))

        found = (moved(step) - moved(-step)) / (2 * step)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_published_size() -> None:
    """Kalfaoglu et al., table 2: R(2+1)D with BERT on HMDB51 has 66.67 M parameters."""
    head = nnx.eval_shape(lambda: TemporalBERT(512, steps=4, rngs=nnx.Rngs(0)))
    own = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(head)))
    # Four square matrices, two of 512x2048, their biases, two norms, five positions, the token.
    assert own == 4 * 512 * 513 + 2 * 512 * 2048 + 2048 + 512 + 4 * 512 + 6 * 512
    trunk = 63_697_175 - 349 * 513  # 51 classes instead of 400.
    assert (trunk + own) / 1e6 == pytest.approx(66.67, abs=0.005)


def test_dropout_only_with_a_key_and_in_expectation_the_same() -> None:
    head, x = random_head(), jnp.asarray(features())
    np.testing.assert_array_equal(head(x), head(x))
    one, other = (head(x, dropout_key=jax.random.key(seed)) for seed in (0, 1))
    assert not np.allclose(one, other)
    np.testing.assert_array_equal(
        random_head(dropout=0.0)(x, dropout_key=jax.random.key(0)), head(x)
    )


def test_what_the_head_refuses() -> None:
    with pytest.raises(ValueError, match="8 attention heads cannot share 12 channels"):
        TemporalBERT(12, rngs=nnx.Rngs(0))
    head = TemporalBERT(8, steps=2, rngs=nnx.Rngs(0))
    with pytest.raises(
        ValueError, match=r"3 time steps .* positions for 2; choose clips of at most 16"
    ):
        head(jnp.zeros((1, 3, 8)))
