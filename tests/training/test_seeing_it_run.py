"""A run shows what it does, waits for nothing because of it, and computes the same numbers."""

import json
import threading

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.array import ArrayImpl

from rgb2ir_jax.data.pipeline import eval_batches, train_iterator
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.checkpoints import load_network
from rgb2ir_jax.training.early_stopping import EarlyStopping
from rgb2ir_jax.training.experiment import Experiment
from rgb2ir_jax.training.loop import fit
from rgb2ir_jax.training.observing import looking
from rgb2ir_jax.training.observing.profiling import STEPS, WARM_UP, StepTrace
from rgb2ir_jax.training.observing.stopwatch import ACTIVITIES
from rgb2ir_jax.training.observing.writers import MetricsWriter
from rgb2ir_jax.training.plan import Plan
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.signals import Interrupted, StopRequest
from rgb2ir_jax.training.state import merge

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

EPOCHS, STEPS_AN_EPOCH = 3, 4
COMPILED = "/jax/core/compile/backend_compile_duration"
SHARES = {f"time/{activity}" for activity in ACTIVITIES}


class Watch:
    """Which step a run is at, and what it compiled where."""

    def __init__(self, monkeypatch):
        self.step, self.compiled, self.listening = 0, [], True
        run = StepTrace.run

        def noted(trace, step, *arguments):
            self.step = step
            return run(trace, step, *arguments)

        monkeypatch.setattr(StepTrace, "run", noted)
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event, duration, **_):
        if self.listening and event == COMPILED:
            self.compiled.append(self.step)


@pytest.fixture(scope="module")
def experiment(tiny_config, data_dir):
    """variant, folder -> the experiment, of four steps an epoch."""

    def of(variant, folder, **fields):
        config = tiny_config(variant)
        with config.unlocked():
            config.update_from_flattened_dict(
                {
                    "data.dir": str(data_dir),
                    "data.flip_probability": 1.0,
                    "teacher.batch_size": 6,
                    "student.batch_size": 6,
                    "teacher.epochs": 1,
                    "student.epochs": EPOCHS,
                    "evaluation.batch_size": 6,
                    "evaluation.every_epochs": 1,
                    "log_every_steps": 2,
                    "figures.inputs": 6,
                    "figures.activations": 4,
                    **fields,
                }
            )
        return Experiment(config, folder)

    return of


