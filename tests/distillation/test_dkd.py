import importlib.util
from pathlib import Path

import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from rgb2ir_jax.distillation.dkd import DKD, dkd_loss, dkd_terms
from rgb2ir_jax.models.output import NetworkOutput

_spec = importlib.util.spec_from_file_location(
    "loss_reference", Path(__file__).with_name("loss_reference.py")
)
loss_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(loss_reference)
JITTED_TERMS = jax.jit(dkd_terms, static_argnames="temperature")
CASES = loss_reference.reference_cases("dkd_loss")


def naive_terms(student, teacher, labels, temperature):
    """TCKD and NCKD by their definition, class by class, in float64."""
    tckd, nckd = [], []
    for s, t, y in zip(
        np.asarray(student, np.float64), np.asarray(teacher, np.float64), labels, strict=True
    ):
        p_s, p_t = softmax(s / temperature), softmax(t / temperature)
        binary_s, binary_t = np.array([p_s[y], 1 - p_s[y]]), np.array([p_t[y], 1 - p_t[y]])
        tckd.append(np.sum(binary_t * np.log(binary_t / binary_s)))
        others = np.arange(len(s)) != y
        log_s, log_t = log_softmax(s[others] / temperature), log_softmax(t[others] / temperature)
        nckd.append(np.sum(np.exp(log_t) * (log_t - log_s)))
    return temperature**2 * np.mean(tckd), temperature**2 * np.mean(nckd)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_agrees_with_the_authors_implementation(case):
    student, teacher, labels = case["inputs"]
    labels = jnp.asarray(labels, jnp.int32)

    def loss(z):
        return dkd_loss(z, jnp.asarray(teacher, z.dtype), labels, **case["options"])

    loss_and_gradient = jax.jit(jax.value_and_grad(loss))
    value, gradient = loss_and_gradient(jnp.asarray(student, jnp.float32))
    np.testing.assert_allclose(value, case["value"], rtol=2e-5)
    np.testing.assert_allclose(gradient, case["gradient"], rtol=2e-5, atol=2e-6)
    with jax.enable_x64(True):
        value, gradient = loss_and_gradient(jnp.asarray(student, jnp.float64))
        np.testing.assert_allclose(value, case["value"], rtol=1e-7)
        np.testing.assert_allclose(gradient, case["gradient"], rtol=1e-7, atol=1e-9)


def logits(rows, columns, bound):
    return arrays.arrays(
        np.float32, (rows, columns), elements=st.floats(-bound, bound, width=32, allow_nan=False)
    )


