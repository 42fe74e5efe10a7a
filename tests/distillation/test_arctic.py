import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax, softmax

from rgb2ir_jax.distillation.arctic import (
    ARCTIC,
    activation_region_loss,
    relation_matching_loss,
    right_teacher_loss,
)
from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.models.output import NetworkOutput

LABELS = jnp.asarray([0, 2, 1, 1])
WIDTHS = Widths({"stage1": 3, "stage2": 4}, {"stage1": 5, "stage2": 2})


def draw(seed, sizes=((4, 5), (2, 3)), widths=(3, 4), clips=4):
    rng = np.random.default_rng(seed)
    return [
        np.maximum(rng.standard_normal((clips, *size, width)), 0)
        for size, width in zip(sizes, widths, strict=True)
    ]


def single(*networks):
    return [[jnp.asarray(m, jnp.float32) for m in maps] for maps in networks]


def naive_relation(student, teacher, attention):
    def similarity(maps):
        rows = maps.reshape(len(maps), -1)
        gram = rows @ rows.T
        return gram / np.linalg.norm(gram, axis=1, keepdims=True)

    clips, total = len(student[0]), 0.0
    for i, s in enumerate(student):
        for j, t in enumerate(teacher):
            squares = np.sum((similarity(s) - similarity(t)) ** 2)
            total += attention[i, j] * clips * squares / clips**2
    return total / len(student)


def naive_region(student, teacher, share):
    losses = []
    for s, t in zip(student, teacher, strict=True):
        for map_s, map_t in zip(s, t, strict=True):
            q_s, q_t = ((m**2).mean(axis=-1).ravel() for m in (map_s, map_t))
            q_s, q_t = q_s / np.linalg.norm(q_s), q_t / np.linalg.norm(q_t)
            count = int(np.ceil(share * len(q_t)))
            mask = np.isin(np.arange(len(q_t)), np.argsort(-q_t)[:count])
            losses.append(np.sum(mask * (q_s - q_t) ** 2))
    return np.mean(losses)


def test_relation_matching_agrees_with_the_definition():
    student, teacher = draw(0), draw(1, ((3, 3), (2, 2)), (6, 5))
    attention = np.asarray([[0.75, 0.25], [0.5, 0.5]])
    found = jax.jit(relation_matching_loss)(
        *single(student, teacher), jnp.asarray(attention, jnp.float32)
    )
    np.testing.assert_allclose(found, naive_relation(student, teacher, attention), rtol=1e-4)
    same = relation_matching_loss(*single(student, student), jnp.eye(2))
    assert float(same) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_activation_region_agrees_with_the_definition(share):
    student, teacher = draw(2), draw(3, widths=(6, 5))
    found = jax.jit(lambda s, t: activation_region_loss(s, t, share=share))(
        *single(student, teacher)
    )
    np.testing.assert_allclose(found, naive_region(student, teacher, share), rtol=1e-4)


def test_only_the_teachers_region_is_compared():
    # A teacher that looks at one of ten positions, and three positions in the region.
    teacher = np.zeros((1, 2, 5, 1))
    teacher[0, 0, 0] = 1.0
    student = np.zeros((1, 2, 5, 1))
    student[0, 0, 0] = student[0, 1, 4] = 1.0
    found = activation_region_loss(*single([student], [teacher]))
    # q^S is 1/sqrt(2) at both of its positions, the second of which is outside of the region.
    np.testing.assert_allclose(found, (1 - 2**-0.5) ** 2, rtol=1e-5)


def test_only_clips_with_a_right_teacher_are_distilled():
    rng = np.random.default_rng(4)
    student, teacher = rng.standard_normal((2, 4, 3))
    right = np.argmax(teacher, axis=1) == np.asarray(LABELS)
    assert 0 < right.sum() < 4
    log_s, log_t = log_softmax(student / 4, axis=1), log_softmax(teacher / 4, axis=1)
    divergences = 16 * np.sum(np.exp(log_t) * (log_t - log_s), axis=1)
    found = right_teacher_loss(
        jnp.asarray(student, jnp.float32), jnp.asarray(teacher, jnp.float32), LABELS
    )
    np.testing.assert_allclose(found, np.sum(right * divergences) / 4, rtol=1e-4)


def output(maps, logits):
    stages = {
        f"stage{i}": jnp.stack([m + 0.25, m - 0.25], axis=1) for i, m in enumerate(maps, start=1)
    }
    return NetworkOutput(logits=logits, stages=stages, features=jnp.zeros((4, 2, 1)))


def test_method_attends_and_adds_up():
    student, teacher = single(draw(5, widths=(3, 4)), draw(6, widths=(5, 2)))
    logits = jnp.asarray(np.random.default_rng(7).standard_normal((2, 4, 3)), jnp.float32)
    method = ARCTIC(
        relation_weight=2.0,
        region_weight=3.0,
        selective_weight=5.0,
        widths=WIDTHS,
        rngs=nnx.Rngs(0),
    )
    graph, params, rest = nnx.split(method, nnx.Param, nnx.BatchStat)
    assert not jax.tree.leaves(rest)

    def loss(params):
        terms = nnx.merge(graph, params, rest)(
            output(student, logits[0]), output(teacher, logits[1]), LABELS, jnp.float32(0)
        )
        return terms["loss"], terms

    gradient, terms = jax.jit(jax.grad(loss, has_aux=True))(params)
    embedded = []
    for embeds, maps in ((method.queries, student), (method.keys, teacher)):
        for embed, m in zip(embeds, maps, strict=True):
            x = np.asarray(m, np.float64).mean(axis=(1, 2))
            for layer, bend in ((embed.hidden, True), (embed.out, False)):
                x = x @ np.asarray(layer.kernel[...], np.float64) + np.asarray(layer.bias[...])
                x = np.maximum(x, 0) if bend else x
            embedded.append(x / np.linalg.norm(x, axis=1, keepdims=True))
    scores = np.array([[np.sum(q * k, axis=1) for k in embedded[2:]] for q in embedded[:2]])
    attention = softmax(scores / np.sqrt(128), axis=1).mean(axis=2)
    expected = naive_relation(
        *([np.asarray(m, np.float64) for m in maps] for maps in (student, teacher)), attention
    )
    np.testing.assert_allclose(terms["relation"], expected, rtol=1e-3)
    parts = [float(terms[n]) for n in ("relation", "region", "selective")]
    np.testing.assert_allclose(terms["loss"], np.dot((2, 3, 5), parts), rtol=1e-5)
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(gradient))


def test_refuses_an_attention_of_another_shape_and_a_share_out_of_range():
    maps = single(draw(8), draw(9))
    with pytest.raises(ValueError, match=r"shape \(2, 3\), expected \(2, 2\)"):
        relation_matching_loss(*maps, jnp.zeros((2, 3)))
    for share in (0.0, 1.5):
        with pytest.raises(ValueError, match="share is"):
            activation_region_loss(*maps, share=share)
