"""Joining the processes of one run: by flags, or by what a cluster's launcher tells each of them."""

import os
import re
import socket
import time
from typing import Any, NamedTuple

from absl import flags, logging

# What a launcher sets in each process that it starts, and how many it has started.
_LAUNCHERS = {
    "SLURM": (("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID"), "SLURM_NTASKS"),
    "Open MPI": (("OMPI_COMM_WORLD_RANK",), "OMPI_COMM_WORLD_SIZE"),
}
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):(?P<port>\d{1,5})")
_SECONDS_TO_MEET = 300.0
# The last files of a run are written before anybody leaves.
_SECONDS_TO_LEAVE = 60


class ProcessFlags(NamedTuple):
    """The flags that say what this process is one of."""

    coordinator: flags.FlagHolder
    num_processes: flags.FlagHolder
    process_id: flags.FlagHolder
    distributed: flags.FlagHolder


def define_processes() -> ProcessFlags:
    """Defines `--coordinator`, `--num_processes`, `--process_id` and `--[no]distributed`."""
    return ProcessFlags(
        flags.DEFINE_string(
            "coordinator", None, "HOST:PORT of process 0, for a run of several processes."
        ),
        flags.DEFINE_integer("num_processes", None, "How many processes the run has."),
        flags.DEFINE_integer("process_id", None, "Which of them this is, from 0."),
        flags.DEFINE_boolean(
            "distributed",
            None,
            "Whether to ask the cluster (SLURM, Open MPI, a TPU pod) for the three above. Left out: "
            "where SLURM or Open MPI has started several processes.",
        ),
    )


def join(given: ProcessFlags) -> None:
    """Makes this process one of its run's; must come before JAX looks at any device.

    Raises:
        ValueError: the flags are not whole or contradict each other, or the processes do not find
            each other.
    """
    join_processes(*(holder.value for holder in given))


def join_processes(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    distributed: bool | None = None,
) -> None:
    """As `join`, with the flags' values."""
    by_hand = {
        "--coordinator": coordinator,
        "--num_processes": num_processes,
        "--process_id": process_id,
    }
    missing = [name for name, value in by_hand.items() if value is None]
    if len(missing) < len(by_hand):
        if missing:
            raise ValueError(
                f"{' and '.join(missing)} missing: --coordinator=HOST:PORT, --num_processes=N and "
                "--process_id=I are given together, to each process its own --process_id"
            )
        if distributed is not None:
            raise ValueError(
                "--coordinator says how to join, and --distributed is about asking the cluster; leave one out"
            )
        _check(coordinator, num_processes, process_id)  # type: ignore[arg-type]
        _initialize(
            coordinator_address=coordinator, num_processes=num_processes, process_id=process_id
        )
        return
    if distributed is None:
        distributed = launcher() is not None
    if distributed:
        _initialize()


def launcher() -> str | None:
    """Who has started several processes of which this is one, as far as the environment tells."""
    for name, (marks, count) in _LAUNCHERS.items():
        if all(mark in os.environ for mark in marks) and os.environ.get(count, "1") != "1":
            return name
    return None


def _check(coordinator: str, num_processes: int, process_id: int) -> None:
    match = _ADDRESS.fullmatch(coordinator)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError(
            f"--coordinator is {coordinator!r}, expected HOST:PORT, as in node1:12355: the host of "
            "process 0, and a port that is free there"
        )
    if num_processes < 1:
        raise ValueError(f"--num_processes is {num_processes}, expected at least 1")
    if not 0 <= process_id < num_processes:
        raise ValueError(
            f"--process_id is {process_id}, expected 0 to {num_processes - 1} of {num_processes} processes"
        )
    if process_id == 0:
        _check_free(int(match["port"]))
    else:
        _wait_for(match["host"].strip("[]"), int(match["port"]))


def _check_free(port: int) -> None:
    """JAX's service would end the process where its port is taken."""
    with socket.socket() as listening:
        # As the service does it: what was left in TIME_WAIT is free.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("", port))
        except OSError as error:
            raise ValueError(
                f"--coordinator: port {port} of this host cannot be listened at "
                f"({error.strerror or error}); choose another, the same for all processes"
            ) from error


def _wait_for(host: str, port: int) -> None:
    """JAX's client would end the process where nobody answers."""
    until = time.monotonic() + _SECONDS_TO_MEET
    while True:
        try:
            socket.create_connection((host, port), timeout=5.0).close()
            return
        except OSError as error:
            if time.monotonic() > until:
                raise ValueError(
                    f"--coordinator: nobody answers at {host}:{port} ({error.strerror or error}) for "
                    f"{_SECONDS_TO_MEET:.0f} seconds. Is process 0 started on that host, and can it be reached?"
                ) from error
        time.sleep(0.2)


def _initialize(**by_hand: Any) -> None:
    import jax

    # JAX tells each process whom it connects to; who cannot is told below.
    logging.set_verbosity(logging.WARNING)
    # Its handler would take SIGTERM away from ours, and before ours is there swallow it.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(shutdown_timeout_seconds=_SECONDS_TO_LEAVE, **by_hand)
    # What is wrong with an address or a port comes as the one, a missing one as the other.
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        if by_hand:
            raise ValueError(
                f"process {by_hand['process_id']} of {by_hand['num_processes']} cannot join the run at "
                f"{by_hand['coordinator_address']}: {reason}. Are all processes started, is the port free "
                "on the host of process 0, and can the others reach it?"
            ) from error
        raise ValueError(
            f"--distributed: the cluster does not tell JAX who takes part: {reason}. Start the processes "
            "by srun, mpirun or on a TPU pod, or give --coordinator, --num_processes and --process_id"
        ) from error
