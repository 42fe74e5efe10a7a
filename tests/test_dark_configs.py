"""DL-KDD's run as its paper tells it, its miniature, and the loss of its student."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax

from configs import dark, dark_demo, ntu
from configs.methods import DEFAULTS
from rgb2ir_jax.data.settings import validate as validate_data
from rgb2ir_jax.distillation.objective import Objective
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.output import NetworkOutput
from rgb2ir_jax.training.validation import flatten, validate

VARIANTS = {"teacher": set(), "student": set(), "dlkdd": {"st"}, "mgcam+dkd": {"mgcam", "dkd"}}
# Sec. 4.1 of the paper, and sec. 3.3: whose frames are enhanced.
PAPER = {
    "data.name": "arid",
    "data.segments": 64,
    "data.crop": 112,
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 0.0001,
    "distill.st.weight": 1.0,
    "distill.st.cross_entropy": 1.0,
    "teacher.enhance": "zero_dce",
    "student.enhance": None,
    **{
        f"{who}.{field}": value
        for who in ("teacher", "student")
        for field, value in {
            "modality": "rgb",
            "in_channels": 3,
            "temporal_head": "bert",
            "batch_size": 2,
        }.items()
    },
}


@pytest.mark.parametrize("source", [dark, dark_demo])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_valid_and_locked(source, variant):
    config = source.get_config(variant)
    validate(config)
    validate_data(config.data)
    assert config.is_locked
    assert set(config.distill) == VARIANTS[variant]
    assert set(flatten(config)) == set(flatten(ntu.get_config(config.variant)))


def test_the_default_is_the_papers_run():
    assert flatten(dark.get_config()) == flatten(dark.get_config("dlkdd"))
    assert flatten(dark.get_config("st-dlkdd")) == flatten(dark.get_config("dlkdd"))
    found = flatten(dark.get_config())
    assert {field: found[field] for field in PAPER} == PAPER
    assert found["data.sampling"] == "dense"
    # The paper is silent on both: DarkLight's.
    for who in ("teacher", "student"):
        assert (found[f"{who}.backbone"], found[f"{who}.dropout"]) == ("r2plus1d_34", 0.8)
    assert found["data.frame_stride"] == 1


@pytest.mark.parametrize(
    ("source", "own"), [(dark, {"enhance"}), (dark_demo, {"enhance", "mean", "std"})]
)
def test_teacher_and_student_differ_in_light_alone(source, own):
    config = source.get_config()
    teacher, student = config.teacher.to_dict(), config.student.to_dict()
    del teacher["checkpoint"]
    # What a student may see instead of frames; a teacher has no such fields.
    assert student["stream"] == "frame"
    for field in ("stream", "stream_length", "global_frames"):
        del student[field]
    assert set(teacher) == set(student)
    differing = {field for field, value in teacher.items() if student[field] != value}
    assert differing == own


def test_an_unknown_variant_is_named():
    with pytest.raises(ValueError, match=r"variant 'dl-kdd' is not known; expected .* st-dlkdd"):
        dark.get_config("dl-kdd")


def test_the_miniature_keeps_the_roles_and_the_loss():
    paper, small = (flatten(source.get_config()) for source in (dark, dark_demo))
    assert set(paper) == set(small)
    same = ("modality", "in_channels", "checkpoint", "stream")
    for who in ("teacher", "student"):
        fields = [f"{who}.{field}" for field in same if f"{who}.{field}" in paper]
        assert [paper[field] for field in fields] == [small[field] for field in fields]
        assert small[f"{who}.width"] < paper[f"{who}.width"]
    # What it puts in the place of others; docs/dark.md says so.
    found = [(c["teacher.temporal_head"], c["teacher.enhance"]) for c in (paper, small)]
    assert found == [("bert", "zero_dce"), ("mean", "gamma")]
    for field in ("data.name", "data.config", "data.sampling", "variant"):
        assert paper[field] == small[field]
    assert {f: v for f, v in paper.items() if f.startswith("distill.")} == {
        f: v for f, v in small.items() if f.startswith("distill.")
    }
    assert small["limit_train_steps"] == small["limit_test_clips"] == 0


def test_each_field_stands_with_its_source():
    lines = Path(dark.__file__).read_text().splitlines()
    fields = [
        place for place, line in enumerate(lines) if re.match(r" +(config|network)\.\S+ = ", line)
    ]
    assert len(fields) > 30
    for place in fields:
        # What two lines share stands above the first one.
        own = re.search(r"  # .{4,}", lines[place])
        above = [line for line in lines[place - 2 : place] if line.lstrip().startswith("# ")]
        assert own or above, lines[place]


@pytest.mark.parametrize("clips", [1, 2, 7])
def test_the_students_loss_is_cross_entropy_plus_divergence(clips):
    """Eq. 4-6 in float64, from the definitions."""
    config = dark.get_config()
    teacher, student = 3 * np.random.default_rng(clips).standard_normal((2, clips, 11))
    labels = np.arange(clips) % 11
    of_teacher, of_student = log_softmax(teacher, axis=1), log_softmax(student, axis=1)
    cross_entropy = -np.mean(of_student[np.arange(clips), labels])
    divergence = np.mean(np.sum(np.exp(of_teacher) * (of_teacher - of_student), axis=1))

    def output(logits):
        return NetworkOutput(jnp.asarray(logits, jnp.float32), {}, jnp.zeros((clips, 8, 512)))

    objective = Objective(config.distill)
    loss, terms = objective(output(student), output(teacher), jnp.asarray(labels), jnp.zeros(()))
    np.testing.assert_allclose(terms["ce"], cross_entropy, rtol=1e-5)
    np.testing.assert_allclose(terms["st"], divergence, rtol=1e-5)
    np.testing.assert_allclose(loss, cross_entropy + divergence, rtol=1e-5)
    assert DEFAULTS["st"]["temperature"] != 1.0


def test_the_network_is_the_papers_size():
    spec = NetworkSpec.from_config(dark.get_config().student, 11)
    network = nnx.eval_shape(lambda: spec.build(0))
    counted = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
    # IG-65M's 34 layers without their classifier of 400 classes; BERT; the classifier.
    body = 63_697_175 - (512 * 400 + 400)
    embeddings = 512 + 17 * 512
    layer = 4 * (512 * 512 + 512) + (512 * 2048 + 2048) + (2048 * 512 + 512) + 2 * 2 * 512
    assert counted == body + embeddings + layer + (512 * 11 + 11)
    found = jax.eval_shape(lambda: spec.build(0)(jnp.zeros((2, 64, 112, 112, 3)), train=False))
    assert found.logits.shape == (2, 11)
    assert found.stages["stage4"].shape == (2, 8, 7, 7, 512)
