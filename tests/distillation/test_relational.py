import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ortho_group

from rgb2ir_jax.distillation.relational import RKD, rkd_angle_loss, rkd_distance_loss, rkd_loss
from rgb2ir_jax.models.output import NetworkOutput

DISTANCE, ANGLE = jax.jit(rkd_distance_loss), jax.jit(rkd_angle_loss)


def huber(a, b):
    d = abs(a - b)
    return 0.5 * d * d if d < 1 else d - 0.5


def naive_distances(features):
    """As the authors compute them: two different clips are 1e-6 apart at least."""
    count = len(features)
    d = np.array([[np.sqrt(max(np.sum((a - b) ** 2), 1e-12)) for b in features] for a in features])
    np.fill_diagonal(d, 0)
    return d if count == 1 else d / d[~np.eye(count, dtype=bool)].mean()


def naive_distance(student, teacher):
    s, t = naive_distances(student), naive_distances(teacher)
    return np.mean(
        [[huber(a, b) for a, b in zip(*rows, strict=True)] for rows in zip(s, t, strict=True)]
    )


def naive_angle(student, teacher):
    def angle(x, i, j, k):
        a, b = x[j] - x[i], x[k] - x[i]
        return (a @ b) / (max(np.linalg.norm(a), 1e-12) * max(np.linalg.norm(b), 1e-12))

    indices = list(np.ndindex(*[len(student)] * 3))
    return np.mean([huber(angle(student, *ijk), angle(teacher, *ijk)) for ijk in indices])


@hypothesis.settings(max_examples=20)
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(1, 3, 3), (2, 4, 2), (5, 3, 8)]),
    scale=st.sampled_from([1e-2, 1.0, 1e3]),
)
def test_agrees_with_the_definition(seed, shape, scale):
    rng = np.random.default_rng(seed)
    # Far from the origin, where distances through inner products would be lost in float32.
    student, teacher = (
        (rng.standard_normal((shape[0], width)) + 10).astype(np.float32) * np.float32(scale)
        for width in shape[1:]
    )
    arrays = jnp.asarray(student), jnp.asarray(teacher)
    exact = student.astype(np.float64), teacher.astype(np.float64)
    np.testing.assert_allclose(DISTANCE(*arrays), naive_distance(*exact), rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(ANGLE(*arrays), naive_angle(*exact), rtol=1e-4, atol=1e-8)


def test_duplicates_count_as_in_the_authors_code():
    rng = np.random.default_rng(0)
    student, teacher = rng.standard_normal((2, 5, 3))
    student[1] = student[0]
    arrays = jnp.asarray(student, jnp.float32), jnp.asarray(teacher, jnp.float32)
    np.testing.assert_allclose(DISTANCE(*arrays), naive_distance(student, teacher), rtol=1e-5)
    np.testing.assert_allclose(ANGLE(*arrays), naive_angle(student, teacher), rtol=1e-5)


def test_equal_clips_have_no_direction_whatever_the_compiler_fuses():
    # A product that is fused with the subtraction leaves its rounding between equal features, which
    # must not be taken for a side of the triangle. A third is no exact number.
    rng = np.random.default_rng(4)
    segments = rng.standard_normal((5, 3, 7)).astype(np.float32)
    segments[3] = segments[1]
    teacher = rng.standard_normal((5, 7)).astype(np.float32)
    for loss, naive in ((rkd_distance_loss, naive_distance), (rkd_angle_loss, naive_angle)):
        function = jax.jit(jax.value_and_grad(lambda s, t, loss=loss: loss(s.mean(axis=1), t)))
        value, gradient = function(jnp.asarray(segments), jnp.asarray(teacher))
        expected = naive(segments.astype(np.float64).mean(axis=1), teacher.astype(np.float64))
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        assert np.abs(gradient).max() < 1.0


@pytest.mark.parametrize("function", [DISTANCE, ANGLE])
def test_does_not_change_with_rotation_translation_and_scale(function):
    rng = np.random.default_rng(1)
    student, teacher = jnp.asarray(rng.standard_normal((2, 5, 4)), jnp.float32)
    rotation = jnp.asarray(ortho_group.rvs(4, random_state=2), jnp.float32)
    value = function(student, teacher)
    np.testing.assert_allclose(function(student @ rotation + 3.0, teacher), value, rtol=1e-4)
    np.testing.assert_allclose(function(student * 1e20, teacher * 1e-2), value, rtol=1e-4)
    moved = function(student @ rotation * 7.0 - 1.0, student)
    assert float(moved) == pytest.approx(0.0, abs=1e-6)


def test_the_angles_need_no_array_of_n_cubed_times_d():
    clips, width = 6, 11
    features = jax.ShapeDtypeStruct((clips, width), jnp.float32)
    program = jax.make_jaxpr(jax.grad(rkd_angle_loss))(features, features)
    sizes = [v.aval.size for equation in program.eqns for v in equation.outvars]
    assert max(sizes) == max(clips**3, clips**2 * width)


def test_weights_and_a_weight_of_zero(monkeypatch):
    rng = np.random.default_rng(3)
    student, teacher = jnp.asarray(rng.standard_normal((2, 4, 3)), jnp.float32)
    distance, angle = float(DISTANCE(student, teacher)), float(ANGLE(student, teacher))
    assert float(rkd_loss(student, teacher)) == pytest.approx(25 * distance + 50 * angle, rel=1e-6)
    outputs = [
        NetworkOutput(logits=jnp.zeros((4, 2)), stages={}, features=f[:, None])
        for f in (student, teacher)
    ]
    labels, progress = jnp.zeros(4, jnp.int32), jnp.float32(0)
    terms = RKD(distance_weight=2.0, angle_weight=3.0)(*outputs, labels, progress)
    assert float(terms["loss"]) == pytest.approx(2 * distance + 3 * angle, rel=1e-6)
    assert float(terms["distance"]) == pytest.approx(distance, rel=1e-6)
    assert float(terms["angle"]) == pytest.approx(angle, rel=1e-6)

    def computed(*_):
        raise AssertionError("it was computed")

    monkeypatch.setattr("rgb2ir_jax.distillation.relational.rkd_angle_loss", computed)
    assert set(RKD(angle_weight=0.0)(*outputs, labels, progress)) == {"loss", "distance"}
    off = rkd_loss(student, teacher, distance_weight=2.0, angle_weight=0.0)
    assert float(off) == pytest.approx(2 * distance, rel=1e-6)
    monkeypatch.setattr("rgb2ir_jax.distillation.relational.rkd_distance_loss", computed)
    assert float(rkd_loss(student, teacher, distance_weight=0.0, angle_weight=0.0)) == 0.0


def test_refuses_a_negative_weight():
    with pytest.raises(ValueError, match=r"angle_weight is -1\.0, expected a finite number of 0"):
        RKD(angle_weight=-1.0)