@hypothesis.settings(deadline=None, max_examples=50)
@hypothesis.given(data=st.data(), temperature=st.sampled_from([0.5, 1.0, 4.0]))
def test_terms_follow_their_definition_and_add_up_to_plain_distillation(data, temperature):
    rows, columns = 3, 5
    student, teacher = data.draw(logits(rows, columns, 8)), data.draw(logits(rows, columns, 8))
    labels = data.draw(arrays.arrays(np.int32, rows, elements=st.integers(0, columns - 1)))
    student_array, teacher_array = jnp.asarray(student), jnp.asarray(teacher)
    tckd, nckd = JITTED_TERMS(
        student_array, teacher_array, jnp.asarray(labels), temperature=temperature
    )
    expected = naive_terms(student, teacher, labels, temperature)
    np.testing.assert_allclose((tckd, nckd), expected, rtol=1e-4, atol=1e-5)

    # Zhao et al., Eq. 6: KD = TCKD + (1 - p_y) NCKD, sample by sample.
    for i in range(rows):
        row = slice(i, i + 1)
        tckd, nckd = JITTED_TERMS(
            student_array[row],
            teacher_array[row],
            jnp.asarray(labels[row]),
            temperature=temperature,
        )
        p_t = softmax(teacher[i].astype(np.float64) / temperature)
        log_t = log_softmax(teacher[i].astype(np.float64) / temperature)
        log_s = log_softmax(student[i].astype(np.float64) / temperature)
        divergence = temperature**2 * np.sum(p_t * (log_t - log_s))
        np.testing.assert_allclose(
            tckd + (1 - p_t[labels[i]]) * nckd, divergence, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("clips", [1, 4])
def test_is_finite_and_exact_for_huge_logits(clips, classes):
    rng = np.random.default_rng(0)
    labels = jnp.zeros(clips, jnp.int32)
    loss_and_gradients = jax.jit(
        jax.value_and_grad(lambda s, t: dkd_loss(s, t, labels), argnums=(0, 1))
    )
    for _ in range(20):
        student, teacher = jnp.asarray(
            rng.choice([-1000.0, 0.0, 1000.0], (2, clips, classes)), jnp.float32
        )
        values, gradients = loss_and_gradients(student, teacher)
        assert np.isfinite(values)
        assert all(np.isfinite(gradient).all() for gradient in gradients)
    # Teacher certain of the label, student certain of the other class: KL = 2000 in log space.
    certain = jnp.asarray([[1000.0, -1000.0]])
    tckd, nckd = dkd_terms(-certain, certain, jnp.zeros(1, jnp.int32))
    assert float(tckd) == 2000.0
    assert float(nckd) == 0.0


def test_gradients_match_finite_differences():
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        student, teacher = jnp.asarray(rng.standard_normal((2, 4, 6)) * 3)
        labels = jnp.asarray([0, 5, 2, 2])
        # Jitted, so that the loss sees JAX arrays where the check hands over NumPy's.
        loss = jax.jit(lambda s, t: dkd_loss(s, t, labels, temperature=2.0))
        jax.test_util.check_grads(loss, (student, teacher), order=1, modes="rev")


def test_a_weight_of_zero_switches_its_term_off():
    rng = np.random.default_rng(2)
    student, teacher = jnp.asarray(rng.standard_normal((2, 4, 6)), jnp.float32)
    labels = jnp.asarray([0, 5, 2, 2])
    tckd, nckd = dkd_terms(student, teacher, labels)
    assert dkd_loss(student, teacher, labels, target_weight=0.0, nontarget_weight=1.0) == nckd
    assert dkd_loss(student, teacher, labels, target_weight=1.0, nontarget_weight=0.0) == tckd


def test_is_zero_for_equal_networks_jits_and_computes_in_float32():
    rng = np.random.default_rng(3)
    student, teacher = jnp.asarray(rng.standard_normal((2, 8, 10)) * 4, jnp.float32)
    labels = jnp.arange(8)
    assert float(dkd_loss(student, student, labels)) == pytest.approx(0.0, abs=1e-7)
    eager = dkd_loss(student, teacher, labels)
    np.testing.assert_allclose(jax.jit(dkd_loss)(student, teacher, labels), eager, rtol=1e-6)
    order = rng.permutation(8)
    np.testing.assert_allclose(
        dkd_loss(student[order], teacher[order], labels[order]), eager, rtol=1e-6
    )
    half = dkd_loss(student.astype(jnp.bfloat16), teacher.astype(jnp.bfloat16), labels)
    assert half.dtype == jnp.float32


@pytest.mark.parametrize(
    ("student", "teacher", "labels", "message"),
    [
        ((4, 1), (4, 1), (4,), "two classes"),
        ((0, 5), (0, 5), (0,), "one clip"),
        ((4, 5), (4, 6), (4,), "one and the same shape"),
        ((4, 5), (4, 5), (3,), "labels have shape"),
    ],
)
def test_refuses_shapes_that_make_no_sense(student, teacher, labels, message):
    with pytest.raises(ValueError, match=message):
        dkd_loss(jnp.zeros(student), jnp.zeros(teacher), jnp.zeros(labels, jnp.int32))


def test_method_reports_its_parts():
    rng = np.random.default_rng(4)
    logits_s, logits_t = jnp.asarray(rng.standard_normal((2, 3, 5)), jnp.float32)
    labels = jnp.asarray([0, 1, 4])

    def output(z):
        return NetworkOutput(logits=z, stages={}, features=jnp.zeros((3, 1, 1)))

    method = DKD(target_weight=0.7, nontarget_weight=0.35, temperature=1.0)
    terms = method(output(logits_s), output(logits_t), labels, jnp.float32(0))
    assert set(terms) == {"loss", "tckd", "nckd"}
    np.testing.assert_allclose(terms["loss"], dkd_loss(logits_s, logits_t, labels), rtol=1e-6)
