"""The total loss: its sum, its names, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax

from configs import ntu
from rgb2ir_jax.distillation.base import Method, Widths
from rgb2ir_jax.distillation.ensemble import ensemble_logits
from rgb2ir_jax.distillation.objective import Objective, check_distill, cross_entropy_loss
from rgb2ir_jax.distillation.registry import METHODS, build_method
from rgb2ir_jax.distillation.similarity_preserving import SimilarityPreserving
from rgb2ir_jax.distillation.soft_target import soft_target_loss
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


STUDENT, TEACHER, OTHER = output(0, 4), output(1, 6), output(2, 3)


def widths(teacher):
    return Widths(*(dict.fromkeys(STAGE_NAMES, width) for width in (4, teacher)))


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
        options = {
            key: value for key, value in distill[name].items() if key not in ("weight", "warmup")
        }
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
    with pytest.raises(
        ValueError, match="'kd' is not known; expected one of " + ", ".join(sorted(METHODS))
    ):
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
        ("mgcam", {"unit": "video"}, r"config\.distill\.mgcam: unit='video' is not known"),
        ("at", {"preset": "sum"}, r"config\.distill\.at: preset='sum' .* one of zoo, crd"),
        ("sp", {"weight": -1.0}, r"config\.distill\.sp\.weight is -1\.0, expected a finite number of 0"),
        ("cc", {"warmup": 1.5}, r"config\.distill\.cc\.warmup is 1\.5, expected a share of the training"),
        ("ccskd", {"preset": "odd"}, r"config\.distill\.ccskd: preset='odd' .* constant, official"),
        ("arctic", {"share": 0.0}, r"config\.distill\.arctic: share is 0\.0"),
        ("focal", {"heat": 1.0}, r"config\.distill\.focal: .*unexpected keyword argument 'heat'"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named_before_and_when_the_method_is_made(name, options, message):
    distill = {name: {"weight": 1.0, **options}}
    with pytest.raises(ValueError, match=message):
        check_distill(distill)
    with pytest.raises(ValueError, match=message):
        Objective(distill, [widths(6)])


def test_every_method_passes_the_check_with_its_defaults():
    distill = {name: {"weight": 1.0, "warmup": 0.1} for name in METHODS if name != "dkd"}
    check_distill(distill | ntu.get_config("dkd").distill.to_dict())
    with pytest.raises(ValueError, match=r"config\.distill\.st\.weight is missing"):
        check_distill({"st": {}})


@pytest.mark.parametrize(("progress", "share"), [(0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (0.9, 1.0)])
def test_warm_up_raises_a_weight_linearly_from_0(progress, share):
    _, terms = Objective({"st": {"weight": 4.0, "warmup": 0.2}})(
        STUDENT, TEACHER, LABELS, jnp.float32(progress)
    )
    assert float(terms["st_weighted"]) == pytest.approx(4.0 * share * float(terms["st"]), rel=1e-6)
    total = float(terms["ce"]) + float(terms["st_weighted"])
    assert float(terms["loss"]) == pytest.approx(total, rel=1e-6)


def run(objective, teacher, progress=0.0):
    """Loss, terms, the connectors' gradient and statistics after, through one compiled program."""
    graph, params, stats = nnx.split(objective, nnx.Param, nnx.BatchStat)

    def loss(params):
        module = nnx.merge(graph, params, stats, copy=True)
        total, terms = module(STUDENT, teacher, LABELS, jnp.float32(progress))
        return total, (terms, nnx.state(module, nnx.BatchStat))

    (total, (terms, after)), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    return total, terms, gradient, after


def test_methods_can_scale_the_cross_entropy():
    distill = {
        "st": {"weight": 0.9, "cross_entropy": 0.1},
        "ccskd": {"weight": 1.0, "preset": "official"},
    }
    objective = Objective(distill, [widths(6)])
    for progress, scale in ((0.1, 0.0), (0.5, 0.1)):
        total, terms, *_ = run(objective, TEACHER, progress)
        cross_entropy = cross_entropy_loss(STUDENT.logits, LABELS)
        assert float(terms["ce"]) == pytest.approx(float(cross_entropy), rel=1e-6)
        assert float(terms["ce_weighted"]) == pytest.approx(scale * float(terms["ce"]), rel=1e-6)
        parts = ("ce_weighted", "st_weighted", "ccskd_weighted")
        assert float(total) == pytest.approx(sum(float(terms[p]) for p in parts), rel=1e-5)


