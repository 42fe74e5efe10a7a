"""Configs hold the paper's numbers, and validation refuses each value that makes no sense."""

import pytest

from configs import demo, ntu, paired_video, pku_mmd
from configs.methods import DEFAULTS, SETTINGS
from rgb2ir_jax.data.settings import validate as validate_data
from rgb2ir_jax.distillation.registry import METHODS
from rgb2ir_jax.training.validation import RULES, apply_smoke, flatten, validate

VARIANTS = {
    "teacher": set(),
    "student": set(),
    "dkd": {"dkd"},
    "mgcam": {"mgcam"},
    "mgcam+dkd": {"mgcam", "dkd"},
    "mgcam-sharp+dkd+at-crd+rkd": {"mgcam", "dkd", "at", "rkd"},
    **{name: {name} for name in ("st", "at", "sp", "cc", "rkd", "ccskd", "arctic", "focal")},
    **{name: {name.split("-")[0]} for name in SETTINGS},
}


def test_every_method_has_a_variant():
    assert set(METHODS) == set(DEFAULTS) == {m for found in VARIANTS.values() for m in found}


def test_settings_change_what_their_name_says_and_nothing_else():
    for name, changed in SETTINGS.items():
        method = name.split("-")[0]
        plain, special = (ntu.get_config(v).distill[method].to_dict() for v in (method, name))
        assert special == {**plain, **changed}
        assert special != plain


@pytest.mark.parametrize("source", [ntu, demo, pku_mmd, paired_video])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_valid_and_locked(source, variant):
    config = source.get_config(variant)
    validate(config)
    validate_data(config.data)
    assert config.is_locked
    assert config.variant == variant
    assert set(config.distill) == VARIANTS[variant]
    with pytest.raises(AttributeError, match="learning_rat"):
        config.optimizer.learning_rat = 1.0


def test_the_default_is_the_papers_run():
    config = ntu.get_config()
    assert config.variant == "mgcam+dkd"
    assert (config.teacher.batch_size, config.student.batch_size) == (16, 8)
    assert (config.teacher.epochs, config.student.epochs) == (80, 80)
    assert (config.teacher.depth, config.student.depth) == (50, 18)
    assert (config.teacher.width, config.student.width) == (64, 64)
    assert (config.teacher.modality, config.student.modality) == ("rgb", "ir")
    assert config.optimizer.learning_rate == 0.001
    assert config.data.segments == 8
    assert config.data.crop == 224
    assert config.data.config == "ten_class_xsub"
    assert config.distill.dkd.weight == 0.1
    assert config.distill.mgcam.weight == 1.0
    assert config.distill.dkd.target_weight == 0.7
    assert config.distill.dkd.nontarget_weight == 0.35


