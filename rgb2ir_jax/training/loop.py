"""One phase of training: batches in, a trained network and its curves out."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jax.sharding import Mesh

from rgb2ir_jax.training.batches_ahead import BatchIterator, two_ahead
from rgb2ir_jax.training.checkpoints import Checkpoints
from rgb2ir_jax.training.distributed import Council
from rgb2ir_jax.training.early_stopping import EarlyStopping
from rgb2ir_jax.training.garbage import SettledHeap
from rgb2ir_jax.training.guards import DivergedError, Guard
from rgb2ir_jax.training.observing.forecast import Forecast
from rgb2ir_jax.training.observing.profiling import StepTrace
from rgb2ir_jax.training.observing.progress import ProgressReporter
from rgb2ir_jax.training.observing.stopwatch import Stopwatch, describe_shares
from rgb2ir_jax.training.observing.window import Window
from rgb2ir_jax.training.observing.writers import MetricsWriter
from rgb2ir_jax.training.plan import Plan
from rgb2ir_jax.training.signals import Interrupted, StopRequest
from rgb2ir_jax.training.state import TrainState, Variables
from rgb2ir_jax.training.step import TrainStep

__all__ = ["BatchIterator", "DivergedError", "Evaluate", "Outcome", "Plan", "fit"]

_log = logging.getLogger(__name__)


@runtime_checkable
class Evaluate(Protocol):
    """Tests the network in its present state, shows it, and returns the scalars for the log."""

    def __call__(self, step: int, network: Variables, writer: MetricsWriter) -> dict[str, float]:
        """Returns scalars such as `test/top1`."""
        ...


class Outcome(NamedTuple):
    """What came of a phase.

    Attributes:
        state: the last one.
        step: its number.
        seconds: spent training, over all runs of the phase.
        time: the same, divided among the activities of a `Stopwatch`.
        best: metric, step and value of the best evaluation.
    """

    state: TrainState
    step: int
    seconds: float
    time: dict[str, float]
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
    pictures: Mapping[str, np.ndarray] | None = None,
    profile: bool = False,
) -> Outcome:
    """Trains until `plan.total_steps`, or until `stopping` has seen enough.

    Goes on from the newest whole checkpoint in `folder`, if there is one, and then does and writes
    what a run that was never stopped would have. `pictures` are shown in TensorBoard when the phase
    begins; `profile` writes a trace of a few steps.

    Raises:
        Interrupted: `stop` was requested; the phase is saved.
        DivergedError: the loss or gradient is no number any more.
    """
    with (
        Stopwatch() as stopwatch,
        stopwatch.closing(Checkpoints(folder, plan.retention)) as checkpoints,
    ):
        unlogged, finished = [], False
        guard = Guard(name, folder, checkpoints.latest, max_skipped=plan.max_skipped)
        if (restored := checkpoints.restore(state)) is not None:
            state, record = restored
            batches.set_state(record["data"])
            stopping.restore(record["stopping"])
            stopwatch.restore(record.get("time") or {"step": record["seconds"]})
            unlogged, finished = record["unlogged"], record["finished"]
            guard.skipped = record["skipped"]
        step = done = int(state.step)
        saved = time.monotonic()
        remaining = range(done + 1, done + 1 if finished else plan.total_steps + 1)
        with (
            MetricsWriter(folder, resume_step=done) as writer,
            ProgressReporter(name, done, plan, Forecast(plan, stopwatch, done)) as progress,
            SettledHeap() as heap,
            StepTrace(name, folder, wanted=profile, steps=len(remaining)) as trace,
        ):
            if not done:
                writer.hparams(hparams)
                for title, picture in (pictures or {}).items():
                    writer.image(0, title, picture)
            window, council = Window(plan.batch_size, unlogged), Council(mesh)
            for step, batch, clips, position in two_ahead(batches, mesh, remaining, stopwatch):
                state, terms = trace.run(step, train_step, state, teachers, batch)
                # The first step is compiled by now: what that left behind goes first.
                heap.settle()
                stopwatch.dispatched(terms["loss"])
                window.add(terms)
                guard.watch(step, terms, clips)
                progress.advance(step)
                epoch, rank = step / plan.steps_per_epoch, None
                finished = step == plan.total_steps
                if step % plan.log_every == 0 or finished:
                    guard.wait()
                    _write_line(step, epoch, window, stopwatch, writer, progress)
                if step % plan.evaluate_every == 0 or finished:
                    guard.wait()
                    with window.clock_stopped(), stopwatch.measure("evaluation"):
                        writer.open()  # A first evaluation imports what TensorBoard's thread may.
                        tested = evaluate(step, state.deployed(), writer)
                        writer.scalars(step, tested)
                    progress.tested(step, tested)
                    rank = stopping.rank(tested[stopping.metric])
                    finished = stopping.update(step, tested) or finished
                    if finished and len(window):
                        _write_line(step, epoch, window, stopwatch, writer, progress)
                decision = council.decide(step, stop.signal_name, _is_old(plan, saved))
                stopped = decision.signal_name
                if finished or stopped or decision.save or _save_is_due(plan, step, rank):
                    guard.wait()
                    content = {
                        "format": 2,
                        "data": position,
                        "stopping": stopping.state(),
                        "seconds": sum((spent := stopwatch.seconds()).values()),
                        "time": spent,
                        "unlogged": window.unlogged(),
                        "skipped": guard.skipped,
                        "finished": finished,
                    }
                    with stopwatch.measure("checkpoint"):
                        # A checkpoint must not outlive the lines that it stands for.
                        writer.flush()
                        checkpoints.save(state, content, rank, step)
                    saved = time.monotonic()
                    council.saved(step)
                if finished:
                    break
                if stopped:
                    raise Interrupted(
                        f"{stopped}: {name} stopped after step {step} of {plan.total_steps}, saved in "
                        f"{folder}"
                    )
    spent = stopwatch.seconds()
    _log.info("%s: %s", name, describe_shares(spent))
    return Outcome(state, step, sum(spent.values()), spent, stopping.best or {})


def _write_line(
    step: int,
    epoch: float,
    window: Window,
    stopwatch: Stopwatch,
    writer: MetricsWriter,
    progress: ProgressReporter,
) -> None:
    means, rate = window.close()
    writer.scalars(step, {"epoch": epoch, **means})
    writer.timing(step, {"clips_per_second": rate, **stopwatch.line()})
    progress.show(step, {**means, "clips_per_second": rate})


def _save_is_due(plan: Plan, step: int, rank: float | None) -> bool:
    """By steps, or because an evaluation may turn out to be the best."""
    if rank is not None and plan.retention.best:
        return True
    return any(step % every == 0 for every in plan.save_every)


def _is_old(plan: Plan, saved: float) -> bool:
    """Whether a checkpoint is due by time."""
    return 0 < plan.save_every_seconds <= time.monotonic() - saved
