"""Gamma intensity correction against the field's table of 256 integers."""

import jax.numpy as jnp
import numpy as np
import pytest

from rgb2ir_jax.models.enhancement.gamma import GAMMA, gamma_correction


@pytest.mark.parametrize("gamma", [1.8, 2.2, 0.5, 1])
def test_is_the_table_of_the_field_without_its_rounding(gamma):
    table = np.array([((i / 255.0) ** (1.0 / gamma)) * 255 for i in np.arange(256)])
    pixels = jnp.arange(256, dtype=jnp.float32).reshape(1, 16, 16, 1) / 255
    found = gamma_correction(pixels, gamma)
    assert found.shape == pixels.shape
    np.testing.assert_allclose(255 * np.asarray(found).ravel(), table, rtol=1e-5, atol=1e-4)


def test_brightens_by_default_and_refuses_what_is_no_exponent():
    dark = jnp.full((2, 2, 3), 0.1)
    assert GAMMA == 1.8
    assert (gamma_correction(dark) > 0.25).all()
    for gamma in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="expected a number above 0"):
            gamma_correction(dark, gamma)
