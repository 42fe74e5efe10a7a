import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from rgb2ir_jax.distillation.numerics import (
    adaptive_average_pool,
    divergence,
    log_softmax,
    normalise_rows,
    normalised_gram,
    pool_to_smaller,
    squared_distances,
    tame,
    tame_each,
)


@hypothesis.settings(max_examples=20)
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


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, 1.0), (0.5, 1.0), (1.9, 1.0), (-8.0, 8.0), (1e30, 2.0**99), (3e38, 2.0**126)],
)
def test_tame_is_a_power_of_two(value, expected):
    array = jnp.asarray([[0.0, value], [0.25, 4.0]])
    assert float(tame(array[:1])) == expected
    assert tame_each(array).tolist() == [[expected], [4.0]]
    with jax.enable_x64(True):
        wide = jnp.asarray([0.0, value], jnp.float64)
        assert float(tame(wide)) == (2.0**127 if value == 3e38 else expected)


def test_normalised_gram():
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((2, 4, 3))
    rows[0, 1] = 0
    rows[1] *= [[1e-3], [1.0], [50.0], [1e25]]
    gram = rows @ rows.swapaxes(1, 2)
    norms = np.linalg.norm(gram, axis=2, keepdims=True)
    found = normalised_gram(jnp.asarray(rows, jnp.float32))
    np.testing.assert_allclose(found, gram / np.maximum(norms, 1e-12), rtol=1e-5, atol=1e-7)
    gradient = jax.grad(lambda r: jnp.sum(normalised_gram(r)))(jnp.zeros((3, 2)))
    assert np.isfinite(gradient).all()


def test_log_softmax_and_divergence_of_any_finite_logits():
    rng = np.random.default_rng(3)
    logits = rng.standard_normal((2, 5, 4)) * 10
    student, teacher = scipy.special.log_softmax(logits / 3.0, axis=2)
    arrays = jnp.asarray(logits, jnp.float32)
    np.testing.assert_allclose(log_softmax(arrays[0], 3.0), student, rtol=1e-5, atol=1e-6)
    found = divergence(log_softmax(arrays[1], 3.0), log_softmax(arrays[0], 3.0))
    expected = np.sum(np.exp(teacher) * (teacher - student), axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    extreme = log_softmax(jnp.asarray([3e38, -3e38, 0.0]), 1.0)
    assert np.isfinite(extreme).all()
    assert float(extreme[0]) == 0.0


@pytest.mark.parametrize(
    ("student", "teacher"), [((5, 3), (2, 3)), ((4, 2), (3, 5)), ((1, 1), (2, 4))]
)
def test_the_larger_map_is_brought_to_the_smaller_size(student, teacher):
    rng = np.random.default_rng(4)
    maps = [
        jnp.asarray(rng.random((2, *size, channels)), jnp.float32)
        for size, channels in ((student, 3), (teacher, 1))
    ]
    size = tuple(np.minimum(student, teacher).tolist())
    for found, whole in zip(pool_to_smaller(*maps), maps, strict=True):
        expected = adaptive_average_pool(jnp.moveaxis(whole, -1, 1), size)
        np.testing.assert_allclose(found, jnp.moveaxis(expected, 1, -1), rtol=1e-6)
