"""Folded networks against the networks that they were made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.evaluation.inference import make_scorer
from rgb2ir_jax.models import TSN
from rgb2ir_jax.models.cost import count_flops
from rgb2ir_jax.models.folding import fold_batch_norm
from rgb2ir_jax.training.sharding import make_mesh
from rgb2ir_jax.training.state import Split, merge


def network_with_random_statistics(depth: int, *, seed: int = 0, **options) -> TSN:
    """Variances from 1e-12 to 10, some exactly 0, scales of either sign."""
    tsn = TSN(depth, 5, rngs=nnx.Rngs(seed), **{"width": 8, "classifier_std": 0.5} | options)
    rng = np.random.default_rng(seed)
    for _, module in nnx.iter_modules(tsn):
        if isinstance(module, nnx.BatchNorm):
            size = module.mean.shape
            tiny = rng.random(size) < 0.2
            variance = np.where(
                tiny, 10.0 ** rng.uniform(-12, -6, size), rng.uniform(0.3, 10, size)
            )
            variance[0] = 0.0
            # A channel with next to no variance varies next to nothing around its mean.
            scale = rng.normal(size=size) * np.where(variance < 1e-5, 3e-3, 1.0)
            for name, values in (
                ("mean", 0.3 * rng.normal(size=size)),
                ("var", variance),
                ("scale", scale),
                ("bias", 0.3 * rng.normal(size=size)),
            ):
                getattr(module, name)[...] = jnp.asarray(values, jnp.float32)
    return tsn


@pytest.mark.parametrize(
    ("depth", "options"),
    [
        (18, {}),
        (18, {"width": 16, "in_channels": 1, "temporal_shift": True}),
        (34, {"width": 4}),
        (50, {}),
        (50, {"width": 4, "stride_in_1x1": True, "temporal_shift": True}),
    ],
)
def test_folded_networks_compute_the_same(depth, options) -> None:
    tsn = network_with_random_statistics(depth, **options)
    before = jax.tree.map(np.array, nnx.state(tsn))
    folded = fold_batch_norm(tsn)

    shape = (2, 3, 41, 38, options.get("in_channels", 3))
    clips = jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)

    def run(network):
        graph, state = nnx.split(network)
        return jax.jit(lambda s, x: nnx.merge(graph, s, copy=True)(x, train=False))(state, clips)

    expected, found = run(tsn), run(folded)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.isfinite(b).all()
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max(), rtol=0)
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(tsn))


def test_one_channel_by_hand() -> None:
    tsn = TSN(18, 2, width=4, rngs=nnx.Rngs(0))
    norm = tsn.network.bn1
    for name, value in (("scale", 3.0), ("bias", 0.25), ("mean", 0.5), ("var", 4.0 - 1e-5)):
        getattr(norm, name)[...] = jnp.full(4, value)
    folded = fold_batch_norm(tsn).network
    # scale / sqrt(var + epsilon) is 3 / 2, bias - mean * 3 / 2 is -0.5.
    kernel = np.asarray(tsn.network.conv1.kernel[...])
    np.testing.assert_allclose(folded.conv1.kernel[...], 1.5 * kernel, rtol=1e-6)
    np.testing.assert_allclose(folded.conv1.bias[...], np.full(4, -0.5), rtol=1e-6)


def test_a_folded_teacher_in_the_step_of_the_training() -> None:
    """Split, put on the mesh and compiled, as a teacher or a tested network is."""
    from rgb2ir_jax.models.network import NetworkSpec
    from rgb2ir_jax.training.sharding import replicated

    spec = NetworkSpec("rgb", 18, 8, 3, 5, 0.5, False, (0.5, 0.4, 0.3), (0.2,) * 3)
    mesh = make_mesh()
    tsn = network_with_random_statistics(18)
    clips = np.random.default_rng(0).integers(0, 256, (8, 2, 32, 32, 3), np.uint8)
    logits = []
    for network in (tsn, fold_batch_norm(tsn)):
        graph, variables = Split.of(network)

        def logits_of(variables, frames, graph=graph):
            return merge(graph, variables)(spec.normalise(frames), train=False).logits

        score = make_scorer(logits_of, mesh)
        logits.append(score(jax.device_put(variables, replicated(mesh)), clips))
    np.testing.assert_allclose(*logits, atol=1e-5 * np.abs(logits[0]).max(), rtol=0)


def test_nothing_is_left_of_batch_norm() -> None:
    tsn = TSN(50, 5, width=4, rngs=nnx.Rngs(0))
    folded = fold_batch_norm(tsn)
    assert not jax.tree.leaves(nnx.state(folded, nnx.BatchStat))
    assert not [m for _, m in nnx.iter_modules(folded) if isinstance(m, nnx.BatchNorm)]
    shape = (1, 2, 32, 32, 3)
    assert count_flops(folded, shape) == count_flops(tsn, shape)
    with pytest.raises(ValueError, match=r"folded into its convolutions.*train=False"):
        folded(jnp.zeros(shape), train=True)
