"""The loop and its checkpoints: an interrupted run ends as an uninterrupted one."""

import json

import jax
import numpy as np
import pytest

from rgb2ir_jax.training.checkpoints import NETWORK_FILE, Retention, find_teacher, load_network
from rgb2ir_jax.training.early_stopping import EarlyStopping
from rgb2ir_jax.training.loop import DivergedError, Plan, fit
from rgb2ir_jax.training.saving.files import RESULT_FILE, write_json
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.signals import Interrupted, StopRequest
from rgb2ir_jax.training.teachers import load_teacher

# Tests, logs and checkpoints fall on different steps.
PLAN = Plan(
    steps_per_epoch=5,
    total_steps=12,
    batch_size=8,
    evaluate_every=7,
    log_every=3,
    save_every=(5,),
)
# Of step 7 and 12, and of the even steps.
TOP5 = {2: 0.2, 4: 0.9, 6: 0.5, 7: 0.5, 8: 0.5, 10: 0.1, 12: 0.3}


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

    def run(folder, killed_at=None, stopped_at=None, plan=PLAN, **stopping):
        stop = StopRequest()

        def train_step(state, teachers, batch):
            if int(state.step) + 1 == stopped_at:
                stop.signal_name = "SIGTERM"
            return rig.train_step(state, teachers, batch)

        def evaluate(step, network, writer):
            if step == killed_at:
                raise KilledError
            size = sum(float(np.abs(leaf).sum()) for leaf in jax.tree.leaves(network))
            return {"test/top1": 0.5, "test/loss": size, "test/top5": TOP5[step]}

        folder.mkdir(exist_ok=True)
        return fit(
            "student",
            rig.new_state(),
            (),
            train_step,
            Batches(make_batch),
            evaluate,
            plan=plan,
            folder=folder,
            stopping=EarlyStopping("test/top5", **stopping),
            stop=stop,
            hparams={"variant": "student"},
            mesh=make_mesh(),
        )

    return run


def test_a_diverged_run_stops_and_keeps_the_last_good_checkpoint(overfitted, make_batch, tmp_path):
    rig = overfitted("student").rig

    def broken_step(state, teachers, batch):
        state, terms = rig.train_step(state, teachers, batch)
        return state, {**terms, "loss": terms["loss"] * (np.nan if int(state.step) == 9 else 1.0)}

    with pytest.raises(DivergedError, match=r"student: loss not finite at step 9: .*") as caught:
        fit(
            "student",
            rig.new_state(),
            (),
            broken_step,
            Batches(make_batch),
            lambda *_: {"test/top1": 0.5, "test/loss": 1.0},
            plan=PLAN,
            folder=tmp_path,
            stopping=EarlyStopping("test/top1"),
            stop=StopRequest(),
            hparams={},
            mesh=make_mesh(),
        )
    assert "by their index in the training split: 0, 1, 2, 3, 4, 5, 6, 7." in str(caught.value)
    assert f"In {tmp_path}, step 5 is kept." in str(caught.value)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["5"]
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()


@pytest.fixture(scope="module")
def folders(train, overfitted, tmp_path_factory):
    """Two finished phases: (folder, outcome) of one in a single go, and of one with a break."""
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
        outcomes.append((folder, train(folder)))
        overfitted("student").rig.learner.spec.save(folder / NETWORK_FILE)
    return outcomes