@pytest.mark.parametrize(
    "variant", ["nonsense", "dkd+dkd", "teacher+dkd", "", "dkd+", "mgcam+mgcam-sharp", "dkd-sharp"]
)
def test_an_unknown_variant_is_named(variant):
    with pytest.raises(ValueError, match="is not known; expected 'teacher', 'student' or methods"):
        ntu.get_config(variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_demo_narrows_and_leaves_nothing_out(variant):
    paper, small = (flatten(source.get_config(variant)) for source in (ntu, demo))
    assert set(paper) == set(small)
    same = ("depth", "modality", "in_channels", "mean", "std")
    for who in ("teacher", "student"):
        assert all(paper[f"{who}.{field}"] == small[f"{who}.{field}"] for field in same)
        assert small[f"{who}.width"] < paper[f"{who}.width"]
    assert small["data.crop"] < paper["data.crop"]
    distilling = {key: value for key, value in paper.items() if key.startswith("distill.")}
    assert distilling == {key: value for key, value in small.items() if key.startswith("distill.")}
    assert small["variant"] == paper["variant"]
    assert small["limit_train_steps"] == small["limit_test_clips"] == 0


def test_smoke_shrinks_the_steps_and_leaves_networks_and_frames():
    asked = ntu.get_config()
    asked.smoke = True
    before = flatten(asked)
    config = apply_smoke(asked)
    assert flatten(asked) == before
    assert config.is_locked
    validate(config)
    changed = {key for key, value in flatten(config).items() if value != before[key]}
    assert changed == {
        *(f"{who}.{field}" for who in ("teacher", "student") for field in ("epochs", "batch_size")),
        "evaluation.batch_size",
        "log_every_steps",
        "limit_train_steps",
        "limit_test_clips",
    }
    assert config.limit_train_steps <= 5
    assert flatten(apply_smoke(ntu.get_config())) == flatten(ntu.get_config())


BAD = {
    "seed": -1,
    "teachers": ("",),
    "compute_dtype": "float16",
    "modality": "near infrared",
    "enhance": "lime",
    "enhance_weights": None,
    "gamma": 0.0,
    "depth": 19,
    "width": 0,
    "in_channels": 0,
    "dropout": 1.0,
    "mean": (float("nan"),),
    "std": (0.2, 0.0, 0.2),
    "batch_size": 0,
    "epochs": 0,
    "learning_rate_factor": 0.0,
    "optimizer.name": "adam",
    "optimizer.learning_rate": 0.0,
    "optimizer.momentum": 1.0,
    "optimizer.weight_decay": -1e-4,
    "batch_norm": "some",
    "accumulate": 0,
    "init": None,
    "temporal_shift": None,
    "stride_in_1x1": None,
    "backbone": "r3d_18",
    "temporal_head": "lstm",
    "evaluation.segments": -1,
    "evaluation.crops": 2,
    "optimizer.decay_spares_norms_and_biases": None,
    "optimizer.classifier_rate_factor": 0.0,
    "optimizer.bias_rate_factor": 0.0,
    "optimizer.connector_rate_factor": -1.0,
    "optimizer.average_decay": 1.0,
    "optimizer.label_smoothing": 1.0,
    "optimizer.clip_norm": -1.0,
    "optimizer.schedule": "linear",
    "optimizer.decay_at": (0.75, 0.375),
    "optimizer.decay_factor": 0.1,
    "optimizer.warmup_epochs": -1.0,
    "evaluation.batch_size": 0,
    "evaluation.every_epochs": 0,
    "log_every_steps": 0,
    "deterministic": None,
    "profile": None,
    "figures.inputs": -1,
    "figures.activations": -1,
    "checkpoint.every_epochs": -1,
    "checkpoint.every_steps": -1,
    "checkpoint.every_minutes": -1.0,
    "checkpoint.keep": 0,
    "checkpoint.keep_best": -1,
    "checkpoint.best_metric": "test/top3",
    "early_stopping.patience": -1,
    "early_stopping.min_delta": -0.1,
    "mesh.model": 0,
    "mesh.graphs": "clip",
    "guard.nonfinite": "ignore",
    "guard.max_skipped": -1,
    "limit_train_steps": -1,
    "limit_test_clips": -1,
}


@pytest.mark.parametrize("field", RULES)
def test_each_rule_refuses_a_bad_value_by_the_fields_name(field):
    value = BAD[field if field in BAD else field.partition(".")[2]]
    config = ntu.get_config()
    with config.unlocked():
        config.update_from_flattened_dict({field: value})
    with pytest.raises(ValueError, match=rf"^config\.{field} is ") as caught:
        validate(config)
    assert repr(value) in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(
    ("variant", "fields", "message"),
    [
        ("dkd", {"distill.dkd.weight": -0.1}, r"config\.distill\.dkd\.weight is -0\.1, expected a finite number of 0"),
        ("dkd", {"distill.dkd.temperature": 0.0}, r"config\.distill\.dkd: temperature is 0\.0"),
        ("dkd", {"distill.dkd.target_weight": -1.0}, r"target_weight is -1\.0, expected a finite number of 0 or more"),
        ("mgcam", {"distill.mgcam.pairs": "some"}, r"config\.distill\.mgcam: pairs='some' is not"),
        ("mgcam", {"teacher.mean": (0.5, 0.5)}, r"config\.teacher\.mean has 2 numbers, .*3 input"),
        ("mgcam", {"student.std": (0.5, 0.5)}, r"config\.student\.std has 2 numbers, .*1 input"),
        ("mgcam", {"teacher.in_channels": 1, "teacher.mean": (0.5,), "teacher.std": (0.5,)},
         r"config\.teacher\.in_channels is 1, but RGB frames have 3"),
        ("student", {"optimizer.warmup_epochs": 80.0}, r"warmup_epochs is 80\.0, as long as the 80"),
        ("student", {"student.accumulate": 3}, r"batch_size is 8, which 3 micro-batches .* a multiple of 3"),
        ("teacher", {"teacher.checkpoint": "x"}, "variant 'teacher' trains the teacher"),
        ("student", {"teacher.checkpoint": "x"}, "variant 'student' has no teacher"),
        ("student", {"teachers": ("x",)}, r"config\.teachers is set, but the variant 'student'"),
        ("dkd", {"teachers": ("x",), "teacher.checkpoint": "y"}, r"both name trained teachers"),
        ("at", {"distill.at.warmup": 1.5}, r"config\.distill\.at\.warmup is 1\.5, expected a share"),
        ("ccskd", {"distill.ccskd.preset": "x"}, r"config\.distill\.ccskd: preset"),
        ("mgcam+dkd", {"variant": "student"}, r"variant is 'student', but config\.distill holds dkd"),
        ("student", {"variant": "dkd"}, r"variant is 'dkd', but config\.distill holds no method"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(variant, fields, message):
    config = ntu.get_config(variant)
    with config.unlocked():
        config.update_from_flattened_dict(fields)
    with pytest.raises(ValueError, match=message):
        validate(config)


def test_a_field_that_a_config_of_ones_own_lacks_is_named():
    config = ntu.get_config()
    with config.unlocked():
        del config.optimizer.momentum
    with pytest.raises(ValueError, match=r"config\.optimizer\.momentum is missing"):
        validate(config)
