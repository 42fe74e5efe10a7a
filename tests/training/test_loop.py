"""The loop and its checkpoints: an interrupted run ends as an uninterrupted one."""

import json

import jax
import numpy as np
import pytest

from rgb2ir_jax.training.checkpoints import NETWORK_FILE, find_teacher, load_network, write_json
from rgb2ir_jax.training.loop import DivergedError, Plan, fit
from rgb2ir_jax.training.phase import RESULT_FILE, load_teacher
from rgb2ir_jax.training.sharding import make_mesh, replicated

# Tests, logs and checkpoints fall on different steps.
PLAN = Plan(
    steps_per_epoch=5,
    total_steps=12,
    batch_size=8,
    evaluate_every=7,
    checkpoint_every=5,
    log_every=3,
)


class Batches:
    """An endless pipeline that is a function of its step."""

    def __init__(self, make_batch):
        self._make_batch, self._step = make_batch, 0

    def __next__(self):
        self._step += 1
        return self._make_batch(self._step)

    def get_state(self):
        return {"step": self._step}

    def set_state(self, state):
        self._step = state["step"]


class KilledError(Exception):
    """Stands for a power cut."""


@pytest.fixture(scope="module")
def train(overfitted, make_batch):
    rig = overfitted("student").rig

    def run(folder, killed_at=None):
        def evaluate(step, network, writer):
            if step == killed_at:
                raise KilledError
            size = sum(float(np.abs(leaf).sum()) for leaf in jax.tree.leaves(network))
            return {"test/top1": 0.5, "test/loss": size}

        folder.mkdir(exist_ok=True)
        return fit(
            "student",
            rig.new_state(),
            (),
            rig.train_step,
            Batches(make_batch),
            evaluate,
            plan=PLAN,
            folder=folder,
            keep_checkpoints=2,
            hparams={"variant": "student"},
            mesh=make_mesh(),
        )

    return run


def test_a_diverged_run_stops_and_keeps_the_last_good_checkpoint(overfitted, make_batch, tmp_path):
    rig = overfitted("student").rig

    def broken_step(state, teachers, batch):
        state, terms = rig.train_step(state, teachers, batch)
        return state, {**terms, "loss": terms["loss"] * (np.nan if int(state.step) == 10 else 1.0)}

    with pytest.raises(DivergedError, match=r"student: loss not finite by step 10"):
        fit(
            "student",
            rig.new_state(),
            (),
            broken_step,
            Batches(make_batch),
            lambda *_: {"test/top1": 0.5, "test/loss": 1.0},
            plan=PLAN,
            folder=tmp_path,
            keep_checkpoints=2,
            hparams={},
            mesh=make_mesh(),
        )
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["5"]
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()


@pytest.fixture(scope="module")
def folders(train, overfitted, tmp_path_factory):
    """Two finished phases: (folder, state, record) of one in a single go, and of one with a break."""
    outcomes = []
    for killed_at in (None, 7):
        folder = tmp_path_factory.mktemp("phase")
        if killed_at:
            with pytest.raises(KilledError):
                train(folder, killed_at)
            assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["5"]
            # KilledError while it wrote a line.
            with (folder / "metrics.jsonl").open("a") as file:
                file.write('{"step": 7, "test/to')
        outcomes.append((folder, *train(folder)))
        overfitted("student").rig.learner.spec.save(folder / NETWORK_FILE)
    return outcomes


def lines(folder):
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rates = [entry.pop("clips_per_second", None) for entry in entries]
    return entries, rates


def test_an_interrupted_run_ends_bit_for_bit_as_an_uninterrupted_one(folders):
    (whole, state, _), (broken, resumed, _) = folders
    leaves, resumed_leaves = jax.tree.leaves(state), jax.tree.leaves(resumed)
    assert int(state.step) == 12
    for a, b in zip(leaves, resumed_leaves, strict=True):
        assert np.array_equal(a, b)
    assert lines(whole)[0] == lines(broken)[0]


def test_metrics_have_a_line_a_window_and_a_test(folders):
    entries, rates = lines(folders[0][0])
    assert [entry["step"] for entry in entries] == [3, 6, 7, 9, 12, 12]
    assert all(rate > 0 for entry, rate in zip(entries, rates, strict=True) if "epoch" in entry)
    assert entries[0]["epoch"] == 3 / 5
    assert set(entries[0]) == {"step", "epoch"} | {
        f"train/{name}" for name in ("loss", "ce", "accuracy", "grad_norm", "learning_rate")
    }
    assert set(entries[2]) == {"step", "test/top1", "test/loss"}


def test_a_line_holds_the_means_since_the_one_before(folders, overfitted, make_batch):
    rig = overfitted("student").rig
    state, losses = rig.new_state(), []
    for step in range(1, 7):
        state, terms = rig.train_step(state, (), jax.device_put(make_batch(step)))
        losses.append(float(terms["loss"]))
    entries, _ = lines(folders[0][0])
    assert entries[0]["train/loss"] == pytest.approx(np.mean(losses[:3]), rel=1e-6)
    assert entries[1]["train/loss"] == pytest.approx(np.mean(losses[3:]), rel=1e-6)


def test_a_finished_phase_is_not_trained_again(folders, train):
    folder, state, record = folders[0]
    before = (folder / "metrics.jsonl").read_text()
    again, second_record = train(folder)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(again), strict=True):
        assert np.array_equal(a, b)
    assert (folder / "metrics.jsonl").read_text() == before
    assert second_record["seconds"] == pytest.approx(record["seconds"], abs=5)
    kept = sorted(int(p.name) for p in (folder / "checkpoints").iterdir())
    assert kept == [10, 12]


def test_the_trained_network_is_what_is_loaded(folders, overfitted):
    folder, state, record = folders[0]
    spec, network, saved = load_network(folder, replicated(make_mesh()))
    assert spec == overfitted("student").rig.learner.spec
    expected = jax.tree.leaves_with_path(state.network)
    found = jax.tree.leaves_with_path(network.variables)
    for (path, a), (expected_path, b) in zip(found, expected, strict=True):
        assert path == expected_path
        assert np.array_equal(a, b)
    assert saved["seconds"] <= record["seconds"]


def test_a_teacher_is_found_by_its_folder_and_by_its_work_directory(tmp_path):
    with pytest.raises(ValueError, match=r"config\.teachers names .* expected network\.json"):
        find_teacher(tmp_path, "config.teachers")
    phase = tmp_path / "teacher"
    phase.mkdir()
    (phase / NETWORK_FILE).touch()
    field = "config.teacher.checkpoint"
    assert find_teacher(tmp_path, field) == find_teacher(phase, field) == phase


def test_what_is_no_trained_teacher_is_refused(folders, tmp_path):
    sharding, mesh = replicated(make_mesh()), make_mesh()
    with pytest.raises(ValueError, match=r"holds no trained network: expected network\.json"):
        load_network(tmp_path, sharding)
    folder = folders[0][0]
    (tmp_path / NETWORK_FILE).write_text((folder / NETWORK_FILE).read_text())
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match="is empty: the training was stopped before"):
        load_network(tmp_path, sharding)
    ten = tuple("abcdefghij")
    with pytest.raises(ValueError, match=r"did not end \(there is no result\.json\)"):
        load_teacher(folder, ten, mesh=mesh, dtype=np.float32)
    write_json(folder / RESULT_FILE, {})
    with pytest.raises(ValueError, match="tells 10 classes apart, the data set has 2"):
        load_teacher(folder, ("a", "b"), mesh=mesh, dtype=np.float32)
    assert load_teacher(folder, ten, mesh=mesh, dtype=np.float32).spec.modality == "ir"
