"""What holds for every loss: finite, float32, differentiable, the same for any order of the clips."""

import dataclasses
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rgb2ir_jax.distillation.arctic import (
    activation_region_loss,
    relation_matching_loss,
    right_teacher_loss,
)
from rgb2ir_jax.distillation.attention_transfer import attention_transfer_loss
from rgb2ir_jax.distillation.channel_correlation import (
    channel_distance_loss,
    channel_relation_loss,
    selective_distillation_loss,
)
from rgb2ir_jax.distillation.correlation_congruence import correlation_congruence_loss
from rgb2ir_jax.distillation.dkd import dkd_loss
from rgb2ir_jax.distillation.focal_channel import focal_correlation_loss, focal_distribution_loss
from rgb2ir_jax.distillation.relational import rkd_angle_loss, rkd_distance_loss, rkd_loss
from rgb2ir_jax.distillation.similarity_preserving import similarity_preserving_loss
from rgb2ir_jax.distillation.soft_target import soft_target_loss

CLIPS = 4


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss as a function of two networks' arrays (and of labels, where it takes them)."""

    function: Callable
    student: tuple[tuple[int, ...], ...]  # The shapes of a clip.
    teacher: tuple[tuple[int, ...], ...]
    labels: bool = False
    bounded: bool = True  # Whether its value can be represented for inputs of 1e30.

    def __call__(self, student, teacher, labels):
        if not isinstance(self.function, _Sequences):
            (student,), (teacher,) = student, teacher
        extra = (labels,) if self.labels else ()
        return self.function(student, teacher, *extra)


@dataclasses.dataclass(frozen=True)
class _Sequences:
    """Marks a loss of one array for each stage."""

    function: Callable

    def __call__(self, *arguments):
        return self.function(*arguments)


def matched(student, teacher):
    return relation_matching_loss(student, teacher, jnp.asarray([[0.75, 0.25], [0.5, 0.5]]))


MAPS = ((5, 4, 3), (2, 3, 4)), ((4, 4, 6), (3, 2, 5))
MAP = ((3, 2, 4),), ((2, 3, 6),)
SAME_CHANNELS = ((4, 3, 6),), ((2, 3, 6),)
FEATURES = ((5,),), ((7,),)
CHANNELS = ((6,), (3,)), ((6,), (3,))
LOGITS = ((5,),), ((5,),)
LOSSES = {
    "soft_target": Loss(soft_target_loss, *LOGITS),
    "dkd": Loss(dkd_loss, *LOGITS, labels=True),
    "attention_transfer": Loss(_Sequences(attention_transfer_loss), *MAPS),
    "similarity_preserving": Loss(similarity_preserving_loss, *MAP),
    "correlation_congruence": Loss(correlation_congruence_loss, *FEATURES),
    "rkd_distance": Loss(rkd_distance_loss, *FEATURES),
    "rkd_angle": Loss(rkd_angle_loss, *FEATURES),
    "rkd": Loss(rkd_loss, *FEATURES),
    "channel_distance": Loss(_Sequences(channel_distance_loss), *CHANNELS, bounded=False),
    "channel_relation": Loss(_Sequences(channel_relation_loss), *CHANNELS),
    "selective": Loss(
        lambda s, t, y: selective_distillation_loss(s, t, y, 0.2), *LOGITS, labels=True
    ),
    "relation_matching": Loss(_Sequences(matched), *MAPS),
    "activation_region": Loss(_Sequences(activation_region_loss), *MAPS),
    "right_teacher": Loss(right_teacher_loss, *LOGITS, labels=True),
    "focal_correlation": Loss(focal_correlation_loss, *SAME_CHANNELS),
    "focal_distribution": Loss(focal_distribution_loss, *SAME_CHANNELS),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def draw(rng, shapes, clips=CLIPS, dtype=np.float32):
    """Arrays as after a ReLU, or logits of both signs."""
    arrays = [rng.standard_normal((clips, *shape)) * 2 for shape in shapes]
    return [jnp.asarray(np.maximum(a, 0) if a.ndim == 4 else a, dtype) for a in arrays]


def inputs(loss, seed, clips=CLIPS, dtype=np.float32):
    rng = np.random.default_rng(seed)
    student, teacher = (draw(rng, shapes, clips, dtype) for shapes in (loss.student, loss.teacher))
    labels = rng.integers(0, 5, clips)
    if loss.labels:
        labels[::2] = np.argmax(teacher[0], axis=1)[::2]  # The teacher is right now and then.
    return student, teacher, jnp.asarray(labels, jnp.int32)


@every_loss
def test_order_precision_compilation_and_vmap(name):
    loss = LOSSES[name]
    compiled = jax.jit(loss)
    student, teacher, labels = inputs(loss, 0)
    value = compiled(student, teacher, labels)
    assert value.shape == ()
    assert value > 1e-3

    order = np.asarray([2, 0, 3, 1])
    permuted = jax.tree.map(lambda a: a[order], (student, teacher, labels))
    np.testing.assert_allclose(compiled(*permuted), value, rtol=2e-5)

    # In bfloat16 and operation by operation: the float32 loss of the same, rounded, numbers.
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (student, teacher))
    eager = loss(*half, labels)
    assert eager.dtype == jnp.float32
    rounded = jax.tree.map(lambda a: a.astype(jnp.float32), half)
    np.testing.assert_allclose(eager, compiled(*rounded, labels), rtol=1e-5, atol=1e-7)

    batches = [inputs(loss, seed) for seed in (0, 1)]
    mapped = jax.jit(jax.vmap(loss))(*jax.tree.map(lambda *a: jnp.stack(a), *batches))
    np.testing.assert_allclose(mapped, [compiled(*b) for b in batches], rtol=2e-5)

    if loss.student == loss.teacher and name != "relation_matching":
        assert float(compiled(student, student, labels)) == pytest.approx(0.0, abs=1e-7)


