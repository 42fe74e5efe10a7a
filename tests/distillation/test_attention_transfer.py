import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rgb2ir_jax.distillation.attention_transfer import AttentionTransfer, attention_transfer_loss
from rgb2ir_jax.models.output import NetworkOutput

JITTED = jax.jit(attention_transfer_loss, static_argnames="power")
SHAPES = [
    # (student's height, width, channels), (teacher's): as large, larger, smaller, larger one way only.
    [((4, 4, 3), (4, 4, 5))],
    [((7, 5, 2), (3, 2, 4)), ((2, 2, 3), (4, 6, 1))],
    [((5, 2, 2), (3, 4, 2)), ((1, 1, 4), (3, 3, 4)), ((2, 3, 1), (2, 3, 8))],
]


def pool(maps, size):
    """PyTorch's adaptive average pooling of (N, H, W, C), window by window."""
    out = np.zeros((maps.shape[0], *size, maps.shape[3]))
    for a in range(size[0]):
        for b in range(size[1]):
            rows = slice(a * maps.shape[1] // size[0], -(-(a + 1) * maps.shape[1] // size[0]))
            columns = slice(b * maps.shape[2] // size[1], -(-(b + 1) * maps.shape[2] // size[1]))
            out[:, a, b] = maps[:, rows, columns].mean(axis=(1, 2))
    return out


def naive(student_maps, teacher_maps, power):
    losses = []
    for student, teacher in zip(student_maps, teacher_maps, strict=True):
        size = tuple(np.minimum(student.shape[1:3], teacher.shape[1:3]))
        rows = []
        for maps in (student, teacher):
            q = (pool(maps, size) ** power).mean(axis=-1).reshape(len(maps), -1)
            rows.append(np.stack([v / max(np.linalg.norm(v), 1e-12) for v in q]))
        losses.append(np.mean((rows[0] - rows[1]) ** 2))
    return np.mean(losses)


def draw(seed, shapes, clips=3):
    rng = np.random.default_rng(seed)
    return [
        [np.maximum(rng.standard_normal((clips, *pair[i])), 0) for pair in shapes] for i in (0, 1)
    ]


def single(*networks):
    return [[jnp.asarray(m, jnp.float32) for m in maps] for maps in networks]


@hypothesis.settings(max_examples=20)
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    shapes=st.sampled_from(SHAPES),
    power=st.sampled_from([1, 2, 3]),
)
def test_agrees_with_the_definition(seed, shapes, power):
    student, teacher = draw(seed, shapes)
    value = JITTED(*single(student, teacher), power=power)
    np.testing.assert_allclose(value, naive(student, teacher, power), rtol=2e-5, atol=1e-8)


def test_does_not_change_with_the_scale_of_a_clips_map():
    student, teacher = single(*draw(0, SHAPES[1]))
    scales = jnp.asarray([1e-3, 7.0, 1e20])[:, None, None, None]
    value = JITTED(student, teacher)
    np.testing.assert_allclose(JITTED([m * scales for m in student], teacher), value, rtol=1e-5)
    np.testing.assert_allclose(JITTED(student, [m * scales for m in teacher]), value, rtol=1e-5)


def test_method_presets_and_units():
    rng = np.random.default_rng(1)
    labels, progress = jnp.zeros(2, jnp.int32), jnp.float32(0)

    def output(channels):
        stages = {
            f"stage{i}": jnp.asarray(rng.random((2, 3, 4, 4, channels)), jnp.bfloat16)
            for i in (1, 2)
        }
        return NetworkOutput(logits=jnp.zeros((2, 5)), stages=stages, features=jnp.zeros((2, 3, 1)))

    def maps(network, unit):
        arrays = [np.asarray(m, np.float64) for m in network.stages.values()]
        if unit == "clip":
            return [a.mean(axis=1) for a in arrays]
        return [a.reshape(6, *a.shape[2:]) for a in arrays]

    student, teacher = output(3), output(5)
    for unit in ("clip", "frame"):
        expected = naive(maps(student, unit), maps(teacher, unit), 2)
        zoo, crd = (
            AttentionTransfer(preset=preset, unit=unit)(student, teacher, labels, progress)
            for preset in ("zoo", "crd")
        )
        np.testing.assert_allclose(zoo["loss"], expected, rtol=2e-5)
        np.testing.assert_allclose(crd["loss"], 2 * expected, rtol=2e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"power": 0}, "power is 0, expected a whole number of at least 1"),
        ({"preset": "sum"}, "preset='sum' is not known; expected one of zoo, crd"),
        ({"unit": "video"}, "unit='video' is not known; expected one of clip, frame"),
    ],
)
def test_refuses_unknown_options(options, message):
    with pytest.raises(ValueError, match=message):
        AttentionTransfer(**options)