def lines(folder, name="metrics"):
    text = (folder / f"{name}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def assert_same(one, other):
    (folder, outcome), (other_folder, other_outcome) = one, other
    leaves, others = (jax.tree.leaves(o.state) for o in (outcome, other_outcome))
    for a, b in zip(leaves, others, strict=True):
        assert np.array_equal(a, b)
    assert outcome.step == other_outcome.step
    assert outcome.best == other_outcome.best
    first, second = ((f / "metrics.jsonl").read_bytes() for f in (folder, other_folder))
    assert first == second


def test_an_interrupted_run_ends_bit_for_bit_as_an_uninterrupted_one(folders):
    whole, broken = folders
    assert int(whole[1].state.step) == whole[1].step == 12
    assert_same(whole, broken)


@pytest.mark.parametrize("step", [1, 5, 7, 11])
def test_a_run_that_is_asked_to_stop_saves_at_that_step_and_goes_on(folders, train, tmp_path, step):
    with pytest.raises(Interrupted, match=rf"SIGTERM: student stopped after step {step} of 12"):
        train(tmp_path, stopped_at=step)
    assert str(step) in {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert_same(folders[0], (tmp_path, train(tmp_path)))


def test_a_run_that_is_asked_to_stop_at_its_last_step_is_finished(folders, train, tmp_path):
    assert_same(folders[0], (tmp_path, train(tmp_path, stopped_at=12)))


def test_the_newest_and_the_best_checkpoints_are_kept(train, tmp_path):
    plan = PLAN._replace(evaluate_every=2, retention=Retention(latest=2, best=2))
    outcome = train(tmp_path, plan=plan)
    # 4 and 6 rank highest; 6 and 8 are equal, and the first counts.
    kept = {int(path.name) for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {4, 6, 10, 12}
    assert outcome.best == {"metric": "test/top5", "step": 4, "value": 0.9}


def test_early_stopping_survives_a_break(train, tmp_path):
    plan = PLAN._replace(evaluate_every=2, retention=Retention(latest=1))
    whole = train(tmp_path / "whole", plan=plan, patience=4)
    assert whole.step == 8
    with pytest.raises(Interrupted):
        train(tmp_path / "broken", plan=plan, patience=4, stopped_at=7)
    broken = train(tmp_path / "broken", plan=plan, patience=4)
    assert_same((tmp_path / "whole", whole), (tmp_path / "broken", broken))
    # A phase that ended so is finished, even when its result was never written.
    again = train(tmp_path / "whole", plan=plan, patience=4)
    assert_same((tmp_path / "whole", whole), (tmp_path / "whole", again))


def test_metrics_have_a_line_a_window_and_a_test(folders):
    entries = lines(folders[0][0])
    assert [entry["step"] for entry in entries] == [3, 6, 7, 9, 12, 12]
    timing = lines(folders[0][0], "timing")
    assert [entry["step"] for entry in timing] == [3, 6, 9, 12]
    assert all(entry["clips_per_second"] > 0 for entry in timing)
    assert entries[0]["epoch"] == 3 / 5
    assert set(entries[0]) == {"step", "epoch"} | {
        f"train/{name}" for name in ("loss", "ce", "accuracy", "grad_norm", "learning_rate")
    }
    assert set(entries[2]) == {"step", "test/top1", "test/top5", "test/loss"}


def test_a_line_holds_the_means_since_the_one_before(folders, overfitted, make_batch):
    rig = overfitted("student").rig
    state, losses = rig.new_state(), []
    for step in range(1, 7):
        state, terms = rig.train_step(state, (), jax.device_put(make_batch(step)))
        losses.append(float(terms["loss"]))
    entries = lines(folders[0][0])
    assert entries[0]["train/loss"] == pytest.approx(np.mean(losses[:3]), rel=1e-6)
    assert entries[1]["train/loss"] == pytest.approx(np.mean(losses[3:]), rel=1e-6)


def test_a_finished_phase_is_not_trained_again(folders, train):
    folder, outcome = folders[0]
    before = (folder / "metrics.jsonl").read_text()
    again = train(folder)
    assert_same(folders[0], (folder, again))
    assert (folder / "metrics.jsonl").read_text() == before
    # Loose: machines are busy. Training anew would not leave it alone, see above.
    assert again.seconds == pytest.approx(outcome.seconds, abs=120)
    kept = sorted(int(p.name) for p in (folder / "checkpoints").iterdir())
    assert kept == [10, 12]


def test_the_trained_network_is_what_is_loaded(folders, overfitted):
    folder, outcome = folders[0]
    spec, network, saved = load_network(folder, replicated(make_mesh()))
    assert spec == overfitted("student").rig.learner.spec
    expected = jax.tree.leaves_with_path(outcome.state.network)
    found = jax.tree.leaves_with_path(network.variables)
    for (path, a), (expected_path, b) in zip(found, expected, strict=True):
        assert path == expected_path
        assert np.array_equal(a, b)
    assert saved["seconds"] <= outcome.seconds
    _, earlier, _ = load_network(folder, replicated(make_mesh()), step=10)
    assert not np.array_equal(jax.tree.leaves(earlier.variables)[0], found[0][1])


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
