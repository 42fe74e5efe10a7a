"""Zero-DCE against PyTorch in float64 (make_zero_dce_reference.py), and what its curves promise."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models.cost import count_flops, count_parameters
from rgb2ir_jax.models.enhancement.losses import zero_dce_loss
from rgb2ir_jax.models.enhancement.weights import build_zero_dce, zero_dce_tensors
from rgb2ir_jax.models.enhancement.zero_dce import ZeroDCE, apply_curves, multiply_accumulates

TOLERANCE = 2e-5


def test_has_the_published_number_of_parameters(zero_dce):
    """Li-Chongyi/Zero-DCE: 79,416 (the paper's "79K"); 0.079 M x 224 x 224 multiply-accumulates."""
    assert count_parameters(zero_dce) == 79_416
    tensors = zero_dce_tensors(zero_dce)
    assert sum(tensor.size for tensor in tensors.values()) == 79_416
    assert tensors["e_conv1.weight"].shape == (32, 3, 3, 3)
    assert tensors["e_conv7.weight"].shape == (24, 64, 3, 3)

    class Evaluated(nnx.Module):
        def __init__(self):
            self.inner = zero_dce

        def __call__(self, x, *, train):
            return self.inner(x)

    assert multiply_accumulates(32, 24) == count_flops(Evaluated(), (1, 32, 24, 3))


def test_enhances_as_pytorch_does(zero_dce, reference):
    enhanced, curves = jax.jit(zero_dce)(jnp.asarray(reference["images"]))
    assert enhanced.shape == (2, 37, 43, 3)
    assert curves.shape == (2, 37, 43, 24)
    np.testing.assert_allclose(enhanced[:, ::3, ::3], reference["enhanced"], atol=TOLERANCE)
    np.testing.assert_allclose(curves[:, ::6, ::6], reference["curves"], atol=TOLERANCE)


def test_learns_as_in_pytorch(zero_dce, reference):
    """The gradient of the official loss for every weight and for the pictures."""
    graph, params = nnx.split(zero_dce)

    def loss(params, images):
        enhanced, curves = nnx.merge(graph, params)(images)
        return zero_dce_loss(images, enhanced, curves)

    value, (by_params, by_images) = jax.jit(jax.value_and_grad(loss, (0, 1)))(
        params, jnp.asarray(reference["images"])
    )
    np.testing.assert_allclose(value, reference["total"], rtol=TOLERANCE)
    scale = np.abs(reference["by_images"]).max()
    np.testing.assert_allclose(
        by_images[:, ::3, ::3], reference["by_images"], atol=5 * TOLERANCE * scale
    )
    for name, gradient in zero_dce_tensors(nnx.merge(graph, by_params)).items():
        norm = reference[f"norm/{name}"]
        np.testing.assert_allclose(np.linalg.norm(gradient), norm, rtol=1e-4, err_msg=name)
        np.testing.assert_allclose(
            gradient.ravel()[::37], reference[f"gradient/{name}"], atol=1e-4 * norm, err_msg=name
        )


def test_infrared_counts_as_three_equal_channels_and_frames_may_have_any_axes_in_front(zero_dce):
    grey = jnp.asarray(np.random.default_rng(0).random((2, 3, 8, 6, 1)), jnp.float32)
    one, _ = zero_dce(grey)
    three, _ = zero_dce(jnp.tile(grey, (1, 1, 1, 1, 3)))
    assert one.shape == (2, 3, 8, 6, 3)
    np.testing.assert_array_equal(one, three)
    alone, _ = zero_dce(grey[1, 2])
    np.testing.assert_allclose(alone, one[1, 2], atol=1e-6)
    with pytest.raises(ValueError, match="found 2"):
        zero_dce(jnp.zeros((4, 4, 2)))


def test_starts_as_the_authors_training_does():
    tensors = zero_dce_tensors(ZeroDCE(rngs=nnx.Rngs(3)))
    kernels = np.concatenate([t.ravel() for name, t in tensors.items() if t.ndim == 4])
    assert kernels.std() == pytest.approx(0.02, rel=0.02)
    for name, tensor in tensors.items():
        if tensor.ndim == 1:
            fan_in = tensors[name.replace("bias", "weight")][0].size
            assert np.abs(tensor).max() <= fan_in**-0.5
            assert np.abs(tensor).max() > 0.8 * fan_in**-0.5


@hypothesis.given(st.integers(0, 2**32 - 1))
def test_curves_keep_the_range_its_ends_and_the_order_of_brightness(seed):
    random = np.random.default_rng(seed)
    curves = jnp.asarray(np.tile(random.uniform(-1, 1, 24), (1, 11, 1)), jnp.float32)
    ramp = jnp.tile(jnp.linspace(0, 1, 11, dtype=jnp.float32)[None, :, None], (1, 1, 3))
    bent = np.asarray(apply_curves(ramp, curves))
    assert (bent[:, 0] == 0).all()
    np.testing.assert_allclose(bent[:, -1], 1, atol=1e-6)
    assert (np.diff(bent, axis=1) >= -1e-6).all()


def test_pixels_keep_float32_where_the_network_computes_in_bfloat16(zero_dce):
    half = build_zero_dce(zero_dce_tensors(zero_dce), jnp.bfloat16)
    images = jnp.asarray(np.random.default_rng(0).random((1, 16, 16, 3)), jnp.float32)
    (exact, _), (rough, curves) = zero_dce(images), half(images)
    assert rough.dtype == curves.dtype == jnp.float32
    np.testing.assert_allclose(rough, exact, atol=0.05)
