"""XLA's CPU compiler returned 1e33 or NaN for these programs; see `rgb2ir_jax/__init__.py`.

If one of them fails after an upgrade of JAX, do not train on CPU with that version.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rgb2ir_jax
from rgb2ir_jax.distillation.mgcam import mgcam_loss


def test_the_option_is_set_before_the_first_device_is_touched():
    import os

    assert rgb2ir_jax.__version__
    assert "--xla_cpu_experimental_ynn_fusion_type=" in os.environ["XLA_FLAGS"]


@pytest.mark.parametrize("size", [8, 64, 65, 128, 256])
def test_fused_dot_multiply_reduce_with_a_constant_operand(size):
    edges = jnp.asarray(np.random.default_rng(0).standard_normal((size, size)), jnp.float32)
    zero = jax.jit(lambda e: jnp.sum((e @ jnp.zeros((size, size))) * e, axis=1))(edges)
    np.testing.assert_array_equal(zero, np.zeros(size))
    constant = np.random.default_rng(1).standard_normal((size, size)).astype(np.float32)
    found = jax.jit(lambda e: jnp.sum((e @ constant) * e, axis=1))(edges)
    exact = np.asarray(edges, np.float64)
    expected = np.sum((exact @ constant.astype(np.float64)) * exact, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("clips", [64, 128])
def test_graph_loss_with_constant_teacher_maps(clips):
    rng = np.random.default_rng(2)

    def maps(widths):
        return [
            jnp.asarray(np.maximum(rng.standard_normal((clips, size, size, width)), 0), jnp.float32)
            for size, width in zip((8, 4, 2, 1), widths, strict=True)
        ]

    student, teacher = maps((4, 8, 16, 32)), maps((16, 32, 64, 128))
    compiled = jax.jit(jax.value_and_grad(lambda s: mgcam_loss(s, teacher)))(student)
    # float64 programs are not fused this way.
    with jax.enable_x64(True):
        wide = [[m.astype(jnp.float64) for m in maps] for maps in (student, teacher)]
        exact = jax.jit(jax.value_and_grad(mgcam_loss))(*wide)
    np.testing.assert_allclose(compiled[0], exact[0], rtol=1e-5)
    for a, b in zip(compiled[1], exact[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7)
