"""The total loss: its sum, its names, and what it refuses."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from configs import ntu
from rgb2ir_jax.distillation.objective import Objective, cross_entropy_loss
from rgb2ir_jax.distillation.registry import METHODS, build_method
from rgb2ir_jax.models.output import STAGE_NAMES, NetworkOutput

LABELS = jnp.asarray([0, 2, 1, 2])
PROGRESS = jnp.float32(0)


def output(seed, width):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return jnp.asarray(np.maximum(rng.standard_normal(shape), 0), jnp.float32)

    sizes = zip(STAGE_NAMES, (8, 4, 2, 1), strict=True)
    return NetworkOutput(
        logits=jnp.asarray(rng.standard_normal((4, 5)), jnp.float32),
        stages={name: draw(4, 2, size, size, width) for name, size in sizes},
        features=draw(4, 2, width),
    )


STUDENT, TEACHER = output(0, 4), output(1, 6)


def test_cross_entropy_is_the_mean_of_the_labels_log_probability():
    expected = -log_softmax(np.asarray(STUDENT.logits, np.float64), axis=1)[
        np.arange(4), np.asarray(LABELS)
    ].mean()
    assert float(cross_entropy_loss(STUDENT.logits, LABELS)) == pytest.approx(expected, rel=1e-6)
    half = cross_entropy_loss(STUDENT.logits.astype(jnp.bfloat16), LABELS)
    assert half.dtype == jnp.float32


@pytest.mark.parametrize("distill", [None, {}])
def test_without_methods_it_is_the_cross_entropy(distill):
    loss, terms = Objective(distill)(STUDENT, None, LABELS, PROGRESS)
    assert set(terms) == {"loss", "ce"}
    assert loss == terms["loss"] == terms["ce"] == cross_entropy_loss(STUDENT.logits, LABELS)


def test_terms_are_the_methods_own_and_add_up():
    distill = ntu.get_config().distill
    loss, terms = Objective(distill)(STUDENT, TEACHER, LABELS, PROGRESS)
    assert set(terms) == {
        *("loss", "ce", "mgcam", "mgcam_weighted"),
        *("dkd", "dkd_weighted", "dkd/tckd", "dkd/nckd"),
    }
    for name in ("mgcam", "dkd"):
        options = {key: value for key, value in distill[name].items() if key != "weight"}
        alone = build_method(name, options)(STUDENT, TEACHER, LABELS, PROGRESS)
        assert float(terms[name]) == pytest.approx(float(alone["loss"]), rel=1e-6)
    total = float(terms["ce"]) + 1.0 * float(terms["mgcam"]) + 0.1 * float(terms["dkd"])
    assert float(loss) == float(terms["loss"]) == pytest.approx(total, rel=1e-6)
    assert distill.dkd.weight == 0.1, "the config is left as it was"


def test_a_method_of_weight_0_is_not_computed(monkeypatch):
    def computed(*_):
        raise AssertionError("it was computed")

    monkeypatch.setattr(METHODS["mgcam"], "__call__", computed)
    distill = ntu.get_config().distill.copy_and_resolve_references()
    distill.mgcam.weight = 0.0
    objective = Objective(distill)
    assert list(objective.methods) == ["dkd"]
    _, terms = objective(STUDENT, TEACHER, LABELS, PROGRESS)
    assert not any("mgcam" in name for name in terms)


def test_a_method_without_a_teacher_is_refused():
    with pytest.raises(ValueError, match="method 'dkd' compares with a teacher, and there is none"):
        Objective(ntu.get_config("dkd").distill)(STUDENT, None, LABELS, PROGRESS)


def test_an_unknown_method_comes_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'kd' is not known; expected one of dkd, mgcam"):
        Objective({"kd": {"weight": 1.0}})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dkd", {"target_weight": 1.0, "nontarget_weight": 1.0, "temperature": 1.0, "heat": 1.0},
         r"config\.distill\.dkd: .*unexpected keyword argument 'heat'"),
        ("dkd", {"temperature": 1.0}, r"config\.distill\.dkd: .*missing .*'target_weight'"),
        ("mgcam", {"pair": "all"}, r"config\.distill\.mgcam: pair is not an option"),
        ("mgcam", {"student_maps": []}, r"config\.distill\.mgcam: student_maps is not an option"),
        ("mgcam", {"kernel": "l1"}, r"config\.distill\.mgcam: kernel='l1' is not known; .*l2, raw"),
        ("dkd", {"target_weight": 1.0, "nontarget_weight": 1.0, "temperature": -1.0},
         r"config\.distill\.dkd: temperature is -1\.0, expected a finite positive number"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named_when_the_method_is_made(name, options, message):
    with pytest.raises(ValueError, match=message):
        Objective({name: {"weight": 1.0, **options}})
