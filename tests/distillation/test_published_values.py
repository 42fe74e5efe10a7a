"""Values and gradients of published PyTorch implementations, computed in float64."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rgb2ir_jax.distillation.attention_transfer import attention_transfer_loss
from rgb2ir_jax.distillation.correlation_congruence import correlation_congruence_loss
from rgb2ir_jax.distillation.relational import rkd_angle_loss, rkd_distance_loss
from rgb2ir_jax.distillation.similarity_preserving import similarity_preserving_loss
from rgb2ir_jax.distillation.soft_target import soft_target_loss

_spec = importlib.util.spec_from_file_location(
    "loss_reference", Path(__file__).with_name("loss_reference.py")
)
loss_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(loss_reference)

# DKD's, which take labels too, are in test_dkd.py. Attention transfer's have one stage.
LOSSES = {
    "soft_target_loss": soft_target_loss,
    "attention_transfer_loss": lambda s, t, **o: attention_transfer_loss([s], [t], **o),
    "similarity_preserving_loss": similarity_preserving_loss,
    "correlation_congruence_loss": correlation_congruence_loss,
    "rkd_distance_loss": rkd_distance_loss,
    "rkd_angle_loss": rkd_angle_loss,
}
CASES = [(name, case) for name in LOSSES for case in loss_reference.reference_cases(name)]


def test_every_loss_has_cases():
    assert {name for name, _ in CASES} == set(LOSSES)


@pytest.mark.parametrize(("name", "case"), CASES, ids=[case["id"] for _, case in CASES])
def test_agrees_with_the_published_implementation(name, case):
    student, teacher = case["inputs"]
    function = jax.jit(
        jax.value_and_grad(lambda s, t: LOSSES[name](s, t, **case["options"]), argnums=0)
    )
    value, gradient = function(jnp.asarray(student, jnp.float32), jnp.asarray(teacher, jnp.float32))
    np.testing.assert_allclose(value, case["value"], rtol=2e-5)
    largest = np.abs(case["gradient"]).max()
    np.testing.assert_allclose(gradient, case["gradient"], rtol=2e-5, atol=2e-5 * largest)
    with jax.enable_x64(True):
        value, gradient = function(
            jnp.asarray(student, jnp.float64), jnp.asarray(teacher, jnp.float64)
        )
        assert value.dtype == gradient.dtype == jnp.float64
        np.testing.assert_allclose(value, case["value"], rtol=1e-7)
        np.testing.assert_allclose(gradient, case["gradient"], rtol=1e-7, atol=1e-9 * largest)