@pytest.fixture(scope="module")
def run(experiment, tmp_path_factory):
    """(work directory, result, what was watched) of a student."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        watch = Watch(patch)
        result = experiment("student", folder).run()
        watch.listening = False
    return folder, result, watch


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_nothing_is_compiled_after_the_first_epoch_and_its_test(run):
    _, _, watch = run
    assert watch.step == EPOCHS * STEPS_AN_EPOCH
    assert watch.compiled, "the listener hears"
    assert max(watch.compiled) <= STEPS_AN_EPOCH


def test_time_is_shared_out(run):
    folder, result, _ = run
    (student,) = result["networks"]
    assert set(student["time"]) == set(ACTIVITIES)
    assert sum(student["time"].values()) == pytest.approx(1.0, abs=1e-3)
    assert student["time"]["evaluation"] > 0
    assert student["time"]["checkpoint"] > 0
    lines = entries(folder / "student" / "timing.jsonl")
    assert len(lines) == EPOCHS * STEPS_AN_EPOCH / 2
    for line in lines:
        assert set(line) == {"step", "clips_per_second"} | SHARES
        assert sum(line[name] for name in SHARES) == pytest.approx(1.0)
    starts = [line["time/start"] for line in lines]
    assert starts[0] > 0
    assert set(starts[1:]) == {0.0}
    tested_before = [line["step"] % STEPS_AN_EPOCH == 2 for line in lines]
    for line, tested in list(zip(lines, tested_before, strict=True))[1:]:
        assert (line["time/evaluation"] > 0) == tested


def test_the_record_says_whether_kernels_were_deterministic(run):
    assert run[1]["deterministic_kernels"] is False


def test_each_class_has_its_curve_in_one_group(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, result, _ = run
    (student,) = result["networks"]
    lines = entries(folder / "student" / "classes.jsonl")
    assert [line["step"] for line in lines] == [4, 8, 12]
    confusion = np.array(student["metrics"]["confusion"])
    expected = np.diagonal(confusion) / confusion.sum(axis=1)
    assert lines[-1]["accuracy"] == pytest.approx(
        dict(zip(student["class_names"], expected, strict=True))
    )
    accumulator = EventAccumulator(str(folder / "student"), size_guidance={"tensors": 0})
    accumulator.Reload()
    tags = set(accumulator.Tags()["tensors"])
    groups = {tag.partition("/")[0] for tag in tags if "drink water" in tag}
    assert groups == {"test_accuracy_of_class"}
    assert {"inputs", "test/activations", "test/confusion"} | SHARES <= tags
    assert [event.step for event in accumulator.Tensors("inputs")] == [0]
    assert [event.step for event in accumulator.Tensors("test/activations")] == [4, 8, 12]


def test_the_terminal_says_it(experiment, tmp_path, caplog, capsys):
    with caplog.at_level("INFO", logger="rgb2ir_jax"):
        fields = {"student.epochs": 1, "figures.inputs": 0, "figures.activations": 0}
        trial = experiment("student", tmp_path, **fields)
        trial.run()
    said = [record.getMessage() for record in caplog.records]
    assert any("log_every_steps=2" in line and "config.optimizer." in line for line in said)
    (shares,) = [line for line in said if line.startswith("student: ") and "waiting for" in line]
    assert "evaluation" in shares
    assert "student: epoch 1, test top-1" in capsys.readouterr().out
    assert not list((tmp_path / "student").glob("*inputs*"))
    assert not list((tmp_path / "student").glob("*activations*"))


@pytest.fixture
def sheets(monkeypatch):
    """What the pictures were made of."""
    drawn = {}

    def keep(name):
        original = getattr(looking, name)

        def noted(*arguments, **options):
            drawn[name] = arguments
            return original(*arguments, **options)

        monkeypatch.setattr(looking, name, noted)

    keep("input_sheet")
    keep("activation_sheet")
    return drawn


def test_the_inputs_are_those_of_the_first_batch(run, experiment, tmp_path, sheets):
    workdir, _, _ = run
    trial = experiment("mgcam+dkd", tmp_path / "run", **{"figures.inputs": 4})
    specs = [
        (who, NetworkSpec.from_config(trial.config[who], 10)) for who in ("teacher", "student")
    ]
    (tmp_path / "phase").mkdir()
    pictures = looking.draw_inputs(
        "student", trial.config, 5, specs, trial.data_set, tmp_path / "phase"
    )
    with train_iterator(trial.config.data, 5, 6, ["rgb", "ir"]) as batches:
        first = next(batches)
    seen, names = sheets["input_sheet"]
    assert list(seen) == ["teacher sees rgb", "student sees ir"]
    for heading, modality in (("teacher sees rgb", "rgb"), ("student sees ir", "ir")):
        np.testing.assert_array_equal(seen[heading], first[modality][:4])
    assert names == [trial.class_names[label] for label in first["label"][:4]]
    assert set(pictures) == {"inputs"}
    for file in ("inputs.png", "activations.png"):
        assert (workdir / "student" / file).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "phase" / "inputs.png").is_file()


def test_activation_maps_are_the_stages_means(run, experiment, tmp_path, sheets):
    """Against the network that the checkpoint holds, run clip by clip outside of any jit."""
    workdir, _, _ = run
    trial = experiment("student", tmp_path / "run", **{"figures.activations": 3})
    spec, network, _ = load_network(workdir / "student", replicated(make_mesh()))

    class Writer(MetricsWriter):
        def __init__(self):
            pass

        def image(self, step, name, picture):
            assert (step, name) == (7, "test/activations")

    maps = looking.ActivationMaps(
        "student",
        looking.Member(spec, network.graph),
        [],
        trial.config,
        trial.data_set,
        tmp_path,
        mesh=make_mesh(),
        dtype=np.float32,
    )
    maps.draw(7, network.variables, Writer())
    (found,), labels, _ = sheets["activation_sheet"]
    assert len(set(labels)) == 3, "clips of different classes"
    (batch,) = eval_batches(trial.config.data, "test", 12, ["ir"])
    module = merge(network.graph, network.variables)
    for row, label in enumerate(labels):
        same = [
            clip
            for clip in np.flatnonzero(batch["label"] == label)
            if np.array_equal(batch["ir"][clip, 1], found.frames[row])
        ]
        assert same
        output = module(spec.normalise(jnp.asarray(batch["ir"][same[:1]])), train=False)
        logits = np.asarray(output.logits[0], np.float64)
        softmax = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        np.testing.assert_allclose(found.scores[row], softmax, atol=1e-5)
        for stage, activation in output.stages.items():
            expected = np.abs(np.asarray(activation[0, 1], np.float64)).mean(axis=-1)
            np.testing.assert_allclose(found.maps[stage][row], expected, rtol=1e-4, atol=1e-6)


class Batches:
    """An endless pipeline that is a function of its step."""

    def __init__(self, make_batch):
        self._made = [make_batch(seed) for seed in range(4)]
        self._step = 0

    def __next__(self):
        self._step += 1
        return self._made[self._step % 4]

    def get_state(self):
        return {"step": self._step}

    def set_state(self, state):
        self._step = state["step"]


@pytest.fixture
def train(overfitted, make_batch):
    rig = overfitted("student").rig

    def run(folder, total=12, stopped_at=None, train_step=rig.train_step, **options):
        folder.mkdir(exist_ok=True)
        stop = StopRequest()

        def step(state, teachers, batch):
            if int(state.step) + 1 == stopped_at:
                stop.signal_name = "SIGTERM"
            return train_step(state, teachers, batch)

        return fit(
            "student",
            rig.new_state(),
            (),
            step if stopped_at else train_step,
            Batches(make_batch),
            lambda *_: {"test/top1": 0.5, "test/loss": 1.0},
            plan=Plan(
                steps_per_epoch=total,
                total_steps=total,
                batch_size=8,
                evaluate_every=total,
                log_every=total,
                save_every=(total,),
            ),
            folder=folder,
            stopping=EarlyStopping("test/top1"),
            stop=stop,
            hparams={},
            mesh=make_mesh(),
            **options,
        )

    return run, rig


def test_between_two_lines_of_the_log_the_loop_waits_for_no_step(train, tmp_path, monkeypatch):
    """Whatever the loop fetches was there already, and steps are given out before others end."""
    run, rig = train
    waits, ahead, inside = [], [], [False]
    value, block = ArrayImpl._value, jax.block_until_ready
    main = threading.get_ident()

    def fetched(array):
        if inside[0] and threading.get_ident() == main and not array.is_ready():
            waits.append(array.shape)
        return value.fget(array)

    def blocked(tree):
        if inside[0] and threading.get_ident() == main:
            waits.append("block_until_ready")
        return block(tree)

    monkeypatch.setattr(ArrayImpl, "_value", property(fetched))
    monkeypatch.setattr(jax, "block_until_ready", blocked)
    before = []

    def train_step(state, teachers, batch):
        if before:
            ahead.append(not before[-1].is_ready())
        # The second step to the last but one: the last is followed by a line of the log.
        inside[0] = 1 <= len(before) < 22
        state, terms = rig.train_step(state, teachers, batch)
        inside[0] = 1 <= len(before) < 22
        before.append(terms["loss"])
        return state, terms

    run(tmp_path, total=24, train_step=train_step)
    assert len(before) == 24
    assert not waits
    assert sum(ahead) > 12, "the loop was ahead of the devices"


def test_a_trace_is_written_and_changes_no_number(train, tmp_path, caplog):
    run, _ = train
    plain = run(tmp_path / "plain")
    with caplog.at_level("INFO", logger="rgb2ir_jax"):
        traced = run(tmp_path / "traced", profile=True)
    for a, b in zip(jax.tree.leaves(plain.state), jax.tree.leaves(traced.state), strict=True):
        np.testing.assert_array_equal(a, b)
    first, second = ((tmp_path / n / "metrics.jsonl").read_bytes() for n in ("plain", "traced"))
    assert first == second
    (file,) = (tmp_path / "traced" / "plugins" / "profile").glob("*/*.xplane.pb")
    assert not (tmp_path / "plain" / "plugins").exists()
    steps = [
        dict(event.stats).get("step_num")
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes
        for line in plane.lines
        for event in line.events
        if event.name == "train"
    ]
    assert sorted(steps) == list(range(WARM_UP + 1, WARM_UP + STEPS + 1))
    said = [r.getMessage() for r in caplog.records if "trace of steps" in r.getMessage()]
    assert len(said) == 1
    assert f"trace of steps 4 to 8 in {file.parent}. To look at it: pip install xprof" in said[0]
    assert list(file.parent.glob("*.trace.json.gz")), "what the message names is there"


def test_a_short_run_and_one_that_is_stopped_are_traced_too(train, tmp_path):
    run, _ = train
    run(tmp_path / "short", total=2, profile=True)
    assert list((tmp_path / "short").glob("plugins/profile/*/*.xplane.pb"))
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", stopped_at=5, profile=True)
    # The trace that it left ended with it: JAX allows one at a time.
    jax.profiler.start_trace(tmp_path / "own")
    jax.profiler.stop_trace()
