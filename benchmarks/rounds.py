"""One kind of step on all sides: the same losses first, then times, in several rounds of new processes.

On a machine that is shared the same program differs by up to a quarter from process to process, and most of
its turns with it; docs/performance.md tells what of that is understood.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.job import Job
from benchmarks.sides import Factory, Side, SideError, Spent, Timing, Turns, measure_in_turns

OURS = "ours"
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}


class _Round(NamedTuple):
    """What one process of each side found; a side that failed has a text alone."""

    prepared: dict[str, Any]
    differences: dict[str, float]
    spent: Turns
    peaks: dict[str, int | None]
    failed: dict[str, str]


def describe(made: Mapping[str, Factory]) -> dict[str, Any]:
    """What those that can run are, by name, ours first.

    Raises:
        SideError: ours cannot.
    """
    found = {}
    with _in_processes(made) as sides:
        for name, side in sides.items():
            try:
                found[name] = side.call("describe")
            except SideError as error:
                if name == OURS:
                    raise
                sys.stderr.write(f"PyTorch {name} is left out: {error}\n")
    return found


def check_parity(found: Mapping[str, Mapping[str, Any]], tolerance: float) -> dict[str, float]:
    """The largest relative difference of each peer's losses from ours; gradients may differ tenfold.

    Raises:
        ValueError: one is above the tolerance: the sides do not compute the same.
    """
    differences: dict[str, float] = {}
    for name, outcome in found.items():
        if name == OURS:
            continue
        for what, allowed in (("losses", tolerance), ("grad_norms", 10 * tolerance)):
            ours, theirs = found[OURS][what], outcome[what]
            off = max(abs(a - b) / abs(a) for a, b in zip(ours, theirs, strict=True))
            differences.setdefault(name, off)
            if not off <= allowed:
                raise ValueError(
                    f"{name}: {what} of the first steps are {theirs}, ours {ours}; expected them to "
                    f"agree to {allowed:g}, so this is no comparison"
                )
    return differences


def measure(
    job: Job,
    made: Mapping[str, Factory],
    *,
    rounds: int,
    turns: int,
    steps: int,
    apart: bool,
) -> dict[str, Any]:
    """Parity, times and the program of one kind of step; a side that failed in a round has a text instead.

    Raises:
        SideError: ours failed, or a peer while it was timed beside the others.
        ValueError: see `check_parity`.
    """
    done: list[_Round] = []
    failed: dict[str, str] = {}
    for _ in range(rounds):
        left = {name: factory for name, factory in made.items() if name not in failed}
        done.append(_round(job, left, turns=turns, steps=steps, apart=apart))
        failed |= done[-1].failed
    names = [name for name in made if name not in failed]
    prepared = {name: done[0].prepared[name] for name in names}
    return {
        "job": job._asdict(),
        "losses": {name: outcome["losses"] for name, outcome in prepared.items()},
        "grad_norms": {name: outcome["grad_norms"] for name, outcome in prepared.items()},
        "loss_differences": {
            name: max(each.differences[name] for each in done) for name in names if name != OURS
        },
        "seconds": {
            name: Timing.of([each.spent[name] for each in done])._asdict() for name in names
        },
        "peak_bytes": done[0].peaks,
        "failed": failed,
        "compile_seconds": prepared[OURS]["compile_seconds"],
        "program": prepared[OURS]["program"],
    }


def _round(job: Job, made: Mapping[str, Factory], *, turns: int, steps: int, apart: bool) -> _Round:
    prepared: dict[str, Any] = {}
    spent: dict[str, list[Spent]] = {}
    peaks: dict[str, int | None] = {}
    failed: dict[str, str] = {}
    with _in_processes(made) as sides, tempfile.TemporaryDirectory() as folder:
        for name, side in sides.items():
            try:
                prepared[name] = side.call("prepare", job, Path(folder))
                if apart:
                    spent |= measure_in_turns({name: side}, ("time", steps), turns)
                    peaks[name] = side.call("peak_bytes")
                    side.call("release")
            except SideError as error:
                if name == OURS:
                    raise
                failed[name] = str(error)
        differences = check_parity(prepared, TOLERANCE[job.dtype])
        if not apart:
            ready = {name: side for name, side in sides.items() if name in prepared}
            spent = measure_in_turns(ready, ("time", steps), turns)
            peaks = {name: side.call("peak_bytes") for name, side in ready.items()}
    return _Round(prepared, differences, spent, peaks, failed)


@contextlib.contextmanager
def _in_processes(made: Mapping[str, Factory]) -> Iterator[dict[str, Side]]:
    """The sides, each in a new process: what one job leaves in memory slows the next one down."""
    with contextlib.ExitStack() as open_sides:
        sides = {}
        for name, factory in made.items():
            sides[name] = Side(factory)
            open_sides.callback(sides[name].close)
        yield sides
