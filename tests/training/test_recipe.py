"""What a config can add to an update, against closed forms and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from configs import ntu
from rgb2ir_jax.distillation.objective import Objective
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.batch_norm import (
    FrozenBatchNorm,
    ReplicaBatchNorm,
    arrange_batch_norm,
    is_batch_norm,
    is_first,
)
from rgb2ir_jax.training.ema import average_decay
from rgb2ir_jax.training.label_smoothing import smoothing_term
from rgb2ir_jax.training.optimizer import make_optimizer, rate_factor


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_label_smoothing_is_optaxs(share):
    rng = np.random.default_rng(0)
    logits, labels = (
        jnp.asarray(rng.normal(size=(6, 5)), jnp.float32),
        jnp.asarray([0, 1, 2, 3, 4, 0]),
    )
    plain = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    smoothed = optax.smooth_labels(jax.nn.one_hot(labels, 5), share)
    expected = optax.softmax_cross_entropy(logits, smoothed).mean()
    term = smoothing_term(Objective({}), logits, labels, jnp.zeros(()), share)
    assert float(plain + term) == pytest.approx(float(expected), rel=1e-6)


def test_label_smoothing_follows_a_method_that_scales_the_cross_entropy():
    logits, labels = jnp.asarray([[1.0, 2.0, 0.0]]), jnp.asarray([2])
    half = Objective({"st": {"weight": 1.0, "temperature": 4.0, "cross_entropy": 0.5}})
    term, whole = (
        smoothing_term(o, logits, labels, jnp.zeros(()), 0.2) for o in (half, Objective({}))
    )
    assert float(term) == pytest.approx(0.5 * float(whole))


def small_optimizer(**fields):
    config = ntu.get_config()
    with config.unlocked():
        config.optimizer.update({"clip_norm": 0.0, "weight_decay": 0.1, "momentum": 0.0, **fields})
    return config


PARAMS = {
    "network": {
        "conv1": {"kernel": jnp.ones((2, 2))},
        "bn1": {"scale": jnp.ones(2), "bias": jnp.ones(2)},
        "layer1": {"bn1": {"scale": jnp.ones(2), "bias": jnp.ones(2)}},
        "fc": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)},
    },
    "objective": {"connector": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}},
}


def updates(config, batch_norm="train", gradient=0.0):
    optimizer = make_optimizer(config, optax.constant_schedule(1.0), batch_norm)
    gradients = jax.tree.map(lambda leaf: jnp.full_like(leaf, gradient), PARAMS)
    found, _ = optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)
    return {
        jax.tree_util.keystr(p, simple=True, separator="."): float(v.ravel()[0])
        for p, v in jax.tree.leaves_with_path(found)
    }


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weight_decay_spares_norms_and_biases(name):
    fields = {"name": name, "bias_rate_factor": 1.0}
    for spares in (True, False):
        found = updates(small_optimizer(decay_spares_norms_and_biases=spares, **fields))
        for path, value in found.items():
            decays = not spares or path.endswith("kernel")
            assert value == pytest.approx(-0.1 if decays else 0.0), path


def test_rates_of_classifier_biases_and_connectors():
    fields = {
        "weight_decay": 0.0,
        "classifier_rate_factor": 5.0,
        "bias_rate_factor": 2.0,
        "connector_rate_factor": 3.0,
    }
    found = updates(small_optimizer(**fields), gradient=1.0)
    assert found == {
        "network.conv1.kernel": -1.0,
        "network.bn1.scale": -1.0,
        "network.bn1.bias": -1.0,
        "network.layer1.bn1.scale": -1.0,
        "network.layer1.bn1.bias": -1.0,
        "network.fc.kernel": -5.0,
        "network.fc.bias": -10.0,
        "objective.connector.kernel": -3.0,
        "objective.connector.bias": -3.0,
    }
    assert rate_factor(("network", "conv1", "kernel"), 5.0, 2.0, 3.0) == 1


@pytest.mark.parametrize("mode", ["frozen", "partial"])
def test_frozen_norms_stay_as_they_are_and_do_not_count_in_the_clipping(mode):
    config = small_optimizer(decay_spares_norms_and_biases=False, bias_rate_factor=1.0)
    found = updates(config, mode, gradient=1.0)
    for path, value in found.items():
        still = ".bn" in path and not (mode == "partial" and path.startswith("network.bn1"))
        assert (value == 0.0) == still, path
    clipped = small_optimizer(weight_decay=0.0, bias_rate_factor=1.0, clip_norm=1.0)
    moved = updates(clipped, mode, gradient=1.0)
    learning = 2 * 2 + 9 + 6 + (4 if mode == "partial" else 0)
    assert moved["network.conv1.kernel"] == pytest.approx(-1 / np.sqrt(learning), rel=1e-5)


def test_the_average_warms_up():
    found = [float(average_decay(0.5, jnp.asarray(step))) for step in (0, 1, 8, 1000)]
    assert found == pytest.approx([1 / 10, 2 / 11, 0.5, 0.5])


@pytest.fixture(scope="module")
def spec():
    return NetworkSpec("ir", 18, 4, 1, 10, 0.0, False, (0.5,), (0.2,))


@pytest.mark.parametrize(("mode", "kinds"), [("train", 0), ("frozen", 20), ("partial", 19)])
def test_batch_norms_are_exchanged_and_variables_kept(spec, mode, kinds):
    plain, arranged = spec.build(0), arrange_batch_norm(spec.build(0), mode)
    found = [m for _, m in nnx.iter_modules(arranged) if isinstance(m, FrozenBatchNorm)]
    assert len(found) == kinds
    before, after = (nnx.state(n, nnx.Param, nnx.BatchStat) for n in (plain, arranged))
    for a, b in zip(
        jax.tree.leaves_with_path(before), jax.tree.leaves_with_path(after), strict=True
    ):
        assert a[0] == b[0]
        np.testing.assert_array_equal(a[1], b[1])
    assert isinstance(arranged.network.bn1, FrozenBatchNorm) == (mode == "frozen")


def test_names_lead_to_the_first_norm():
    assert is_first(("network", "network", "bn1", "scale"))
    assert not is_first(("network", "network", "layer1", "0", "bn1", "scale"))
    assert is_batch_norm(("network", "layer2", "0", "downsample", "bn", "bias"))
    assert not is_batch_norm(("network", "conv1", "kernel"))


def test_replicas_normalise_by_their_own_statistics():
    rng = np.random.default_rng(0)
    x = rng.normal(2.0, 3.0, (8, 3, 3, 5)).astype(np.float32)
    layer = ReplicaBatchNorm(5, momentum=0.9, epsilon=1e-5, rngs=nnx.Rngs(0))
    layer.replicas = 2
    layer.scale[...] = jnp.arange(1.0, 6.0)
    found = layer(jnp.asarray(x), use_running_average=False)
    halves = [x[:4].astype(np.float64), x[4:].astype(np.float64)]
    means = [half.mean((0, 1, 2)) for half in halves]
    variances = [half.var((0, 1, 2)) for half in halves]
    expected = [
        np.arange(1.0, 6.0) * (half - mean) / np.sqrt(variance + 1e-5)
        for half, mean, variance in zip(halves, means, variances, strict=True)
    ]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.mean[...], 0.1 * np.mean(means, axis=0), rtol=1e-5)
    unbiased = np.mean(variances, axis=0) * 36 / 35
    np.testing.assert_allclose(layer.var[...], 0.9 + 0.1 * unbiased, rtol=1e-5)
    still = layer(jnp.asarray(x), use_running_average=True)
    scaled = (x - np.asarray(layer.mean[...])) / np.sqrt(np.asarray(layer.var[...]) + 1e-5)
    np.testing.assert_allclose(still, scaled * np.arange(1.0, 6.0), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_micro_batches_add_up_to_the_batch_where_clips_do_not_see_each_other(
    make_rig, tiny_config, device_batch
):
    """Cross-entropy with frozen norms: no clip's loss depends on another clip."""
    states, terms = [], []
    for parts in (1, 4):
        config = tiny_config("student")
        with config.unlocked():
            config.student.batch_norm, config.student.accumulate = "frozen", parts
            config.optimizer.clip_norm = 0.0
            config.optimizer.average_decay = 0.9
        rig = make_rig(config)
        start = jax.device_get(rig.new_state())
        state, scalars = rig.train_step(rig.new_state(), (), device_batch)
        states.append(jax.device_get(state))
        terms.append({name: float(value) for name, value in scalars.items()})
    one, many = states
    for name, value in terms[0].items():
        assert terms[1][name] == pytest.approx(value, rel=1e-5), name
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    # Frozen: neither statistics nor scales moved, though weights decay.
    for a, b in zip(
        jax.tree.leaves(one.network.stats), jax.tree.leaves(start.network.stats), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        one.network.params["network"]["layer1"][0]["bn1"]["scale"][...],
        start.network.params["network"]["layer1"][0]["bn1"]["scale"][...],
    )
    # The first update keeps a tenth of the start.
    for average, new, old in zip(
        jax.tree.leaves(one.average),
        jax.tree.leaves(one.network),
        jax.tree.leaves(start.network),
        strict=True,
    ):
        np.testing.assert_allclose(average, 0.1 * old + 0.9 * new, rtol=1e-5, atol=1e-7)
