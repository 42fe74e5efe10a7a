"""The ordered map: order, bounded look-ahead, and workers without their parent's main."""

import operator
import os
import pathlib
import subprocess
import sys
import time

import pytest

from rgb2ir_jax.video.pool import ordered_map, worker_count


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_the_tasks_order(workers):
    assert list(ordered_map(operator.neg, range(20), workers)) == [-i for i in range(20)]


def test_tasks_are_taken_as_needed():
    taken = []
    results = ordered_map(operator.neg, (taken.append(i) or i for i in range(100)), 1)
    assert next(results) == 0
    assert len(taken) <= 4
    results.close()


def test_the_bound_of_waiting_results_can_be_set():
    taken = []
    results = ordered_map(operator.neg, (taken.append(i) or i for i in range(100)), 2, ahead=2)
    next(results)
    assert len(taken) == 2
    results.close()


def test_workers_end_with_a_killed_parent(tmp_path):
    script = (
        "import os, time\n"
        "from rgb2ir_jax.video.pool import ordered_map\n"
        "results = ordered_map(eval, ['__import__(\"os\").getpid()'] * 100, 1)\n"
        "print(next(results), flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while _is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(worker)


def _is_running(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # a dead process that nobody waited for


def test_work_is_done_in_other_processes():
    pids = set(ordered_map(eval, ["__import__('os').getpid()"] * 8, 2))
    assert os.getpid() not in pids


def test_a_script_without_main_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import operator\n"
        "from rgb2ir_jax.video.pool import ordered_map\n"
        "print('started')\n"
        "print(list(ordered_map(operator.neg, range(3), 2)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "started\n[0, -1, -2]\n"
    assert not done.stderr


def test_closing_early_ends_the_workers():
    results = ordered_map(time.sleep, [0.01] * 1000, 2)
    next(results)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 5


def test_negative_workers_are_refused():
    with pytest.raises(ValueError, match="-1 workers"):
        list(ordered_map(operator.neg, [1], -1))


def test_workers_come_from_the_environment(monkeypatch):
    monkeypatch.delenv("SOME_WORKERS", raising=False)
    assert worker_count("SOME_WORKERS") >= 1
    monkeypatch.setenv("SOME_WORKERS", "3")
    assert worker_count("SOME_WORKERS") == 3
    monkeypatch.setenv("SOME_WORKERS", "many")
    with pytest.raises(ValueError, match="'many'"):
        worker_count("SOME_WORKERS")
