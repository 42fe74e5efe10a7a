"""A run that is killed at random moments ends as one that was left alone; nothing of it stays behind."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from rgb2ir_jax.training.checkpoints import load_network
from rgb2ir_jax.training.sharding import make_mesh, replicated

ROOT = pathlib.Path(__file__).parents[2]
MARK = "RGB2IR_KILLED_RUN"


class Runs:
    """The process that forks runs."""

    def __init__(self, fields, mark):
        # Importing TensorFlow takes longer than such a run.
        blocked = pathlib.Path(mark, "blocked")
        blocked.mkdir()
        (blocked / "tensorflow.py").write_text("raise ImportError('blocked by the test')")
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(blocked), str(ROOT)]),
            MARK: mark,
        }
        self._process = subprocess.Popen(
            [sys.executable, str(pathlib.Path(__file__).with_name("killable_runs.py")), fields],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.mark, self.fields = mark, fields
        self.pid = self._process.pid

    def start(self, workdir, workers=0):
        self._process.stdin.write(json.dumps([str(workdir), workers]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait(self):
        return int(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def left(self):
        """Processes of the runs that are still there."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.pid:
                continue
            try:
                if f"{MARK}={self.mark}\0".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def assert_nothing_is_left(self):
        until = time.monotonic() + 20
        while (left := self.left()) and time.monotonic() < until:
            time.sleep(0.05)
        assert not left


@pytest.fixture
def runs(tiny_config, data_dir, tmp_path):
    from rgb2ir_jax.training.validation import flatten

    config = tiny_config("student")
    with config.unlocked():
        config.update_from_flattened_dict(
            {
                "data.dir": str(data_dir),
                "student.batch_size": 4,
                "student.epochs": 5,
                "student.dropout": 0.5,
                "optimizer.learning_rate": 0.01,
                "optimizer.schedule": "cosine",
                "evaluation.batch_size": 12,
                "evaluation.every_epochs": 2,
                "early_stopping.patience": 4,
                "checkpoint.every_epochs": 0,
                "checkpoint.every_steps": 4,
                "log_every_steps": 5,
            }
        )
    fields = {key: value for key, value in flatten(config).items() if key != "variant"}
    runs = Runs(json.dumps(fields), str(tmp_path))
    yield runs
    runs.close()


def network(workdir):
    _, split, record = load_network(workdir / "student", replicated(make_mesh()))
    return jax.tree.leaves(split.variables), record


def assert_same(whole, broken):
    (a, record), (b, other) = network(whole), network(broken)
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert np.array_equal(x, y)
    assert record["stopping"] == other["stopping"]
    first, second = ((w / "student" / "metrics.jsonl").read_bytes() for w in (whole, broken))
    assert first == second
    results = [json.loads((w / "result.json").read_text()) for w in (whole, broken)]
    for result in results:
        for entry in result["networks"]:
            entry.pop("seconds")
            entry.pop("peak_memory")
            entry.pop("time")
        for name in ("wall_seconds", "config"):
            result.pop(name, None)
    assert results[0] == results[1]


def kill_at_random_moments(runs, tmp_path, kills, workers_of):
    """Returns (work directory left alone, killed one, moments in seconds at which steps were found done)."""
    rng = np.random.default_rng(0)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    runs.start(whole)
    assert runs.wait() == 0, (tmp_path / "whole.log").read_text()
    # Once more, now that programs are compiled and kept: how long a run takes.
    started = time.monotonic()
    runs.start(tmp_path / "again")
    assert runs.wait() == 0
    duration = time.monotonic() - started
    found = []
    for kill in range(kills):
        pid = runs.start(broken, workers_of(kill))
        time.sleep(rng.uniform(0, 0.7 * duration))
        # A run that was quicker than its model has ended already.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        killed = runs.wait() == -signal.SIGKILL
        steps = broken / "student" / "checkpoints"
        done = [int(p.name) for p in steps.iterdir() if p.name.isdigit()] if steps.is_dir() else []
        found.append(max(done, default=0))
        if not killed:
            break
    runs.start(broken)
    assert runs.wait() == 0, (tmp_path / "broken.log").read_text()
    assert_same(whole, tmp_path / "again")
    return whole, broken, found


@pytest.mark.slow
def test_twenty_kills_with_loader_workers(runs, tmp_path):
    whole, broken, found = kill_at_random_moments(
        runs, tmp_path, 20, lambda kill: int(kill % 4 == 3)
    )
    assert_same(whole, broken)
    assert found == sorted(found)
    runs.assert_nothing_is_left()


CONFIG_FILE = """
import json
from configs import ntu

def get_config(variant):
    config = ntu.get_config(variant)
    with config.unlocked():
        config.update_from_flattened_dict(json.loads({fields!r}))
    return config
"""


@pytest.mark.slow
def test_the_command_saves_when_its_whole_process_group_is_told_to_end(runs, tmp_path):
    """As a cluster does it, and a terminal: loader workers get the signal too."""
    fields = {**json.loads(runs.fields), "data.workers": 1, "student.epochs": 500}
    (tmp_path / "tiny.py").write_text(CONFIG_FILE.format(fields=json.dumps(fields)))
    command = [
        *(sys.executable, "-m", "rgb2ir_jax.main"),
        f"--config={tmp_path / 'tiny.py'}:student",
        f"--workdir={tmp_path / 'run'}",
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=runs.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    steps = tmp_path / "run" / "student" / "checkpoints"
    until = time.monotonic() + 60
    while not (steps / "4").is_dir() and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said
    last = said.splitlines()[-1]
    assert last.startswith("SIGTERM: student stopped after step ")
    assert f"go on with: python -m rgb2ir_jax.main --config={tmp_path / 'tiny.py'}:student" in last
    stopped = int(last.partition("step ")[2].split()[0])
    assert (steps / str(stopped)).is_dir()
    runs.assert_nothing_is_left()
