"""One update: against an independent computation, compiled against eager, and its randomness."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx


@pytest.fixture(scope="module")
def independent(overfitted, batch):
    """(loss, accuracy, gradients, new statistics) of the student alone, written out anew."""
    rig = overfitted("student").rig
    frames = (batch["ir"].astype(np.float32) / np.float32(255) - np.float32(0.449)) / np.float32(
        0.226
    )
    clips, labels = np.arange(len(frames)), batch["label"]

    def loss(params, stats):
        model = nnx.merge(rig.learner.graph, params, stats, copy=True)
        logits = model(jnp.asarray(frames), train=True).logits
        exponentials = jnp.exp(logits)
        chosen = exponentials[clips, labels] / exponentials.sum(axis=1)
        accuracy = (logits.argmax(axis=1) == labels).mean()
        return -jnp.log(chosen).mean(), (accuracy, nnx.state(model, nnx.BatchStat))

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def test_two_updates_are_those_of_sgd_written_out(overfitted, independent, device_batch):
    """torch.optim.SGD's order: the gradient is clipped, decayed, and then goes into the momentum."""
    rig = overfitted("student").rig
    state = rig.new_state()
    params, stats = jax.tree.map(jnp.array, (state.network.params, state.network.stats))
    leaves, structure = jax.tree.flatten(params)
    weights = [np.asarray(leaf, np.float64) for leaf in leaves]
    momentum = [np.zeros_like(weight) for weight in weights]
    clipped = []
    for step in range(2):
        state, terms = rig.train_step(state, (), device_batch)
        # At the weights of the NumPy optimizer, so that it shares nothing with the step.
        params = jax.tree.unflatten(structure, [jnp.asarray(w, jnp.float32) for w in weights])
        (loss, (accuracy, stats)), gradients = independent(params, stats)
        gradients = [np.asarray(g, np.float64) for g in jax.tree.leaves(gradients)]
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        scale = min(1.0, 1.0 / norm)
        clipped.append(scale < 1)
        for i, gradient in enumerate(gradients):
            momentum[i] = 0.9 * momentum[i] + (scale * gradient + 5e-4 * weights[i])
            weights[i] = weights[i] - 0.05 * momentum[i]
        assert float(terms["loss"]) == pytest.approx(float(loss), rel=1e-5)
        assert float(terms["accuracy"]) == pytest.approx(float(accuracy))
        assert float(terms["grad_norm"]) == pytest.approx(norm, rel=1e-4)
        assert float(terms["learning_rate"]) == pytest.approx(0.05)
        assert int(state.step) == step + 1
    assert clipped[0]
    for found, expected in zip(jax.tree.leaves(state.network.params), weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-5)
    for found, expected in zip(
        jax.tree.leaves(state.network.stats), jax.tree.leaves(stats), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_compiled_equals_eager_and_dropout_follows_from_seed_and_step(
    make_rig, tiny_config, device_batch
):
    config = tiny_config("student")
    with config.unlocked():
        config.student.dropout = 0.5
    rig, other = (make_rig(config, dropout_seed=seed) for seed in (0, 1))
    first, terms = rig.train_step(rig.new_state(), (), device_batch)
    # What jax.jit was given: every operation runs on its own.
    eager, eager_terms = rig.train_step.__wrapped__(rig.new_state(), (), device_batch)
    assert set(terms) == set(eager_terms)
    for name, value in eager_terms.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(eager), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)

    again, repeated = rig.train_step(rig.new_state(), (), device_batch)
    assert all(np.array_equal(terms[name], repeated[name]) for name in terms)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        assert np.array_equal(a, b)
    later = rig.new_state().replace(step=jnp.ones((), jnp.int32))
    _, next_step = rig.train_step(later, (), device_batch)
    _, other_seed = other.train_step.__wrapped__(rig.new_state(), (), device_batch)
    for changed in (next_step, other_seed):
        assert abs(float(changed["ce"]) - float(terms["ce"])) > 1e-5
