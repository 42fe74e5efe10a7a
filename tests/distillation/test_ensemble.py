import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from rgb2ir_jax.distillation.ensemble import ensemble_logits, pool_logits
from rgb2ir_jax.models.output import NetworkOutput


def output(logits, width=2):
    stages = {"stage1": jnp.full((len(logits), 1, 2, 2, width), float(width))}
    return NetworkOutput(logits=logits, stages=stages, features=jnp.zeros((len(logits), 1, width)))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_is_the_mean_probability_at_the_methods_temperature(temperature):
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((3, 4, 5)) * 3
    pooled = ensemble_logits([jnp.asarray(z, jnp.float32) for z in logits], temperature)
    expected = softmax(logits / temperature, axis=2).mean(axis=0)
    found = softmax(np.asarray(pooled, np.float64) / temperature, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_teachers_that_are_certain_of_different_classes():
    sure, other = jnp.asarray([[1000.0, -1000.0]]), jnp.asarray([[-1000.0, 1000.0]])
    pooled = jax.nn.softmax(ensemble_logits([sure, other], 1.0))
    np.testing.assert_allclose(pooled, [[0.5, 0.5]], rtol=1e-6)


def test_maps_stay_each_teachers_own():
    first, second = output(jnp.zeros((2, 3)), 2), output(jnp.ones((2, 3)), 5)
    assert pool_logits([first], 1.0) == [first]
    pooled = pool_logits([first, second], 1.0)
    assert [p.stages["stage1"].shape[-1] for p in pooled] == [2, 5]
    np.testing.assert_array_equal(pooled[0].logits, pooled[1].logits)


def test_refuses_teachers_of_different_classes():
    with pytest.raises(ValueError, match="expected one shape"):
        ensemble_logits([jnp.zeros((2, 3)), jnp.zeros((2, 4))], 1.0)
