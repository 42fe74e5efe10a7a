"""Zero-DCE's losses against PyTorch, against loops over pixels, and on pictures without any light."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rgb2ir_jax.models.enhancement.losses import (
    WEIGHTS,
    color_constancy_loss,
    exposure_loss,
    illumination_smoothness_loss,
    spatial_consistency_loss,
    weighted_sum,
    zero_dce_loss,
    zero_dce_terms,
)


def pictures(seed: int, height: int, width: int, number: int = 2):
    random = np.random.default_rng(seed)
    images, enhanced = random.random((2, number, height, width, 3), np.float32)
    return images, enhanced, random.uniform(-1, 1, (number, height, width, 24)).astype(np.float32)


def spatial_by_hand(images, enhanced, size=4):
    total, count = 0.0, 0
    for before, after in zip(images.mean(-1), enhanced.mean(-1), strict=True):
        rows, columns = before.shape[0] // size, before.shape[1] // size

        def region(picture, row, column, rows=rows, columns=columns):
            if not (0 <= row < rows and 0 <= column < columns):
                return 0.0
            return picture[
                size * row : size * (row + 1), size * column : size * (column + 1)
            ].mean()

        for row in range(rows):
            for column in range(columns):
                for down, right in ((0, -1), (0, 1), (-1, 0), (1, 0)):
                    contrast = [
                        region(p, row, column) - region(p, row + down, column + right)
                        for p in (before, after)
                    ]
                    total += (contrast[0] - contrast[1]) ** 2
                count += 1
    return total / count


@pytest.mark.parametrize(("height", "width"), [(16, 16), (37, 43), (19, 33)])
def test_agree_with_loops_over_pixels(height, width):
    images, enhanced, curves = (x.astype(np.float64) for x in pictures(0, height, width))
    given = [jnp.asarray(x, jnp.float32) for x in (images, enhanced, curves)]
    found = zero_dce_terms(*given)
    patches = [
        picture[16 * r : 16 * (r + 1), 16 * c : 16 * (c + 1)].mean()
        for picture in enhanced
        for r in range(height // 16)
        for c in range(width // 16)
    ]
    means = enhanced.mean((1, 2))
    color = [np.sqrt((r - g) ** 4 + (r - b) ** 4 + (b - g) ** 4) for r, g, b in means]
    down, across = (np.square(np.diff(curves, axis=axis)).sum() for axis in (1, 2))
    smooth = 2 * (down / ((height - 1) * width) + across / (height * (width - 1))) / len(curves)
    expected = {
        "spatial": spatial_by_hand(images, enhanced),
        "exposure": np.mean((np.array(patches) - 0.6) ** 2),
        "color": np.mean(color),
        "smoothness": smooth,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-5, err_msg=name)
    np.testing.assert_allclose(
        zero_dce_loss(*given), sum(WEIGHTS[n] * v for n, v in expected.items()), rtol=2e-5
    )


def test_are_those_of_the_official_code_in_value_and_gradient(reference, zero_dce):
    """In PyTorch the pictures come out of the network; its own tests say that these are the same."""
    images = jnp.asarray(reference["images"])
    enhanced, curves = jax.jit(zero_dce)(images)
    functions = {
        "spatial": lambda e, _: spatial_consistency_loss(images, e),
        "exposure": lambda e, _: exposure_loss(e),
        "color": lambda e, _: color_constancy_loss(e),
        "smoothness": lambda _, c: illumination_smoothness_loss(c),
    }
    for name, function in functions.items():
        value, gradients = jax.value_and_grad(function, (0, 1))(enhanced, curves)
        np.testing.assert_allclose(value, reference[f"{name}/value"], rtol=5e-5, err_msg=name)
        for what, gradient, every in zip(("enhanced", "curves"), gradients, (3, 6), strict=True):
            key = f"{name}/by_{what}"
            if key not in reference:
                continue
            expected = reference[key]
            np.testing.assert_allclose(
                gradient[:, ::every, ::every],
                expected,
                atol=1e-4 * np.abs(expected).max(),
                err_msg=key,
            )


@pytest.mark.parametrize("light", [0.0, 0.3, 0.6, 1.0])
def test_are_finite_in_value_and_gradient_on_grey_pictures(light):
    grey = jnp.full((1, 32, 32, 3), light)
    curves = jnp.zeros((1, 32, 32, 24))
    value, gradients = jax.jit(jax.value_and_grad(zero_dce_loss, (0, 1, 2)))(grey, grey, curves)
    assert value == pytest.approx(10 * (light - 0.6) ** 2, abs=1e-6)
    assert all(np.isfinite(g).all() for g in gradients)
    textured = jnp.asarray(np.random.default_rng(0).random((1, 32, 32, 1)), jnp.float32)
    infrared = jnp.tile(textured, (1, 1, 1, 3))
    color, gradient = jax.value_and_grad(color_constancy_loss)(infrared)
    assert color == 0
    assert not np.any(gradient)


@hypothesis.given(st.floats(-20, 0))
def test_colour_near_grey_is_as_in_float64(exponent):
    """The root of a sum of fourth powers; its gradient must not be lost or blow up on the way to 0."""
    shift = np.float32(10.0**exponent)
    pictures = jnp.zeros((1, 4, 4, 3)).at[..., 0].set(shift)
    value, gradient = jax.value_and_grad(color_constancy_loss)(pictures)
    exact = float(shift)
    np.testing.assert_allclose(value, np.sqrt(2) * exact**2, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(
        np.sum(gradient[..., 0]), 2 * np.sqrt(2) * exact, rtol=1e-3, atol=1e-6
    )


def test_a_weight_of_zero_switches_off_and_small_pictures_are_refused():
    images, enhanced, curves = (jnp.asarray(x) for x in pictures(1, 8, 8))
    spatial = zero_dce_loss(
        images, enhanced, curves, exposure_weight=0, color_weight=0, smoothness_weight=0
    )
    np.testing.assert_allclose(spatial, spatial_consistency_loss(images, enhanced), rtol=1e-6)
    terms = {"spatial": jnp.float32(2), "color": jnp.float32(np.inf)}
    assert weighted_sum(terms, {"spatial": 3, "color": 0.0}) == 6
    assert weighted_sum(terms, {"spatial": 3, "color": 0.1}) == np.inf
    with pytest.raises(ValueError, match="8x8 pixels; this loss looks at blocks of 16x16"):
        exposure_loss(enhanced)
    assert exposure_loss(enhanced, 8) > 0
    with pytest.raises(ValueError, match="blocks of 4x4"):
        spatial_consistency_loss(images[:, :3], enhanced[:, :3])
    with pytest.raises(ValueError, match="enhanced ones"):
        spatial_consistency_loss(images, enhanced[:, :4])
    with pytest.raises(ValueError, match="at least 2x2"):
        illumination_smoothness_loss(curves[:, :1])
