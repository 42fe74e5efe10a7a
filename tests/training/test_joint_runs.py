"""Two processes of two devices each train as one, by the command: they stop, go on and fail together."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from rgb2ir_jax.evaluation.metrics import classification_metrics
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.launch.trained_network import load_run, score_split
from rgb2ir_jax.training.checkpoints import load_network
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.validation import flatten
from tests.simulated_devices import environment_of

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.slow

CONFIG_FILE = """
import json
from configs import ntu

def get_config(variant):
    config = ntu.get_config(variant)
    with config.unlocked():
        fields = json.loads({fields!r}).items()
        config.update_from_flattened_dict(
            {{key: tuple(value) if isinstance(value, list) else value for key, value in fields}}
        )
    return config
"""


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def free_job():
    """The number of a SLURM job of which JAX makes a free port."""
    for job in range(1, 4096):
        with socket.socket() as listening, contextlib.suppress(OSError):
            listening.bind(("127.0.0.1", 65535 - 4096 + 1 + job))
            return str(job)
    raise AssertionError("no port is free")


class Runs:
    """The process that forks runs."""

    def __init__(self, folder, fields):
        self._folder = folder
        (folder / "tiny.py").write_text(CONFIG_FILE.format(fields=json.dumps(fields)))
        # Importing TensorFlow takes longer than such a run.
        blocked = folder / "blocked"
        blocked.mkdir()
        (blocked / "tensorflow.py").write_text("raise ImportError('blocked by the test')")
        path = os.pathsep.join([str(blocked), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, str(pathlib.Path(__file__).with_name("joint_runs.py"))],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _ask(self, request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, workdir, *arguments, log, devices=2, environment=()):
        return self._ask(
            {
                "arguments": [
                    f"--config={self._folder / 'tiny.py'}:student",
                    f"--workdir={workdir}",
                    *arguments,
                ],
                "environment": {
                    "XLA_FLAGS": environment_of(devices)["XLA_FLAGS"],
                    **dict(environment),
                },
                "log": str(self._folder / log),
            }
        )

    def start_two(self, workdir, *arguments, own=((), ())):
        """Starts processes 0 and 1 of a run; returns their numbers in the system."""
        address = f"--coordinator=127.0.0.1:{free_port()}"
        return [
            self.start(
                workdir,
                *(address, "--num_processes=2", f"--process_id={index}"),
                *arguments,
                *own[index],
                log=f"{pathlib.Path(workdir).name}.{index}.log",
            )
            for index in (0, 1)
        ]

    def wait(self, pids):
        return [self._ask({"wait": pid}) for pid in pids]

    def said(self, name):
        """What a process printed, but for the notes of JAX's collectives on CPU."""
        lines = (self._folder / name).read_text().splitlines()
        # Where two threads write at once their beginning is lost, or the number at their end has a line of its own.
        notes = [line for line in lines if "connected peer ranks" in line or line.strip().isdigit()]
        return "\n".join(line for line in lines if line not in notes)

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def runs(tiny_config, data_dir, tmp_path_factory):
    config = tiny_config("student")
    with config.unlocked():
        config.update_from_flattened_dict(
            {
                "data.dir": str(data_dir),
                "student.batch_size": 4,
                "student.epochs": 3,
                "student.dropout": 0.5,
                "teacher.batch_size": 4,
                "optimizer.learning_rate": 0.001,
                # Of the twelve test clips the last batch has four, and four of padding.
                "evaluation.batch_size": 8,
                "evaluation.every_epochs": 1,
                "checkpoint.every_epochs": 0,
                "checkpoint.every_steps": 4,
                "log_every_steps": 1,
                "mesh.model": 2,
            }
        )
    fields = {key: value for key, value in flatten(config).items() if key != "variant"}
    runs = Runs(tmp_path_factory.mktemp("joint"), fields)
    yield runs
    runs.close()


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    """The work directory of a run of two processes that was left alone."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    assert runs.wait(runs.start_two(workdir)) == [0, 0], runs.said("whole.0.log")
    return workdir


def lines(workdir):
    text = (workdir / "student" / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def assert_same(one, other):
    for a, b in zip(*(jax.tree.leaves(network(w)) for w in (one, other)), strict=True):
        assert np.array_equal(a, b)
    assert lines(one) == lines(other)
    for field in ("metrics", "best", "steps", "clips_tested"):
        first, second = (
            json.loads((w / "student" / "result.json").read_text())[field] for w in (one, other)
        )
        assert first == second


def network(workdir):
    return load_network(workdir / "student", replicated(make_mesh()))[1].variables


def test_the_clips_and_the_first_step_are_those_of_one_process(runs, whole, tmp_path):
    arguments = ("--config.mesh.model=1", "--config.limit_train_steps=6")
    pid = runs.start(tmp_path / "alone", *arguments, devices=4, log="alone.log")
    assert runs.wait([pid]) == [0], runs.said("alone.log")
    joint, alone = lines(whole), lines(tmp_path / "alone")
    assert (len(joint), len(alone)) == (18 + 3, 6 + 1)
    assert joint[0] == pytest.approx(alone[0], rel=1e-5)
    # With other clips, losses would differ by tenths.
    for found, expected in zip(joint[:6], alone[:6], strict=True):
        assert found["train/loss"] == pytest.approx(expected["train/loss"], rel=1e-3)
    results = [
        json.loads((w / "student" / "result.json").read_text()) for w in (whole, tmp_path / "alone")
    ]
    assert [result["clips_tested"] for result in results] == [12, 12]
    assert json.loads((whole / "result.json").read_text())["processes"] == 2


def test_one_process_finds_the_same_test_metrics(whole):
    run = load_run(whole)
    protocol = Protocol.from_config(run.config)
    logits, labels = score_split(run, run.config.data, "test", protocol)
    assert len(labels) == 12
    metrics = classification_metrics(logits, labels).to_dict()
    assert set(metrics) == set(run.result["metrics"])
    for name, value in metrics.items():
        found = np.asarray(run.result["metrics"][name], float)
        # Counts exactly; probabilities were computed by code that was compiled otherwise.
        np.testing.assert_allclose(np.asarray(value, float), found, rtol=1e-6, err_msg=name)


def test_process_0_alone_talks_and_writes(runs, whole):
    said = [runs.said(f"whole.{index}.log") for index in (0, 1)]
    assert "4 device(s) of 2 processes" in said[0]
    assert "| student" in said[0]
    assert not said[1]
    steps = [entry["step"] for entry in lines(whole) if "train/loss" in entry]
    assert steps == list(range(1, 19))
    assert not list(whole.rglob("*.part"))
    assert not list(whole.glob(".shared*"))


def test_a_signal_to_one_process_stops_both_at_one_step_and_slurm_goes_on(runs, whole, tmp_path):
    workdir = tmp_path / "broken"
    pids = runs.start_two(workdir)
    checkpoints = workdir / "student" / "checkpoints"
    until = time.monotonic() + 60
    while not (checkpoints / "4").is_dir() and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(pids[1], signal.SIGTERM)
    assert runs.wait(pids) == [75, 75], runs.said("broken.0.log")
    last = runs.said("broken.0.log").splitlines()[-1]
    assert last.startswith("SIGTERM: student stopped after step ")
    assert "; go on with: python -m rgb2ir_jax.main --config=" in last
    stopped = int(last.partition("step ")[2].split()[0])
    assert 4 <= stopped < 18
    assert (checkpoints / str(stopped)).is_dir()
    job = {"SLURM_JOB_ID": free_job(), "SLURM_STEP_NODELIST": "localhost"}
    pids = [
        runs.start(
            workdir,
            environment={
                **job,
                "SLURM_NTASKS": "2",
                "SLURM_PROCID": str(index),
                "SLURM_LOCALID": str(index),
            }.items(),
            log=f"slurm.{index}.log",
        )
        for index in (0, 1)
    ]
    assert runs.wait(pids) == [0, 0], runs.said("slurm.0.log")
    assert f"student: going on from step {stopped} of 18" in runs.said("slurm.0.log")
    assert_same(whole, workdir)


def test_processes_that_were_not_started_alike_are_refused(runs, tmp_path):
    own = ((), ("--config.optimizer.momentum=0.5", "--config.data.threads=2"))
    assert runs.wait(runs.start_two(tmp_path / "unlike", own=own)) == [2, 2]
    # Beside it JAX may say that it could not read a program that another test was keeping.
    said = runs.said("unlike.0.log")
    (line,) = [line for line in said.splitlines() if line.startswith("error:")]
    assert line.startswith(
        "error: the processes of a run must be started alike: config.optimizer.momentum is 0.5 in "
        "process 1, 0.9 in process 0. Start all"
    )
    assert not runs.said("unlike.1.log")
    assert not (tmp_path / "unlike").exists()


def test_what_fails_on_one_process_fails_on_both(runs, tmp_path):
    own = ((), (f"--config.data.dir={tmp_path}",))
    assert runs.wait(runs.start_two(tmp_path / "failed", own=own)) == [2, 2]
    said = [runs.said(f"failed.{index}.log") for index in (0, 1)]
    assert said[0].startswith("error: process 1 of 2: ")
    assert said[1].removeprefix("error: ") in said[0]
    own = ((), (f"--workdir={tmp_path / 'elsewhere'}",))
    (tmp_path / "elsewhere").mkdir()
    assert runs.wait(runs.start_two(tmp_path / "here", own=own)) == [2, 2]
    assert "does not see it; expected a --workdir that all hosts share" in runs.said("here.0.log")
