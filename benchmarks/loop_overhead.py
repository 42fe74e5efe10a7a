"""What the training loop costs beside the step that it repeats, at the demo's sizes.

    python -m benchmarks.loop_overhead [--steps=200] [--width=16] [--out=DIR]

The real loop (`training/loop.py`) trains the demo's teacher and its distilled student on clips of
noise that lie ready in memory: the copy to the devices, the guard, the metrics and their files, the
progress, a line of the log at the demo's interval. The jitted step is timed from its call until the
devices have ended it, which the loop itself does not wait for, and the wait for the next batch is
timed too. What is left of the wall time is the loop's own: all of it, though where it runs ahead
most is done while the devices compute. It is taken from one line of the log to the next; the median
of these stretches is reported, because on a busy machine a few of them hold other programs' time.
Evaluations and checkpoints are not part of the steady state.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.typing import DTypeLike

from benchmarks.machine import describe_machine, machine_line, publish, table
from configs import demo
from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.distillation.objective import Objective
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.early_stopping import EarlyStopping
from rgb2ir_jax.training.experiment import compute_dtype
from rgb2ir_jax.training.loop import fit
from rgb2ir_jax.training.optimizer import make_optimizer, make_schedule
from rgb2ir_jax.training.phase import make_recipe
from rgb2ir_jax.training.plan import Plan
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.signals import StopRequest
from rgb2ir_jax.training.state import Split, create_state
from rgb2ir_jax.training.step import Member, make_train_step

CLASSES, TARGET = 10, 0.02
_WARM_UP = 40
_BATCHES = 8


class Overhead(NamedTuple):
    """Of a step in the steady state, in seconds.

    Attributes:
        step: the jitted step, from its call until the devices have ended it; the median of all.
        data: wait for the next batch; the mean of all.
        loop: what is left of the wall time: the mean of a stretch between two lines of the log, and
            of these the median.
        loop_mean: the mean of all stretches.
    """

    step: float
    data: float
    loop: float
    loop_mean: float

    @property
    def share(self) -> float:
        """The loop's part of a step's time."""
        return self.loop / self.step


class _Clock:
    """Times the calls of the step and of the iterator from outside."""

    def __init__(self, train_step: Any, batches: list[dict[str, np.ndarray]]):
        self._train_step, self._batches = train_step, batches
        self._read = 0
        self.calls: list[tuple[float, float]] = []
        self.waits: list[float] = []

    def step(self, *arguments: Any) -> Any:
        """Does a step and waits for it."""
        start = time.perf_counter()
        state, terms = jax.block_until_ready(self._train_step(*arguments))
        self.calls.append((start, time.perf_counter()))
        return state, terms

    def __next__(self) -> dict[str, np.ndarray]:
        """The next of a few batches, again and again."""
        start = time.perf_counter()
        batch = self._batches[self._read % len(self._batches)]
        self._read += 1
        self.waits.append(time.perf_counter() - start)
        return batch

    def get_state(self) -> Any:
        """The position, as the real pipeline has one."""
        return {"step": self._read}

    def set_state(self, state: Any) -> None:
        """Goes to a position."""
        self._read = state["step"]


def _batches(config: Any, size: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    shape = (size, config.data.segments, config.data.crop, config.data.crop)
    return [
        {
            "rgb": rng.integers(0, 256, (*shape, 3), np.uint8),
            "ir": rng.integers(0, 256, (*shape, 1), np.uint8),
            "label": rng.integers(0, CLASSES, size).astype(np.int32),
            "mask": np.ones(size, np.float32),
            "index": np.arange(size, dtype=np.int32),
        }
        for _ in range(_BATCHES)
    ]


def measure(name: str, width: int, steps: int, folder: Path) -> Overhead:
    """Trains the demo's "teacher" or "student" for a while and divides the time of its steps.

    Args:
        name: of the phase; the student learns from an untrained teacher.
        width: of both networks; the demo's is 16.
        steps: that are measured, after the warm-up.
        folder: for the run's files.
    """
    config = demo.get_config()
    with config.unlocked():
        config.teacher.width = config.student.width = width
    mesh, dtype = make_mesh(), compute_dtype("auto")
    specs = {who: NetworkSpec.from_config(config[who], CLASSES) for who in ("teacher", "student")}
    spec, size, total = specs[name], config[name].batch_size, _WARM_UP + steps
    teachers: list[Split] = []
    if name == "student":
        teachers = [Split.create(lambda: specs["teacher"].build(1, dtype), replicated(mesh))]
    widths = [Widths(spec.stage_channels, specs["teacher"].stage_channels) for _ in teachers]
    schedule = make_schedule(config, total, 1)
    optimizer = make_optimizer(config, schedule, config[name].batch_norm)
    graph, objective_graph, state = create_state(
        lambda: spec.build(0, dtype),
        lambda: Objective(config.distill if teachers else None, widths, 0),
        optimizer,
        replicated(mesh),
    )
    train_step = make_train_step(
        Member(spec, graph),
        objective_graph,
        [Member(specs["teacher"], teacher.graph) for teacher in teachers],
        optimizer,
        schedule,
        total_steps=total,
        seed=0,
        mesh=mesh,
        dtype=dtype,
        recipe=make_recipe(config, name),
    )
    clock = _Clock(train_step, _batches(config, size))
    folder.mkdir(parents=True)
    fit(
        name,
        state,
        tuple(teacher.variables for teacher in teachers),
        clock.step,
        clock,
        lambda *_: {"test/top1": 0.0, "test/loss": 0.0},
        plan=Plan(
            steps_per_epoch=total,
            total_steps=total,
            batch_size=size,
            evaluate_every=total,
            log_every=config.log_every_steps,
            save_every=(total,),
        ),
        folder=folder,
        stopping=EarlyStopping("test/top1"),
        stop=StopRequest(),
        hparams={},
        mesh=mesh,
    )
    return divide(clock.calls[_WARM_UP:], clock.waits[_WARM_UP:], config.log_every_steps)


def divide(calls: list[tuple[float, float]], waits: list[float], every: int) -> Overhead:
    """Divides the time from the first call to the last whole stretch's end.

    Args:
        calls: begin and end of each step, in seconds.
        waits: of the iterator, one for each step.
        every: steps of a stretch: one line of the log falls into each.
    """
    inside = [end - start for start, end in calls]
    loop = [
        (calls[first + every][0] - calls[first][0] - sum(inside[part]) - sum(waits[part])) / every
        for first in range(0, len(calls) - every, every)
        for part in (slice(first, first + every),)
    ]
    return Overhead(
        statistics.median(inside),
        statistics.mean(waits),
        statistics.median(loop),
        statistics.mean(loop),
    )


def _report(found: dict[str, Overhead], arguments: Any, dtype: DTypeLike, machine: Any) -> str:
    config = demo.get_config()
    rows = [
        [
            name,
            f"{cost.step * 1e3:.2f}",
            f"{cost.data * 1e6:.1f}",
            f"{cost.loop * 1e6:.0f}",
            f"{cost.loop_mean * 1e6:.0f}",
            f"{cost.share:.2%}",
            "yes" if cost.share < TARGET else "no",
        ]
        for name, cost in found.items()
    ]
    head = [
        "phase",
        "step, ms",
        "wait for data, us",
        "loop, us",
        "mean",
        "loop / step",
        f"under {TARGET:.0%}",
    ]
    return "\n".join(
        (
            "# Overhead of the training loop",
            "",
            (
                f"The demo's sizes: {config.teacher.batch_size} clips of {config.data.segments} frames of "
                f"{config.data.crop}x{config.data.crop}, ResNet50 teacher, ResNet18 student with "
                f"{config.variant}, base width {arguments.width}, {np.dtype(dtype).name}, a line of the log "
                f"every {config.log_every_steps} steps; {arguments.steps} steps of each on "
                f"{jax.devices()[0].device_kind}. {machine_line(machine)}."
            ),
            "",
            table(head, rows),
        )
    )


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=200, help="of each phase, after the warm-up")
    parser.add_argument("--width", type=int, default=16, help="base width of both networks")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    machine = describe_machine("jax", "flax", "clu")
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: measure(name, arguments.width, arguments.steps, Path(folder, name))
            for name in ("teacher", "student")
        }
    result = {
        "machine": machine,
        "device": jax.devices()[0].device_kind,
        "width": arguments.width,
        "steps": arguments.steps,
        "target": TARGET,
        "phases": {name: {**cost._asdict(), "share": cost.share} for name, cost in found.items()},
    }
    publish(
        result,
        _report(found, arguments, compute_dtype("auto"), machine),
        arguments.out,
        "loop_overhead",
    )


if __name__ == "__main__":
    main()
