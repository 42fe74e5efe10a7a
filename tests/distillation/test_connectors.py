import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.distillation.connectors import Connector, Embedding, stage_pairs


def naive_connector(connector, maps):
    """1x1 convolution and BatchNorm with the batch's statistics, in float64."""
    x = np.asarray(maps, np.float64) @ np.asarray(connector.conv.kernel[...], np.float64)
    mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    unbiased = x.reshape(-1, x.shape[-1]).var(axis=0, ddof=1)
    return (x - mean) / np.sqrt(var + 1e-5), mean, unbiased


def test_connector_is_a_1x1_convolution_with_batch_statistics():
    connector = Connector(3, 5, rngs=nnx.Rngs(0))
    assert connector.conv.kernel.shape == (3, 5)
    assert connector.conv.bias is None
    maps = jnp.asarray(np.random.default_rng(0).random((4, 3, 2, 3)), jnp.float32)
    convolved = jax.lax.conv_general_dilated(
        maps,
        connector.conv.kernel[...][None, None],
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    np.testing.assert_allclose(connector.conv(maps), convolved, rtol=1e-5, atol=1e-6)
    expected, mean, unbiased = naive_connector(connector, maps)
    np.testing.assert_allclose(connector(maps), expected, rtol=1e-3, atol=1e-4)
    # The running statistics move by a tenth.
    np.testing.assert_allclose(connector.bn.mean[...], 0.1 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(connector.bn.var[...], 0.9 + 0.1 * unbiased, rtol=1e-4)


def test_connector_of_equal_maps_is_finite():
    connector = Connector(3, 5, rngs=nnx.Rngs(0))
    graph, params, stats = nnx.split(connector, nnx.Param, nnx.BatchStat)

    @jax.jit
    def gradient(maps):
        return jax.grad(lambda m: jnp.sum(nnx.merge(graph, params, stats, copy=True)(m) ** 3))(maps)

    for value in (0.0, 7.0):
        assert np.isfinite(gradient(jnp.full((1, 2, 2, 3), value))).all()


def test_embedding_has_unit_length():
    embedding = Embedding(6, 4, rngs=nnx.Rngs(1))
    found = embedding(jnp.asarray(np.random.default_rng(1).random((5, 6)), jnp.float32))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.ones(5), rtol=1e-5)


def test_stage_pairs_are_in_order_and_complete():
    widths = Widths({"stage2": 8, "stage1": 4}, {"stage1": 16, "stage2": 32})
    assert stage_pairs(widths) == [(4, 16), (8, 32)]
    with pytest.raises(ValueError, match="student has the stages stage1 and the teacher stage1, "):
        stage_pairs(Widths({"stage1": 4}, widths.teacher))
    with pytest.raises(ValueError, match="none"):
        stage_pairs(Widths({}, {}))
