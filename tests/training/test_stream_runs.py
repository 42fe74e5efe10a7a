"""TSTDDs' runs: three streams trained, tested, added up, interrupted and tested again by the commands."""

import json
import os
import pathlib
import shutil
import signal

import numpy as np
import pytest
import scipy.special

from rgb2ir_jax import detect, export, report
from rgb2ir_jax.evaluate import main as evaluate
from rgb2ir_jax.evaluation.metrics import classification_metrics
from rgb2ir_jax.launch.looks import look
from rgb2ir_jax.launch.trained_network import load_run
from rgb2ir_jax.prediction.student import load_student
from rgb2ir_jax.reporting.runs.files import find_runs, read_runs
from rgb2ir_jax.reporting.tables import results_table
from rgb2ir_jax.training import tester
from rgb2ir_jax.training.experiment import Experiment
from rgb2ir_jax.training.phases import phase_config
from rgb2ir_jax.training.resident.batches import ResidentBatches, training_batches
from rgb2ir_jax.training.sharding import make_mesh
from rgb2ir_jax.training.signals import Interrupted

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

STREAMS = ("frame", "differences", "global_image")
WEIGHTS = (1.0, 2.0, 0.5)


@pytest.fixture(scope="module")
def config_of(tiny_config, data_dir):
    def of(variant="tstdd", **fields):
        config = tiny_config(variant)
        changes = {
            "student.batch_size": 12,
            "student.epochs": 2,
            "student.dropout": 0.5,
            # Videos have 8 frames.
            "student.stream_length": 2,
            "student.global_frames": 4,
            "tstdd.weights": WEIGHTS,
            # The last batch of the 12 test clips is filled up.
            "evaluation.batch_size": 5,
            "evaluation.every_epochs": 1,
            "data.dir": str(data_dir),
        }
        with config.unlocked():
            config.update_from_flattened_dict({**changes, **fields})
        return config

    return of


@pytest.fixture(scope="module")
def run(config_of, tmp_path_factory):
    """(work directory, result) of the three streams, with pictures."""
    workdir = tmp_path_factory.mktemp("run") / "tstdd"
    fields = {"figures.inputs": 2, "figures.activations": 2}
    return workdir, Experiment(config_of(**fields), workdir).run()


def figures(entry):
    """Of a network, what does not depend on the clock."""
    return {k: v for k, v in entry.items() if k not in ("seconds", "time", "peak_memory")}


def test_the_result_has_three_streams_and_what_they_say_together(run):
    workdir, result = run
    assert [n["network"] for n in result["networks"]] == [*STREAMS, "tstdd"]
    assert [n["variant"] for n in result["networks"]] == [*(f"tstdd-{s}" for s in STREAMS), "tstdd"]
    assert [n["stream"] for n in result["networks"]] == [None, *STREAMS[1:], None]
    assert (result["variant"], result["methods"]) == ("tstdd", {})
    for network in result["networks"]:
        told = json.loads((workdir / network["network"] / "result.json").read_text())
        assert told == network
        assert network["clips_tested"] == 12
        picture = workdir / network["network"] / "confusion.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
    for stream in STREAMS:
        for name in ("inputs.png", "activations.png"):
            assert (workdir / stream / name).read_bytes().startswith(b"\x89PNG")
    frame, differences, _, fused = result["networks"]
    # The stem sees two channels instead of one, four wide with 7 x 7 kernels.
    assert differences["parameters"] - frame["parameters"] == 4 * 49
    assert fused["parameters"] == sum(n["parameters"] for n in result["networks"][:3])
    shown = results_table(result["networks"])
    assert "three streams, fused (tstdd)" in shown
    assert "infrared, global image" in shown


def test_the_fused_figures_follow_from_the_streams_logits(run):
    workdir, result = run
    exact, labels = 0.0, None
    for stream, weight, network in zip(STREAMS, WEIGHTS, result["networks"], strict=False):
        with np.load(workdir / stream / "scores.npz", allow_pickle=False) as arrays:
            logits, labels = arrays["logits"], arrays["labels"]
        own = classification_metrics(logits, labels).to_dict()
        assert json.loads(json.dumps(own)) == network["metrics"]
        exact = exact + weight * scipy.special.softmax(logits.astype(np.float64), axis=1)
    fused = result["networks"][-1]
    assert fused["top1"] == np.mean(exact.argmax(axis=1) == labels)
    ranks = np.argsort(-exact, axis=1, kind="stable")[:, :5]
    assert fused["top5"] == np.mean((ranks == labels[:, None]).any(axis=1))
    expected = classification_metrics(np.log(exact / sum(WEIGHTS)), labels)
    assert fused["metrics"]["ece"] == pytest.approx(expected.ece, abs=1e-9)
    assert (fused["fusion"], fused["weights"]) == ("probabilities", list(WEIGHTS))


