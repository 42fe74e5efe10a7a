"""What the training loop costs beside the step that it repeats, at the demo's sizes.

    python -m benchmarks.loop_overhead [--rounds=5] [--width=16] [--out=DIR]

The real loop (`training/loop.py`) trains the demo's teacher and its distilled student on clips of
noise that lie ready in memory: the copy to the devices, the guard, the metrics and their files,
TensorBoard, the progress, a line of the log at the demo's interval. Its peer repeats the same
compiled step on batches that lie on the devices, and waits for it as often. Both run by turns, in
stretches of the steps between two lines of the log; what the loop takes longer is its overhead, what
it takes of the processor cores that compute included. Evaluations and checkpoints are not part of
the steady state.
"""

import argparse
import itertools
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
from rgb2ir_jax.training.environment import compute_dtype
from rgb2ir_jax.training.loop import fit
from rgb2ir_jax.training.optimizer import make_optimizer, make_schedule
from rgb2ir_jax.training.phase import make_recipe
from rgb2ir_jax.training.plan import Plan
from rgb2ir_jax.training.sharding import make_mesh, put_batch, replicated
from rgb2ir_jax.training.signals import StopRequest
from rgb2ir_jax.training.state import Split, create_state
from rgb2ir_jax.training.step import Member, make_train_step

CLASSES, TARGET = 10, 0.02
_STRETCHES = 3
_BATCHES = 8


class Overhead(NamedTuple):
    """Seconds a step, of each stretch between two lines of the log.

    Attributes:
        bare: the jitted step repeated.
        loop: the real loop.
    """

    bare: list[float]
    loop: list[float]

    @property
    def share(self) -> float:
        """What the loop takes longer, as a part of the step; medians."""
        return statistics.median(self.loop) / statistics.median(self.bare) - 1


class _Clock:
    """Notes when the loop gives a step to the devices."""

    def __init__(self, train_step: Any):
        self._train_step = train_step
        self.calls: list[float] = []

    def step(self, *arguments: Any) -> Any:
        """Does a step."""
        self.calls.append(time.perf_counter())
        return self._train_step(*arguments)


class _Endless:
    """A few batches, again and again."""

    def __init__(self, batches: list[dict[str, np.ndarray]]):
        self._batches, self._read = batches, 0

    def __next__(self) -> dict[str, np.ndarray]:
        """The next batch."""
        self._read += 1
        return self._batches[self._read % len(self._batches)]

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


def measure(name: str, width: int, rounds: int, folder: Path) -> Overhead:
    """Trains the demo's "teacher" or "student" by turns with and without the loop.

    Args:
        name: of the phase; the student learns from an untrained teacher.
        width: of both networks; the demo's is 16.
        rounds: of `_STRETCHES` stretches of each kind.
        folder: for the runs' files.
    """
    config = demo.get_config()
    with config.unlocked():
        config.teacher.width = config.student.width = width
    mesh, dtype, every = make_mesh(), compute_dtype("auto"), config.log_every_steps
    specs = {who: NetworkSpec.from_config(config[who], CLASSES) for who in ("teacher", "student")}
    # The stretch before the first line holds the start.
    spec, size, total = specs[name], config[name].batch_size, (1 + _STRETCHES) * every + 1
    split = []
    if name == "student":
        split = [Split.create(lambda: specs["teacher"].build(1, dtype), replicated(mesh))]
    widths = [Widths(spec.stage_channels, specs["teacher"].stage_channels) for _ in split]
    schedule = make_schedule(config, total, 1)
    optimizer = make_optimizer(config, schedule, config[name].batch_norm)
    graph, objective_graph, first = create_state(
        lambda: spec.build(0, dtype),
        lambda: Objective(config.distill if split else None, widths, 0),
        optimizer,
        replicated(mesh),
    )
    train_step = make_train_step(
        Member(spec, graph),
        objective_graph,
        [Member(specs["teacher"], teacher.graph) for teacher in split],
        optimizer,
        schedule,
        total_steps=total,
        seed=0,
        mesh=mesh,
        dtype=dtype,
        recipe=make_recipe(config, name),
    )
    teachers = tuple(teacher.variables for teacher in split)
    batches = _batches(config, size)
    found = Overhead([], [])
    for number in range(rounds + 1):
        state = jax.tree.map(lambda leaf: leaf.copy(), first)
        bare = _bare_stretches(train_step, state, teachers, batches, mesh, every)
        clock, run = _Clock(train_step), folder / str(number)
        run.mkdir(parents=True)
        fit(
            name,
            jax.tree.map(lambda leaf: leaf.copy(), first),
            teachers,
            clock.step,
            _Endless(batches),
            lambda *_: {"test/top1": 0.0, "test/loss": 0.0},
            plan=Plan(
                steps_per_epoch=total,
                total_steps=total,
                batch_size=size,
                evaluate_every=total,
                log_every=every,
                save_every=(total,),
            ),
            folder=run,
            stopping=EarlyStopping("test/top1"),
            stop=StopRequest(),
            hparams={},
            mesh=mesh,
        )
        if number:  # The first round compiles.
            found.bare.extend(bare)
            found.loop.extend(loop_stretches(clock.calls, every))
    return found


def _bare_stretches(
    train_step: Any, state: Any, teachers: Any, batches: Any, mesh: Any, every: int
) -> list[float]:
    """Seconds a step of the step alone, of each stretch."""
    on_devices = [
        put_batch({name: batch[name] for name in ("rgb", "ir", "label")}, mesh) for batch in batches
    ]
    seconds = []
    for _ in range(1 + _STRETCHES):
        start = time.perf_counter()
        for number in range(every):
            state, terms = train_step(state, teachers, on_devices[number % len(on_devices)])
        jax.block_until_ready((state, terms))
        seconds.append((time.perf_counter() - start) / every)
    return seconds[1:]


def loop_stretches(calls: list[float], every: int) -> list[float]:
    """Seconds a step, of each stretch between two lines of the log but the first.

    Args:
        calls: when each step was given to the devices. The first after a line finds them idle: the
            line's numbers were waited for.
        every: steps of a stretch.
    """
    starts = calls[every::every]
    return [(after - start) / every for start, after in itertools.pairwise(starts)]


def _report(found: dict[str, Overhead], arguments: Any, dtype: DTypeLike, machine: Any) -> str:
    config = demo.get_config()
    rows = [
        [
            name,
            *(f"{statistics.median(seconds) * 1e3:.2f}" for seconds in cost),
            *(f"{min(seconds) * 1e3:.2f}" for seconds in cost),
            f"{cost.share:+.2%}",
            "yes" if cost.share < TARGET else "no",
        ]
        for name, cost in found.items()
    ]
    head = [
        "phase",
        "step alone, ms",
        "in the loop, ms",
        "least alone",
        "least in the loop",
        "overhead",
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
                f"every {config.log_every_steps} steps; medians of {arguments.rounds * _STRETCHES} such "
                f"stretches of each, by turns, on {jax.devices()[0].device_kind}. {machine_line(machine)}."
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
    parser.add_argument("--rounds", type=int, default=5, help="of three stretches of each kind")
    parser.add_argument("--width", type=int, default=16, help="base width of both networks")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    machine = describe_machine("jax", "flax", "clu")
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: measure(name, arguments.width, arguments.rounds, Path(folder, name))
            for name in ("teacher", "student")
        }
    result = {
        "machine": machine,
        "device": jax.devices()[0].device_kind,
        "width": arguments.width,
        "rounds": arguments.rounds,
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
