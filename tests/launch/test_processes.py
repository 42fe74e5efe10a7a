"""Joining a run: whole flags, or a launcher that tells; anything else is one clear line."""

import socket

import jax
import pytest

from rgb2ir_jax.launch import processes
from rgb2ir_jax.launch.processes import join_processes, launcher

WHOLE = {"coordinator": "node1:12355", "num_processes": 2, "process_id": 1}


@pytest.fixture
def asked(monkeypatch):
    """What JAX was asked for; no process is waited for."""
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **given: calls.append(given))
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    for marks, count in processes._LAUNCHERS.values():
        for name in (*marks, count):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: socket.socket())
    return calls


def test_flags_lead_to_the_coordinator(asked):
    join_processes(**WHOLE)
    (call,) = asked
    assert call.pop("shutdown_timeout_seconds") > 0
    assert call == {"coordinator_address": "node1:12355", "num_processes": 2, "process_id": 1}


@pytest.mark.parametrize("address", ["10.0.0.1:1", "[2001:db8::7]:65535", "a-b.c_d:08080"])
def test_addresses_of_all_kinds_are_taken(asked, address):
    join_processes(address, 2, 1)
    assert asked[0]["coordinator_address"] == address


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"process_id": None}, r"^--process_id missing: --coordinator=HOST:PORT, --num_processes=N"),
        ({"coordinator": None, "num_processes": None}, "^--coordinator and --num_processes missing"),
        ({"coordinator": "node1"}, "--coordinator is 'node1', expected HOST:PORT, as in node1:12355"),
        ({"coordinator": "node1:0"}, "--coordinator is 'node1:0', expected HOST:PORT"),
        ({"coordinator": "node1:70000"}, "expected HOST:PORT"),
        ({"coordinator": "http://node1:80"}, "expected HOST:PORT"),
        ({"num_processes": 0}, "--num_processes is 0, expected at least 1"),
        ({"process_id": 2}, "--process_id is 2, expected 0 to 1 of 2 processes"),
        ({"process_id": -1}, "--process_id is -1, expected 0 to 1"),
        ({"distributed": True}, "leave one out"),
    ],
)  # fmt: skip
def test_half_given_or_wrong_flags_are_refused(asked, changes, message):
    with pytest.raises(ValueError, match=message):
        join_processes(**{**WHOLE, **changes})
    assert not asked


def test_a_port_that_is_taken_is_refused(asked):
    with socket.socket() as listening:
        listening.bind(("", 0))
        listening.listen()
        port = listening.getsockname()[1]
        join_processes(f"localhost:{port}", 2, 1)
        with pytest.raises(
            ValueError, match=f"port {port} of this host cannot be listened at .*in use"
        ):
            join_processes(f"localhost:{port}", 2, 0)
    assert len(asked) == 1


def test_a_coordinator_that_does_not_answer_is_named(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Nobody listens.
        monkeypatch.setattr(processes, "_SECONDS_TO_MEET", 0.1)
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            ValueError, match=f"nobody answers at {address} .*refused.* Is process 0"
        ):
            join_processes(address, 2, 1)


def test_alone_nobody_is_asked(asked):
    join_processes()
    join_processes(distributed=False)
    assert not asked


SLURM = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "n[1-2]", "SLURM_PROCID": "0"}


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({**SLURM, "SLURM_NTASKS": "2"}, "SLURM"),
        # One task, or a shell within an allocation: nothing was started several times.
        ({**SLURM, "SLURM_NTASKS": "1"}, None),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"}, None),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"}, "Open MPI"),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"}, None),
    ],
)
def test_a_launcher_of_several_processes_is_recognised(asked, monkeypatch, environment, name):
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert launcher() == name
    join_processes()
    assert len(asked) == (name is not None)
    join_processes(distributed=False)
    assert len(asked) == (name is not None)


def test_without_a_cluster_distributed_says_what_to_do(monkeypatch):
    def nowhere(**_):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", nowhere)
    with pytest.raises(ValueError, match=r"does not tell JAX who takes part: .* by srun, mpirun"):
        join_processes(distributed=True)


def test_processes_that_do_not_find_each_other_name_the_address(monkeypatch):
    def late(**_):
        raise RuntimeError("DEADLINE_EXCEEDED:\n no answer")

    monkeypatch.setattr(jax.distributed, "initialize", late)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: socket.socket())
    with pytest.raises(
        ValueError, match=r"^process 1 of 2 cannot join the run at node1:12355: DEAD"
    ):
        join_processes(**WHOLE)
