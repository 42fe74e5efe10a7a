"""Every variant learns one batch by heart, goes on from its checkpoint, and changes its learner alone."""

import contextlib

import jax
import numpy as np
import pytest

from rgb2ir_jax.distillation.base import stage_maps
from rgb2ir_jax.distillation.mgcam import mgcam_loss
from rgb2ir_jax.training.checkpoints import Checkpoints, Retention
from rgb2ir_jax.training.state import merge

METHODS = ["st", "at", "sp", "cc", "rkd", "ccskd", "arctic", "focal"]


def test_the_teacher_learns_a_batch_by_heart(overfitted_teacher):
    first, last = overfitted_teacher.terms[0], overfitted_teacher.terms[-1]
    assert first["loss"] == pytest.approx(np.log(10), rel=0.05)
    assert last["loss"] < 1e-3
    assert last["accuracy"] == 1.0
    assert set(last) == {"loss", "ce", "accuracy", "grad_norm", "learning_rate"}


@pytest.fixture(scope="module")
def mgcam_of_the_teacher_with_itself(overfitted_teacher, device_batch):
    spec, graph = overfitted_teacher.rig.learner
    network = merge(graph, overfitted_teacher.state.network)
    output = jax.jit(lambda frames: network(spec.normalise(frames), train=False))(
        device_batch["rgb"]
    )
    maps = stage_maps(output)
    assert float(mgcam_loss(maps, maps, pairs="matched")) == pytest.approx(0, abs=1e-6)
    return float(mgcam_loss(maps, maps))


@pytest.mark.parametrize("variant", ["student", "dkd", "mgcam", "mgcam+dkd"])
def test_each_student_learns_a_batch_by_heart(
    overfitted, mgcam_of_the_teacher_with_itself, variant
):
    first, last = (overfitted(variant).terms[step] for step in (0, -1))
    assert last["ce"] < 1e-3
    assert last["accuracy"] == 1.0
    total = last["ce"]
    if "dkd" in variant:
        assert first["dkd"] > 1
        assert last["dkd"] < 0.01
        parts = 0.7 * last["dkd/tckd"] + 0.35 * last["dkd/nckd"]
        assert last["dkd"] == pytest.approx(parts, rel=1e-5)
        assert last["dkd_weighted"] == pytest.approx(0.1 * last["dkd"], rel=1e-6)
        total += last["dkd_weighted"]
    if "mgcam" in variant:
        # Eq. 6 compares every stage with every other, which even a network and its copy do not pass
        # with 0: no student can be like four stages at once that differ from each other.
        assert last["mgcam"] < mgcam_of_the_teacher_with_itself < first["mgcam"]
        assert last["mgcam_weighted"] == last["mgcam"]
        total += last["mgcam_weighted"]
    assert last["loss"] == pytest.approx(total, rel=1e-5)
    methods = [] if variant == "student" else variant.split("+")
    assert {name for name in last if name.endswith("_weighted")} == {
        f"{m}_weighted" for m in methods
    }


@pytest.mark.slow
@pytest.mark.parametrize("variant", METHODS)
def test_each_method_of_the_comparison_lets_the_student_learn(overfitted, variant):
    trained = overfitted(variant)
    first, last = (trained.terms[step] for step in (0, -1))
    assert last["accuracy"] == 1.0
    assert last["ce"] < 0.05 * first["ce"]
    assert last[variant] < first[variant]
    assert last["loss"] == pytest.approx(last["ce"] + last[f"{variant}_weighted"], rel=1e-4)
    connectors = jax.tree.leaves(trained.rig.start.objective)
    assert bool(connectors) == (variant in ("ccskd", "arctic", "focal"))
    # What a method adds to the student trains with it.
    for start, end in zip(connectors, jax.tree.leaves(trained.state.objective), strict=True):
        assert not np.array_equal(start, end)


@pytest.mark.slow
def test_four_methods_at_once_add_up(overfitted):
    last = overfitted("at+rkd+dkd+ccskd").terms[-1]
    weighted = [last[f"{name}_weighted"] for name in ("at", "rkd", "dkd", "ccskd")]
    assert last["accuracy"] == 1.0
    assert last["loss"] == pytest.approx(last["ce"] + sum(weighted), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("variant", [*METHODS, "mgcam+dkd", "at+rkd+dkd+ccskd"])
def test_a_restored_state_takes_the_step_that_the_saved_one_would_have(
    overfitted, overfitted_teacher, device_batch, tmp_path, variant
):
    rig, teachers = overfitted(variant).rig, (overfitted_teacher.state.network,)
    state, _ = rig.train_step(rig.new_state(), teachers, device_batch)
    with contextlib.closing(Checkpoints(tmp_path, Retention(latest=1))) as checkpoints:
        checkpoints.save(state, {"finished": False}, None, 1)
    with contextlib.closing(Checkpoints(tmp_path, Retention(latest=1))) as checkpoints:
        restored, content = checkpoints.restore(rig.new_state())
    assert content["finished"] is False
    (state, terms), (restored, others) = (
        rig.train_step(start, teachers, device_batch) for start in (state, restored)
    )
    assert int(state.step) == 2
    leaves, twins = (jax.tree.leaves(s) for s in (state, restored))
    # Momentum, statistics and connectors are among them.
    assert len(leaves) > 2 * len(jax.tree.leaves(state.network.params))
    for a, b in zip([*leaves, *terms.values()], [*twins, *others.values()], strict=True):
        assert np.array_equal(a, b)


def test_distillation_changes_the_student_and_leaves_the_teacher_alone(
    overfitted, overfitted_teacher
):
    student = overfitted("mgcam+dkd")
    teacher = jax.tree.leaves(overfitted_teacher.state.network)
    assert len(teacher) == len(overfitted_teacher.copied) > 50
    for now, before in zip(teacher, overfitted_teacher.copied, strict=True):
        assert np.array_equal(now, before)
    for part in ("params", "stats"):
        start, end = (getattr(s.network, part) for s in (student.rig.start, student.state))
        assert jax.tree.leaves(start)
        for a, b in zip(jax.tree.leaves(start), jax.tree.leaves(end), strict=True):
            assert not np.array_equal(a, b)
