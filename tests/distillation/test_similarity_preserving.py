import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ortho_group

from rgb2ir_jax.distillation.similarity_preserving import (
    SimilarityPreserving,
    similarity_preserving_loss,
)
from rgb2ir_jax.models.output import NetworkOutput

JITTED = jax.jit(similarity_preserving_loss)
SHAPES = [(2, (3, 3, 2), (3, 3, 2)), (4, (5, 4, 2), (2, 2, 7)), (7, (1, 1, 6), (2, 1, 3))]


def naive(student, teacher):
    grams = []
    for maps in (student, teacher):
        rows = maps.reshape(len(maps), -1)
        gram = np.array([[np.sum(a * b) for b in rows] for a in rows])
        grams.append(np.stack([g / max(np.linalg.norm(g), 1e-12) for g in gram]))
    return np.sum((grams[0] - grams[1]) ** 2) / len(student) ** 2


@hypothesis.settings(max_examples=20)
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    shapes=st.sampled_from(SHAPES),
    scale=st.sampled_from([1e-2, 1.0, 300.0]),
)
def test_agrees_with_the_definition(seed, shapes, scale):
    rng = np.random.default_rng(seed)
    clips, *sizes = shapes
    student, teacher = (np.maximum(rng.standard_normal((clips, *s)), 0) * scale for s in sizes)
    value = JITTED(jnp.asarray(student, jnp.float32), jnp.asarray(teacher, jnp.float32))
    np.testing.assert_allclose(value, naive(student, teacher), rtol=1e-4, atol=1e-7)


def test_invariances():
    rng = np.random.default_rng(0)
    student, teacher = jnp.asarray(rng.standard_normal((2, 5, 2, 2, 3)), jnp.float32)
    rotation = jnp.asarray(ortho_group.rvs(12, random_state=1), jnp.float32)
    turned = (student.reshape(5, 12) @ rotation).reshape(student.shape)
    value = JITTED(student, teacher)
    np.testing.assert_allclose(JITTED(turned, teacher), value, rtol=1e-4)
    np.testing.assert_allclose(JITTED(student * 1e18, teacher * 1e-3), value, rtol=1e-4)


def test_clips_of_very_different_scale():
    # The row of the small clip is as good as the others': float64 is the judge.
    rng = np.random.default_rng(2)
    student, teacher = rng.random((2, 3, 2, 2, 2))
    student[0] *= 1e25
    value = JITTED(jnp.asarray(student, jnp.float32), jnp.asarray(teacher, jnp.float32))
    np.testing.assert_allclose(value, naive(student, teacher), rtol=1e-4)


def test_one_clip_is_similar_to_itself():
    rng = np.random.default_rng(3)
    student, teacher = jnp.asarray(rng.random((2, 1, 2, 2, 3)), jnp.float32)
    assert float(JITTED(student, teacher)) == pytest.approx(0.0, abs=1e-12)


def test_method_presets_and_units():
    rng = np.random.default_rng(4)

    def output(channels):
        stages = {
            f"stage{i}": jnp.asarray(rng.random((3, 2, 4, 4, channels)), jnp.float32)
            for i in (1, 2)
        }
        return NetworkOutput(logits=jnp.zeros((3, 5)), stages=stages, features=jnp.zeros((3, 2, 1)))

    student, teacher = output(2), output(3)
    labels, progress = jnp.zeros(3, jnp.int32), jnp.float32(0)
    for unit in ("clip", "frame"):
        losses = []
        for name in ("stage1", "stage2"):
            maps = [np.asarray(o.stages[name], np.float64) for o in (student, teacher)]
            maps = [m.mean(axis=1) if unit == "clip" else m.reshape(6, *m.shape[2:]) for m in maps]
            losses.append(naive(*maps))
        for preset, expected in (("zoo", np.mean(losses)), ("crd", losses[-1])):
            method = SimilarityPreserving(preset=preset, unit=unit)
            terms = method(student, teacher, labels, progress)
            np.testing.assert_allclose(terms["loss"], expected, rtol=1e-4)
