"""What a user waits for before anything happens: imports, --help, a mistake's answer, the first step.

    python -m benchmarks.startup [--data=runs/demo/data] [--repeats=5] [--out=DIR]

Every row is a process of its own, timed from outside. The first step is that of the demo's command
(`python -m rgb2ir_jax.main --config=configs/demo.py`) on the data set that `make demo` builds: from the
start of the process to the first line of the teacher's metrics, and of the student's after a teacher
that learned for one step; cold, with a new folder for compiled programs, and warm, with the folder
that the cold start left. Without the data set these rows are left out.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.devices import describe_here
from benchmarks.machine import machine_line, publish, table

MAIN = (sys.executable, "-m", "rgb2ir_jax.main")
PHASES = ("teacher", "student")
WARM_TARGET = 1 / 3
_POLL = 0.01


class Command(NamedTuple):
    """A process that ends by itself.

    Attributes:
        arguments: of the process.
        code: that it must end with.
        target: seconds that it should stay under; None: no aim.
    """

    arguments: tuple[str, ...]
    code: int
    target: float | None


COMMANDS = {
    "python -c pass": Command((sys.executable, "-c", "pass"), 0, None),
    "import rgb2ir_jax": Command((sys.executable, "-c", "import rgb2ir_jax"), 0, None),
    "main --help": Command((*MAIN, "--help"), 1, 2.0),  # The code is absl's.
    "main, misspelt config field": Command(
        (*MAIN, "--config=configs/demo.py", "--workdir=unused", "--config.data.segmnets=3"), 2, 2.0
    ),
    "main, value out of range": Command(
        (*MAIN, "--config=configs/demo.py", "--workdir=unused", "--config.data.segments=-3"), 2, 2.0
    ),
}


def seconds_of(command: Command, folder: Path) -> float:
    """Runs a command to its end.

    Raises:
        ValueError: it ended with another code than it should.
    """
    start = time.perf_counter()
    ended = subprocess.run(
        command.arguments,
        capture_output=True,
        text=True,
        check=False,
        env=_environment(folder),
    )
    seconds = time.perf_counter() - start
    if ended.returncode != command.code:
        raise ValueError(
            f"{' '.join(command.arguments[1:])} ended with code {ended.returncode}, expected "
            f"{command.code}: {ended.stderr.strip()[-300:]}"
        )
    return seconds


def _environment(home: Path) -> dict[str, str]:
    """The user's, with nobody's compiled programs."""
    kept = {
        name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"
    }
    return {**kept, "HOME": str(home)}


def first_steps(data: Path, home: Path, workdir: Path) -> dict[str, float]:
    """Seconds from the start of the demo's run to the first metrics of each phase.

    Args:
        data: the demo's data set.
        home: compiled programs go into its `.cache`.
        workdir: of the run, new.

    Raises:
        ValueError: the run ended without them.
    """
    command = (
        *MAIN,
        "--config=configs/demo.py",
        f"--workdir={workdir}",
        f"--config.data.dir={data.absolute()}",
        "--config.limit_train_steps=1",
        "--config.limit_test_clips=32",
        "--config.log_every_steps=1",
        "--config.figures.inputs=0",
        "--config.figures.activations=0",
    )
    found: dict[str, float] = {}
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment(home))
        try:
            while process.poll() is None and len(found) < len(PHASES):
                for phase in PHASES:
                    metrics = workdir / phase / "metrics.jsonl"
                    if phase not in found and metrics.is_file() and metrics.stat().st_size:
                        found[phase] = time.perf_counter() - start
                time.sleep(_POLL)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if len(found) < len(PHASES):
            log.seek(0)
            raise ValueError(f"the run ended before its first steps: {log.read().strip()[-600:]}")
    return found


def measure_first_steps(data: Path, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Cold and warm starts in turns, by phase."""
    found: dict[str, dict[str, list[float]]] = {phase: {"cold": [], "warm": []} for phase in PHASES}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder, "home")
            home.mkdir()
            for kind in ("cold", "warm"):
                for phase, seconds in first_steps(data, home, Path(folder, kind)).items():
                    found[phase][kind].append(seconds)
    return found


def _report(
    commands: Mapping[str, Sequence[float]],
    steps: Mapping[str, Mapping[str, Sequence[float]]],
    machine: Mapping[str, Any],
) -> str:
    rows = []
    for name, seconds in commands.items():
        target, median = COMMANDS[name].target, statistics.median(seconds)
        verdict = "" if target is None else ("yes" if median < target else "no")
        rows.append([name, f"{median:.2f}", f"{min(seconds):.2f}", verdict])
    times = len(next(iter(commands.values())))
    parts = [
        "# What a user waits for",
        f"Whole processes, seconds, {times} of each. {machine_line(dict(machine))}.",
        table(["command", "median", "least", "under 2 s"], rows),
    ]
    if steps:
        rows = []
        for phase, kinds in steps.items():
            cold, warm = (statistics.median(kinds[kind]) for kind in ("cold", "warm"))
            verdict = "yes" if warm < WARM_TARGET * cold else "no"
            rows.append([phase, f"{cold:.2f}", f"{warm:.2f}", f"{warm / cold:.2f}", verdict])
        parts += [
            "The demo's run, from the start of the process to the first line of metrics:",
            table(["phase", "cold", "warm", "warm / cold", "under a third"], rows),
        ]
    else:
        parts.append(
            "The first step was not measured: there is no data set (`make demo` builds one)."
        )
    return "\n\n".join(parts)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("runs/demo/data"))
    parser.add_argument("--repeats", type=int, default=5, help="of each command")
    parser.add_argument("--starts", type=int, default=2, help="of the run, cold and warm")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    machine = describe_here("jax", "flax", "absl-py")
    try:
        with tempfile.TemporaryDirectory() as home:
            # The first one reads the files from disk.
            for command in COMMANDS.values():
                seconds_of(command, Path(home))
            commands: dict[str, list[float]] = {name: [] for name in COMMANDS}
            for _ in range(arguments.repeats):
                for name, command in COMMANDS.items():
                    commands[name].append(seconds_of(command, Path(home)))
        steps = {}
        if arguments.data.is_dir():
            steps = measure_first_steps(arguments.data, arguments.starts)
    except ValueError as error:
        sys.exit(f"error: {error}")
    result = {"machine": machine, "commands": commands, "first_step": steps}
    publish(result, _report(commands, steps, machine), arguments.out, "startup")


if __name__ == "__main__":
    main()
