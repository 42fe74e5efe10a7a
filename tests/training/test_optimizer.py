"""Schedules against closed forms, SGD against NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import ntu
from rgb2ir_jax.training.optimizer import make_optimizer, make_schedule, rate_factor

STEPS_PER_EPOCH, EPOCHS = 7, 6
TOTAL = STEPS_PER_EPOCH * EPOCHS


def settings(**fields):
    config = ntu.get_config()
    with config.unlocked():
        config.optimizer.update(
            {"decay_spares_norms_and_biases": False, "bias_rate_factor": 1.0, **fields}
        )
    return config


def closed_form(schedule, step, warmup, peak=0.3):
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "step":
        return peak / 4.0 ** sum(step >= round(share * TOTAL) for share in (0.375, 0.75))
    if schedule == "cosine":
        return peak * (1 + math.cos(math.pi * (step - warmup) / (TOTAL - warmup))) / 2
    return peak


def test_a_network_can_have_a_share_of_the_rate():
    config = settings(schedule="cosine", warmup_epochs=1.0, learning_rate=0.3)
    whole = make_schedule(config, STEPS_PER_EPOCH, EPOCHS)
    third = make_schedule(config, STEPS_PER_EPOCH, EPOCHS, 1 / 3)
    for step in range(TOTAL):
        np.testing.assert_allclose(third(step), whole(step) / 3, rtol=1e-6)


@pytest.mark.parametrize("warmup_epochs", [0.0, 0.15, 1.5])
@pytest.mark.parametrize("name", ["constant", "step", "cosine"])
def test_schedules_follow_their_closed_form_at_every_step(name, warmup_epochs):
    config = settings(
        schedule=name, warmup_epochs=warmup_epochs, learning_rate=0.3, decay_factor=4.0
    )
    schedule = make_schedule(config, STEPS_PER_EPOCH, EPOCHS)
    warmup = round(warmup_epochs * STEPS_PER_EPOCH)
    expected = [closed_form(name, step, warmup) for step in range(TOTAL)]
    found = jax.jit(jax.vmap(schedule))(jnp.arange(TOTAL)) * jnp.ones(TOTAL)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_decays_that_fall_on_one_step_all_count():
    schedule = make_schedule(
        settings(schedule="step", learning_rate=1.0, decay_at=(0.4, 0.5, 0.6)), 2, 1
    )
    np.testing.assert_allclose([schedule(step) for step in range(2)], [1.0, 1e-3], rtol=1e-5)


def test_an_unknown_schedule_is_named():
    with pytest.raises(ValueError, match=r"schedule is 'linear', expected 'constant'"):
        make_schedule(settings(schedule="linear"), 1, 1)


@pytest.mark.parametrize("clip_norm", [0.0, 2.0])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_torchs(nesterov, clip_norm):
    config = settings(
        momentum=0.8, weight_decay=0.1, clip_norm=clip_norm, nesterov=nesterov, learning_rate=0.5
    )
    rates = [0.5, 0.5, 0.05]
    optimizer = make_optimizer(config, optax.piecewise_constant_schedule(0.5, {2: 0.1}))
    rng = np.random.default_rng(0)
    weights = {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=4)}
    buffers = {name: np.zeros_like(weight) for name, weight in weights.items()}
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), weights)
    state = optimizer.init(params)
    for rate in rates:
        gradients = {name: 3 * rng.normal(size=weight.shape) for name, weight in weights.items()}
        updates, state = optimizer.update(
            jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), gradients), state, params
        )
        params = optax.apply_updates(params, updates)
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
        assert norm > 2
        for name, weight in weights.items():
            gradient = gradients[name] * (clip_norm / norm if clip_norm else 1)
            gradient = gradient + 0.1 * weight
            buffers[name] = 0.8 * buffers[name] + gradient
            direction = gradient + 0.8 * buffers[name] if nesterov else buffers[name]
            weights[name] = weight - rate * direction
    for name, weight in weights.items():
        np.testing.assert_allclose(params[name], weight, rtol=1e-5, atol=1e-6)


def test_adamw_takes_decay_off_the_weights():
    config = settings(name="adamw", momentum=0.8, weight_decay=0.1, clip_norm=0.0)
    optimizer = make_optimizer(config, optax.constant_schedule(0.01))
    rng = np.random.default_rng(1)
    weight = rng.normal(size=5)
    params = {"a": jnp.asarray(weight, jnp.float32)}
    state = optimizer.init(params)
    first, second = np.zeros(5), np.zeros(5)
    for step in range(1, 4):
        gradient = rng.normal(size=5)
        updates, state = optimizer.update({"a": jnp.asarray(gradient, jnp.float32)}, state, params)
        params = optax.apply_updates(params, updates)
        # Loshchilov & Hutter, "Decoupled weight decay regularization", Algorithm 2.
        first = 0.8 * first + 0.2 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        scaled = (first / (1 - 0.8**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        weight = weight - 0.01 * (scaled + 0.1 * weight)
    np.testing.assert_allclose(params["a"], weight, rtol=1e-5, atol=1e-6)


def test_biases_of_norms_keep_the_common_rate():
    paths = {
        ("network", "bert", "attention", "query", "bias"): 2.0,
        ("network", "bert", "output_norm", "bias"): 1.0,
        ("network", "layer1", "bn2", "bias"): 1.0,
        ("network", "fc", "bias"): 10.0,
        ("network", "fc", "kernel"): 5.0,
        ("objective", "ccskd", "bias"): 3.0,
    }
    assert {path: rate_factor(path, 5.0, 2.0, 3.0) for path in paths} == paths
