import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rgb2ir_jax.distillation.numerics import (
    adaptive_average_pool,
    normalise_rows,
    squared_distances,
    tame,
)


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    out=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_adaptive_average_pool_windows(size, out):
    maps = np.random.default_rng(0).standard_normal((2, *size)).astype(np.float32)
    expected = np.zeros((2, *out))
    for a in range(out[0]):
        for b in range(out[1]):
            rows = slice(
                int(np.floor(a * size[0] / out[0])), int(np.ceil((a + 1) * size[0] / out[0]))
            )
            columns = slice(
                int(np.floor(b * size[1] / out[1])), int(np.ceil((b + 1) * size[1] / out[1]))
            )
            expected[:, a, b] = maps[:, rows, columns].mean(axis=(1, 2))
    np.testing.assert_allclose(
        adaptive_average_pool(jnp.asarray(maps), out), expected, rtol=1e-5, atol=1e-6
    )


def test_normalise_rows_has_finite_gradient_at_zero():
    rows = jnp.asarray([[3.0, 4.0], [0.0, 0.0], [1e-20, 0.0]])
    np.testing.assert_allclose(normalise_rows(rows), [[0.6, 0.8], [0, 0], [1e-8, 0]], rtol=1e-6)
    gradient = jax.grad(lambda r: jnp.sum(normalise_rows(r)))(rows)
    assert np.isfinite(gradient).all()


def test_squared_distances():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((3, 7)), rng.standard_normal((5, 7))
    expected = ((a[:, None] - b[None]) ** 2).sum(-1)
    np.testing.assert_allclose(
        squared_distances(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)),
        expected,
        rtol=1e-5,
    )
    assert (np.asarray(squared_distances(jnp.ones((4, 9)) / 3, jnp.ones((4, 9)) / 3)) >= 0).all()


@pytest.mark.parametrize(("value", "expected"), [(0.0, 1.0), (0.5, 1.0), (1e30, 1e30), (-8.0, 8.0)])
def test_tame(value, expected):
    assert float(tame(jnp.asarray([0.0, value]))) == pytest.approx(expected)