@every_loss
def test_gradient_is_the_slope_and_float64_is_kept(name):
    loss = LOSSES[name]
    with jax.enable_x64(True):
        student, teacher, labels = inputs(loss, 2, dtype=np.float64)
        # Away from 0, where a ReLU's output may have no slope.
        student = [s + 0.05 if s.ndim == 4 else s for s in student]
        function = jax.jit(jax.value_and_grad(loss))
        value, gradient = function(student, teacher, labels)
        assert value.dtype == jnp.float64
        rng = np.random.default_rng(3)
        direction = [rng.standard_normal(s.shape) for s in student]
        step = 1e-5
        above, below = (
            function(
                [s + sign * step * d for s, d in zip(student, direction, strict=True)],
                teacher,
                labels,
            )[0]
            for sign in (1, -1)
        )
        slope = sum(np.sum(g * d) for g, d in zip(gradient, direction, strict=True))
        np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "name", ["similarity_preserving", "correlation_congruence", "rkd", "relation_matching"]
)
def test_graphs_of_many_clips_are_compiled_correctly(name):
    # See tests/test_compiler_canary.py: wrong numbers from 64 clips on, where one side is constant.
    loss = LOSSES[name]
    student, teacher, labels = inputs(loss, 7, clips=64)
    function = jax.jit(jax.value_and_grad(lambda s: loss(s, teacher, labels)))
    value, gradient = function(student)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: a.astype(jnp.float64), (student, teacher))
        exact_value, exact = jax.jit(jax.value_and_grad(loss))(*wide, labels)
    np.testing.assert_allclose(value, exact_value, rtol=2e-5)
    for found, expected in zip(gradient, exact, strict=True):
        largest = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * largest)


def spoiled(kind, array):
    """Inputs that break careless formulas."""
    first = (np.arange(len(array)) > 0).reshape(-1, *[1] * (array.ndim - 1))
    return {
        "zero": lambda: array * 0,
        "duplicates": lambda: np.broadcast_to(array[:1], array.shape),
        "one_zero": lambda: array * first,
        "thousand": lambda: np.sign(array) * 1000,
        "constant": lambda: np.full_like(array, 0.7),
        "tiny": lambda: array * 1e-30,
        "huge": lambda: array * 1e30,
        "one_huge": lambda: array * np.where(first, 1, 1e30),
        "largest": lambda: np.sign(array) * 3e38,
    }[kind]()


@every_loss
@pytest.mark.parametrize("clips", [1, CLIPS])
def test_is_finite_in_value_and_both_gradients(name, clips):
    loss = LOSSES[name]
    function = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    rng = np.random.default_rng(4)
    kinds = ["zero", "duplicates", "one_zero", "thousand", "constant", "tiny"]
    kinds += ["huge", "one_huge", "largest"] if loss.bounded else []
    for pair in itertools.product(kinds, repeat=2):
        student, teacher = (
            [
                jnp.asarray(spoiled(kind, np.asarray(a, np.float64)), jnp.float32)
                for a in draw(rng, shapes, clips)
            ]
            for kind, shapes in zip(pair, (loss.student, loss.teacher), strict=True)
        )
        value, gradients = function(student, teacher, jnp.zeros(clips, jnp.int32))
        assert np.isfinite(value), pair
        assert value >= -1e-6, pair
        assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients)), pair


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.student == ((5,),)])
def test_two_classes_or_dimensions_are_enough(name):
    loss = LOSSES[name]
    function = jax.jit(jax.value_and_grad(loss))
    rng = np.random.default_rng(5)
    for scale in (1.0, 1000.0):
        student, teacher = ([jnp.asarray(rng.standard_normal((3, 2)) * scale)] for _ in range(2))
        value, (gradient,) = function(student, teacher, jnp.asarray([0, 1, 1]))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@every_loss
def test_refuses_shapes_that_make_no_sense(name):
    loss = LOSSES[name]
    rng = np.random.default_rng(6)
    student = draw(rng, loss.student)
    labels = jnp.zeros(CLIPS, jnp.int32)
    with pytest.raises(ValueError, match=r"same|one and the same shape|maps must come from"):
        loss(student, draw(rng, loss.teacher, CLIPS + 1), labels)
    with pytest.raises(ValueError, match=r"non-empty|at least one clip"):
        loss(*(draw(rng, shapes, 0) for shapes in (loss.student, loss.teacher)), labels[:0])
    if loss.student == ((5,),) == loss.teacher:
        one_class = [jnp.zeros((CLIPS, 1))]
        with pytest.raises(ValueError, match="two classes"):
            loss(one_class, one_class, labels)
    if loss.labels:
        with pytest.raises(ValueError, match="labels have shape"):
            loss(student, student, labels[1:])
    if isinstance(loss.function, _Sequences):
        with pytest.raises(ValueError, match=r"2 student .* 1 teacher|found 2 .* and 1"):
            loss(student, draw(rng, loss.teacher)[:1], labels)
        with pytest.raises(ValueError, match="at least one"):
            loss([], [], labels)
