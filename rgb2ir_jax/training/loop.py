"""One phase of training: batches in, a trained network and its curves out."""

import collections
import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh

from rgb2ir_jax.training.checkpoints import Checkpoints, Retention
from rgb2ir_jax.training.early_stopping import EarlyStopping
from rgb2ir_jax.training.guards import DivergedError, Guard
from rgb2ir_jax.training.progress import ProgressReporter
from rgb2ir_jax.training.sharding import put_batch
from rgb2ir_jax.training.signals import Interrupted, StopRequest
from rgb2ir_jax.training.state import TrainState, Variables
from rgb2ir_jax.training.step import TrainStep
from rgb2ir_jax.training.window import Window
from rgb2ir_jax.training.writers import MetricsWriter

__all__ = ["BatchIterator", "DivergedError", "Evaluate", "Outcome", "Plan", "fit"]


@runtime_checkable
class BatchIterator(Protocol):
    """The input pipeline's iterator: endless, and able to say where it is."""

    def __next__(self) -> dict[str, np.ndarray]:
        """The next batch of host arrays."""
        ...

    def get_state(self) -> Any:
        """The position after the last batch, as JSON."""
        ...

    def set_state(self, state: Any) -> None:
        """Goes to a position."""
        ...


@runtime_checkable
class Evaluate(Protocol):
    """Tests the network in its present state, shows it, and returns the scalars for the log."""

    def __call__(self, step: int, network: Variables, writer: MetricsWriter) -> dict[str, float]:
        """Returns scalars such as `test/top1`."""
        ...


class Plan(NamedTuple):
    """How long a phase lasts and how often it does what.

    Attributes:
        steps_per_epoch: batches in an epoch.
        total_steps: when the phase ends at the latest.
        batch_size: clips, for the clips/s of the log.
        evaluate_every: steps between two tests.
        log_every: steps between two lines of metrics.
        save_every: steps; a checkpoint is saved at the multiples of each of them.
        save_every_seconds: and when the last one is so old; 0: never for that reason.
        retention: which checkpoints stay.
        max_skipped: updates that may be left out because of a loss or gradient that is no number.
    """

    steps_per_epoch: int
    total_steps: int
    batch_size: int
    evaluate_every: int
    log_every: int
    save_every: tuple[int, ...]
    save_every_seconds: float = 0.0
    retention: Retention = Retention(latest=2)
    max_skipped: int = 0


class Outcome(NamedTuple):
    """What came of a phase.

    Attributes:
        state: the last one.
        step: its number.
        seconds: spent training, over all runs of the phase.
        best: metric, step and value of the best evaluation.
    """

    state: TrainState
    step: int
    seconds: float
    best: dict[str, Any]


def fit(
    name: str,
    state: TrainState,
    teachers: tuple[Variables, ...],
    train_step: TrainStep,
    batches: BatchIterator,
    evaluate: Evaluate,
    *,
    plan: Plan,
    folder: Path,
    stopping: EarlyStopping,
    stop: StopRequest,
    hparams: Mapping[str, Any],
    mesh: Mesh,
) -> Outcome:
    """Trains until `plan.total_steps`, or until `stopping` has seen enough.

    Goes on from the newest whole checkpoint in `folder`, if there is one, and then does and writes
    what a run that was never stopped would have.

    Raises:
        Interrupted: `stop` was requested; the phase is saved.
        DivergedError: the loss or gradient is no number any more.
    """
    with contextlib.closing(Checkpoints(folder, plan.retention)) as checkpoints:
        seconds, unlogged, finished = 0.0, [], False
        guard = Guard(name, folder, checkpoints.latest, max_skipped=plan.max_skipped)
        if (restored := checkpoints.restore(state)) is not None:
            state, record = restored
            batches.set_state(record["data"])
            stopping.restore(record["stopping"])
            seconds, unlogged, finished = record["seconds"], record["unlogged"], record["finished"]
            guard.skipped = record["skipped"]
        step = done = int(state.step)
        started = saved = time.monotonic()
        remaining = range(done + 1, done + 1 if finished else plan.total_steps + 1)
        with (
            MetricsWriter(folder, resume_step=done) as writer,
            ProgressReporter(name, done, plan.total_steps) as progress,
        ):
            if not done:
                writer.hparams(hparams)
            window = Window(plan.batch_size, unlogged)
            for step, batch, clips, position in _two_ahead(batches, mesh, remaining):
                state, terms = train_step(state, teachers, batch)
                window.add(terms)
                guard.watch(step, terms, clips)
                progress.advance(step)
                epoch, rank = step / plan.steps_per_epoch, None
                finished = step == plan.total_steps
                if step % plan.log_every == 0 or finished:
                    guard.wait()
                    _log(step, epoch, window, writer, progress)
                if step % plan.evaluate_every == 0 or finished:
                    guard.wait()
                    with window.clock_stopped():
                        tested = evaluate(step, state.deployed(), writer)
                    writer.scalars(step, tested)
                    progress.tested(epoch, tested)
                    rank = stopping.rank(tested[stopping.metric])
                    finished = stopping.update(step, tested) or finished
                    if finished and len(window):
                        _log(step, epoch, window, writer, progress)
                stopped = stop.requested
                if finished or stopped or _save_is_due(plan, step, saved, rank):
                    guard.wait()
                    content = {
                        "format": 2,
                        "data": position,
                        "stopping": stopping.state(),
                        "seconds": seconds + time.monotonic() - started,
                        "unlogged": window.unlogged(),
                        "skipped": guard.skipped,
                        "finished": finished,
                    }
                    # A checkpoint must not outlive the lines that it stands for.
                    writer.flush()
                    checkpoints.save(state, content, rank, step)
                    saved = time.monotonic()
                if finished:
                    break
                if stopped:
                    raise Interrupted(
                        f"{stop.signal_name}: {name} stopped after step {step} of {plan.total_steps}, saved in "
                        f"{folder}"
                    )
    seconds += time.monotonic() - started
    return Outcome(state, step, seconds, stopping.best or {})


def _log(
    step: int, epoch: float, window: Window, writer: MetricsWriter, progress: ProgressReporter
) -> None:
    means, rate = window.close()
    writer.scalars(step, {"epoch": epoch, **means})
    writer.timing(step, {"clips_per_second": rate})
    progress.show({**means, "clips_per_second": rate})


def _save_is_due(plan: Plan, step: int, saved: float, rank: float | None) -> bool:
    """By steps, by time, or because an evaluation may turn out to be the best."""
    if rank is not None and plan.retention.best:
        return True
    if any(step % every == 0 for every in plan.save_every):
        return True
    return 0 < plan.save_every_seconds <= time.monotonic() - saved


class _Ahead(NamedTuple):
    """A step's number, its batch on the devices, this process's clips in it, the position after it."""

    step: int
    batch: dict[str, jax.Array]
    clips: np.ndarray | None
    position: Any


def _two_ahead(batches: BatchIterator, mesh: Mesh, steps: range) -> Iterator[_Ahead]:
    """Yields the batches of `steps` while two further ones are on their way.

    The position is taken when the batch is read: the iterator itself is already ahead of the step.
    """
    queue: collections.deque[_Ahead] = collections.deque()
    for step in steps:
        batch = next(batches)
        on_devices = put_batch(batch, mesh)
        queue.append(_Ahead(step, on_devices, batch.get("index"), batches.get_state()))
        if len(queue) > 2:
            yield queue.popleft()
    yield from queue