@pytest.fixture(scope="module")
def four_methods():
    names = ("ccskd", "arctic", "focal", "sp")
    objective = Objective({name: {"weight": 0.5} for name in names}, [widths(6), widths(3)])
    return objective, run(objective, [TEACHER, OTHER])


def test_four_methods_at_once_with_connectors_to_two_teachers(four_methods):
    objective, (total, terms, gradient, after) = four_methods
    names = list(objective.methods)
    weighted = sum(float(terms[f"{name}_weighted"]) for name in names)
    assert float(total) == pytest.approx(float(terms["ce"]) + weighted, rel=1e-5)
    assert [len(objective.methods[name]) for name in names] == [2, 2, 2, 1]
    for name in names:
        assert float(terms[f"{name}_weighted"]) == pytest.approx(0.5 * float(terms[name]), rel=1e-6)
    kernel = objective.methods["focal"][1].connector.conv.kernel
    assert kernel.shape == (4, 3)
    leaves = jax.tree.leaves(gradient)
    assert len(leaves) == 2 * (4 * 3 + 8 * 4 + 3)
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    start = jax.tree.leaves(nnx.state(objective, nnx.BatchStat))
    assert len(start) == 2 * (4 * 2 + 2)
    for a, b in zip(start, jax.tree.leaves(after), strict=True):
        assert not np.array_equal(a, b)


def test_connectors_follow_from_seed_method_and_teacher_alone(four_methods):
    def kernel(objective, teacher=0):
        return np.asarray(objective.methods["focal"][teacher].connector.conv.kernel[...])

    alone = Objective({"focal": {"weight": 1.0}}, [widths(6), widths(6)])
    assert np.array_equal(kernel(alone), kernel(four_methods[0]))
    assert not np.array_equal(kernel(alone), kernel(alone, 1))
    other = Objective({"focal": {"weight": 1.0}}, [widths(6)], seed=1)
    assert not np.array_equal(kernel(alone), kernel(other))


def test_of_several_teachers_probabilities_and_feature_losses_are_averaged(four_methods):
    distill = {"st": {"weight": 1.0, "temperature": 3.0}, "sp": {"weight": 2.0}}
    objective = Objective(distill)
    _, terms = objective(STUDENT, [TEACHER, OTHER], LABELS, PROGRESS)
    pooled = ensemble_logits([TEACHER.logits, OTHER.logits], 3.0)
    expected = soft_target_loss(STUDENT.logits, pooled, temperature=3.0)
    assert float(terms["st"]) == pytest.approx(float(expected), rel=1e-5)
    alone = [
        float(SimilarityPreserving()(STUDENT, teacher, LABELS, PROGRESS)["loss"])
        for teacher in (TEACHER, OTHER)
    ]
    assert float(terms["sp"]) == pytest.approx(np.mean(alone), rel=1e-5)
    # Soft labels within a feature method are those of all teachers too.
    _, mixed, *_ = four_methods[1]
    pooled = ensemble_logits([TEACHER.logits, OTHER.logits], 4.0)
    expected = soft_target_loss(STUDENT.logits, pooled)
    assert float(mixed["focal/soft_target"]) == pytest.approx(float(expected), rel=1e-5)

    _, one = objective(STUDENT, TEACHER, LABELS, PROGRESS)
    _, listed = objective(STUDENT, [TEACHER], LABELS, PROGRESS)
    assert one == listed
    with pytest.raises(ValueError, match="and there is none"):
        objective(STUDENT, [], LABELS, PROGRESS)


def test_connectors_need_widths_and_their_teachers():
    with pytest.raises(ValueError, match="'ccskd' connects the stages of two networks; expected"):
        Objective({"ccskd": {"weight": 1.0}})
    objective = Objective({"focal": {"weight": 1.0}}, [widths(6)])
    with pytest.raises(ValueError, match="FocalChannel has connectors to 1 teachers, found 2"):
        objective(STUDENT, [TEACHER, TEACHER], LABELS, PROGRESS)


def test_every_method_declares_how_it_takes_teachers():
    uses = {name: method.uses for name, method in METHODS.items()}
    assert {name for name, kind in uses.items() if kind == "logits"} == {"st", "dkd"}
    assert set(uses.values()) == {"logits", "features"}
    assert {n for n, m in METHODS.items() if m.connects} == {"ccskd", "arctic", "focal"}
    assert all(issubclass(method, Method) for method in METHODS.values())
