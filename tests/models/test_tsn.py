"""Segments, consensus, dropout and the functional style of training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models import STAGE_NAMES, TSN, NetworkOutput


def narrow(**options: object) -> TSN:
    return TSN(18, 5, width=4, classifier_std=0.5, rngs=nnx.Rngs(0), **options)


def clips(batch: int = 2, time: int = 3, size: int = 32, channels: int = 3) -> jax.Array:
    shape = (batch, time, size, size + 8, channels)
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


def test_consensus_is_the_mean_of_the_frames_logits() -> None:
    model, x = narrow(), clips()
    output = model(x, train=False)
    for index, clip in enumerate(x):
        frames = [model.network(frame[None], train=False) for frame in clip]
        mean = np.mean([np.asarray(frame.logits[0]) for frame in frames], axis=0)
        np.testing.assert_allclose(output.logits[index], mean, atol=1e-5)
        for time, frame in enumerate(frames):
            np.testing.assert_allclose(output.features[index, time], frame.features[0], atol=1e-5)
            for name in STAGE_NAMES:
                np.testing.assert_allclose(
                    output.stages[name][index, time], frame.stages[name][0], atol=1e-4
                )


@pytest.mark.parametrize(("depth", "expansion"), [(18, 1), (50, 4)])
def test_stage_names_and_shapes_at_full_size(depth: int, expansion: int) -> None:
    def run(x: jax.Array) -> NetworkOutput:
        return TSN(depth, 60, rngs=nnx.Rngs(0))(x, train=False)

    output = jax.eval_shape(run, jax.ShapeDtypeStruct((2, 8, 224, 224, 3), jnp.float32))

    assert output.logits.shape == (2, 60)
    assert output.features.shape == (2, 8, 512 * expansion)
    assert {name: stage.shape for name, stage in output.stages.items()} == {
        "stage1": (2, 8, 56, 56, 64 * expansion),
        "stage2": (2, 8, 28, 28, 128 * expansion),
        "stage3": (2, 8, 14, 14, 256 * expansion),
        "stage4": (2, 8, 7, 7, 512 * expansion),
    }
    assert tuple(output.stages) == STAGE_NAMES


def test_stages_are_after_the_relu() -> None:
    output = narrow()(clips(), train=False)
    for stage in output.stages.values():
        assert float(jnp.min(stage)) == 0.0
    pooled = np.asarray(output.stages["stage4"]).mean(axis=(2, 3))
    np.testing.assert_allclose(output.features, pooled, atol=1e-5)


def test_jit_over_split_state_equals_eager_and_returns_new_statistics() -> None:
    model, x, key = narrow(dropout=0.5), clips(), jax.random.key(3)
    graphdef, params, statistics = nnx.split(model, nnx.Param, nnx.BatchStat)

    @jax.jit
    def step(params, statistics, x, key):
        network = nnx.merge(graphdef, params, statistics)
        output = network(x, train=True, dropout_key=key)
        return output, nnx.state(network, nnx.BatchStat)

    output, moved = step(params, statistics, x, key)
    expected = model(x, train=True, dropout_key=key)

    assert jax.tree.structure(output) == jax.tree.structure(expected)
    for found, wanted in zip(jax.tree.leaves(output), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert jax.tree.structure(moved) == jax.tree.structure(statistics)
    for found, wanted in zip(
        jax.tree.leaves(moved), jax.tree.leaves(nnx.state(model, nnx.BatchStat)), strict=True
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_gradients_reach_every_parameter() -> None:
    graphdef, params, statistics = nnx.split(narrow(), nnx.Param, nnx.BatchStat)
    x = clips()

    @jax.jit
    @jax.grad
    def gradient(params):
        output = nnx.merge(graphdef, params, statistics, copy=True)(x, train=True)
        return -jnp.mean(jax.nn.log_softmax(output.logits)[:, 1])

    for path, value in nnx.to_flat_state(gradient(params)):
        assert np.isfinite(value[...]).all(), path
        assert np.any(value[...] != 0), path


def test_dropout_acts_in_training_alone_and_follows_its_key() -> None:
    model, x = narrow(dropout=0.5), clips()
    still = model(x, train=False).logits
    np.testing.assert_array_equal(still, model(x, train=False).logits)
    np.testing.assert_array_equal(
        still, model(x, train=False, dropout_key=jax.random.key(0)).logits
    )

    def trained(seed: int) -> NetworkOutput:
        return model(x, train=True, dropout_key=jax.random.key(seed))

    first, again, other = trained(0), trained(0), trained(1)
    np.testing.assert_array_equal(first.logits, again.logits)
    assert np.abs(np.asarray(first.logits - other.logits)).max() > 0.01
    # Features are what the classifier would see without dropout.
    np.testing.assert_array_equal(first.features, other.features)


def test_dropout_keeps_the_expected_logits() -> None:
    model, x = narrow(dropout=0.5), clips()
    graphdef, state = nnx.split(model)

    def run(state, key):
        return nnx.merge(graphdef, state)(x, train=True, dropout_key=key).logits

    keys = jax.random.split(jax.random.key(0), 400)
    logits = jax.jit(jax.vmap(run, in_axes=(None, 0)))(state, keys)
    without = narrow()(x, train=True).logits
    deviation = np.asarray(logits.std(axis=0)) / np.sqrt(400)
    assert (np.abs(logits.mean(axis=0) - without) < 5 * deviation).all()


def test_dropout_without_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dropout=0\.5 needs a dropout_key"):
        narrow(dropout=0.5)(clips(), train=True)


def test_output_is_a_pytree_for_any_leaves() -> None:
    output = narrow()(clips(), train=False)
    names = jax.tree.map(lambda leaf: leaf.shape, output)
    assert names.logits == (2, 5)
    assert jax.tree.map(lambda leaf: None, output).features is None