def test_a_stream_is_the_student_that_is_trained_on_it_alone(run, config_of, tmp_path):
    config = config_of("student", **{"student.stream": "differences"})
    (alone,) = Experiment(config, tmp_path / "alone").run()["networks"]
    stream = run[1]["networks"][1]
    named = ("network", "variant")
    assert {k: v for k, v in figures(alone).items() if k not in named} == {
        k: v for k, v in figures(stream).items() if k not in named
    }
    assert not (tmp_path / "alone" / "student" / "scores.npz").exists()


def test_an_interrupted_run_goes_on_where_it_was(run, config_of, tmp_path, monkeypatch):
    workdir = tmp_path / "again"
    asked, original = [], tester.Tester.__call__

    def test_and_stop(self, step, network, writer):
        found = original(self, step, network, writer)
        if self._config.data.get("snippet") and not asked:
            asked.append(step)
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    monkeypatch.setattr(tester.Tester, "__call__", test_and_stop)
    with pytest.raises(Interrupted, match=r"SIGTERM: differences stopped after step [23] of 4"):
        Experiment(config_of(), workdir).run()
    assert asked == [2]
    assert (workdir / "frame" / "result.json").is_file()
    assert not (workdir / "differences" / "result.json").exists()
    assert not (workdir / "global_image").exists()
    begun = (workdir / "frame" / "result.json").stat().st_mtime_ns
    result = Experiment(config_of(), workdir).run()
    assert (workdir / "frame" / "result.json").stat().st_mtime_ns == begun
    assert [figures(n) for n in result["networks"]] == [figures(n) for n in run[1]["networks"]]

    # Scores that are gone are told of, and the network can be tested again.
    scores = workdir / "frame" / "scores.npz"
    whole = scores.read_bytes()
    for damaged in (b"no scores", whole[: len(whole) // 2], whole[:60] + b"\0" * 40 + whole[100:]):
        scores.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"scores\.npz cannot be read .* tests that network again"
        ):
            Experiment(config_of(), workdir).run()
    (workdir / "frame" / "result.json").unlink()
    result = Experiment(config_of(), workdir).run()
    assert figures(result["networks"][-1]) == figures(run[1]["networks"][-1])


def evaluated(path, out, *options):
    assert evaluate([f"--run={path}", f"--out={out}", "--resamples=20", *options]) == 0
    return json.loads(out.read_text())


def test_evaluate_repeats_the_fused_test_and_each_streams(run, tmp_path, capsys):
    workdir, result = run
    found = evaluated(workdir, tmp_path / "fused.json")
    assert found["reproduces"]["exactly"] is True
    assert found["metrics"] == result["networks"][-1]["metrics"]
    assert (found["network"], found["streams"]) == ("tstdd", list(STREAMS))
    shown = capsys.readouterr().out
    assert "three streams, fused (tstdd)" in shown
    assert "equal to the last digit" in shown
    for place in (1, 2):
        told = evaluated(workdir / STREAMS[place], tmp_path / "one.json")
        assert told["reproduces"]["exactly"] is True
        assert told["metrics"] == result["networks"][place]["metrics"]
    # More segments are more snippets, and still one global image of as many frames.
    dense = evaluated(workdir, tmp_path / "dense.json", "--segments=4", "--crops=3")
    assert dense["reproduces"] is None
    assert dense["metrics"]["examples"] == 12
    for one, other in ((0, 2), (2, 0)):
        against = f"--compare={workdir / STREAMS[other]}"
        compared = evaluated(workdir / STREAMS[one], tmp_path / "c.json", against)
        assert compared["comparison"]["metrics"] == result["networks"][other]["metrics"]
    dense = evaluated(workdir / "frame", tmp_path / "dense.json", "--segments=4")
    compared = evaluated(
        workdir / "differences",
        tmp_path / "c.json",
        "--segments=4",
        f"--compare={workdir / 'frame'}",
    )
    assert compared["comparison"]["metrics"] == dense["metrics"]
    assert compared["comparison"]["segments"] == 4


def refused(command, *arguments):
    with pytest.raises(SystemExit) as stopped:
        command([str(argument) for argument in arguments])
    assert stopped.value.code == 2


def test_what_shows_a_network_frames_alone_refuses_streams(run, tmp_path, capsys):
    workdir, _ = run
    for command, arguments, message in (
        (evaluate, (f"--run={workdir / 'global_image'}", "--segments=9"), "whatever the segments"),
        (evaluate, (f"--run={workdir}", "--network=student"), "leave --network out"),
        (evaluate, (f"--run={workdir / 'frame'}", f"--compare={workdir}"), "name one of them"),
        (export.main, (f"--run={workdir}",), "an export holds one network"),
        (
            detect.main,
            (f"--run={workdir / 'differences'}", tmp_path / "x.avi"),
            "detection in long",
        ),
    ):
        refused(command, *arguments)
        assert message in capsys.readouterr().err
    with pytest.raises(ValueError, match="sees 2 stacked differences of a clip, and a prediction"):
        load_student(workdir / "differences")
    with pytest.raises(
        ValueError, match=r"predictions are made by one that sees frames: name .*frame"
    ):
        load_student(workdir)
    with pytest.raises(ValueError, match="and a closer look is of networks that see its frames"):
        look(workdir / "differences")
    # The spatial stream sees frames, as any student.
    frames = np.random.default_rng(0).integers(0, 256, (8, 40, 64, 1), np.uint8)
    assert len(load_student(workdir / "frame")(frames).labels) == 10
    assert load_run(workdir / "differences").config.data.snippet == 3


def test_an_unfinished_run_says_so(run, tmp_path, capsys):
    copy = shutil.copytree(run[0], tmp_path / "copy", ignore=shutil.ignore_patterns("tstdd"))
    refused(evaluate, f"--run={copy}")
    assert "not all streams of this run are trained yet" in capsys.readouterr().err


def test_the_report_shows_the_streams_and_their_sum(run, tmp_path):
    (found,) = read_runs(find_runs([run[0]]))
    assert not found.problems
    assert [phase.network for phase in found.phases] == [*STREAMS, "tstdd"]
    assert [phase.sees for phase in found.phases][1:3] == [
        "infrared, differences",
        "infrared, global image",
    ]
    assert report.main([str(run[0]), f"--out={tmp_path / 'page.html'}"]) == 0
    page = (tmp_path / "page.html").read_text()
    for text in ("three streams, fused (tstdd)", "differences stream (tstdd)"):
        assert text in page
    with pytest.raises(ValueError, match="is one network of a run; give the run"):
        find_runs([pathlib.Path(run[0]) / "frame"])


def test_flow_is_trained_on_and_tested_again(config_of, tmp_path):
    fields = {"student.stream": "flow", "limit_train_steps": 1, "data.segments": 1}
    fields |= {"figures.inputs": 1, "figures.activations": 1}
    config = config_of("student", **fields)
    (network,) = Experiment(config, tmp_path / "flow").run()["networks"]
    assert (network["stream"], network["frame_channels"]) == ("flow", 1)
    found = evaluated(tmp_path / "flow", tmp_path / "flow.json")
    assert found["reproduces"]["exactly"] is True
    assert load_run(tmp_path / "flow").spec.in_channels == 4


def test_a_stream_teaches_nobody(run, config_of, tmp_path):
    fields = {"teacher.checkpoint": str(run[0] / "differences"), "teacher.modality": "ir"}
    fields |= {"teacher.in_channels": 1, "teacher.mean": (0.4,), "teacher.std": (0.2,)}
    with pytest.raises(ValueError, match="sees: ir, 2 stacked differences; expected ir"):
        Experiment(config_of("st", **fields), tmp_path / "taught")


def test_frames_on_the_device_make_the_same_snippets(config_of, tmp_path):
    config = config_of(**{"data.cache": str(tmp_path / "cache"), "data.on_device": True})
    found = {}
    for resident in (True, False):
        config.data.on_device = resident
        data = phase_config(config, "differences").data
        with training_batches(data, 0, 12, ["ir"], mesh=make_mesh()) as batches:
            assert isinstance(batches, ResidentBatches) is resident
            found[resident] = [np.asarray(next(batches)["ir"]) for _ in range(2)]
    assert found[True][0].shape == (12, 6, 32, 32, 1)
    np.testing.assert_array_equal(found[True], found[False])
