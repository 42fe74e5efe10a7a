"""One phase of training: batches in, a trained network and its curves out."""

import collections
import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh

from rgb2ir_jax.distillation.base import Terms
from rgb2ir_jax.training.checkpoints import Checkpoints
from rgb2ir_jax.training.progress import ProgressReporter
from rgb2ir_jax.training.sharding import put_batch
from rgb2ir_jax.training.state import TrainState, Variables
from rgb2ir_jax.training.step import TrainStep
from rgb2ir_jax.training.writers import MetricsWriter


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
        total_steps: when the phase ends.
        batch_size: clips, for the clips/s of the log.
        evaluate_every: steps between two tests.
        checkpoint_every: steps between two checkpoints.
        log_every: steps between two lines of metrics.
    """

    steps_per_epoch: int
    total_steps: int
    batch_size: int
    evaluate_every: int
    checkpoint_every: int
    log_every: int


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
    keep_checkpoints: int,
    hparams: Mapping[str, Any],
    mesh: Mesh,
) -> tuple[TrainState, dict[str, Any]]:
    """Trains until `plan.total_steps`, going on from the newest checkpoint in `folder` if there is one.

    Returns:
        The final state and its record: {"seconds": time spent training over all runs of the phase}.
    """
    checkpoints = Checkpoints(folder, keep=keep_checkpoints)
    try:
        seconds = 0.0
        unlogged: list[dict[str, float]] = []
        if checkpoints.latest() is not None:
            state, position, record = checkpoints.restore(state)
            batches.set_state(position)
            seconds = record["seconds"]
            unlogged = record["unlogged"]
        done = int(state.step)
        started = time.monotonic()
        with (
            MetricsWriter(folder, resume_step=done) as writer,
            ProgressReporter(name, done, plan.total_steps) as progress,
        ):
            if not done:
                writer.hparams(hparams)
            window = _Window(plan.batch_size, unlogged)
            for step, batch, position in _two_ahead(
                batches, mesh, range(done + 1, plan.total_steps + 1)
            ):
                state, terms = train_step(state, teachers, batch)
                window.add(terms)
                progress.advance(step)
                last = step == plan.total_steps
                if step % plan.log_every == 0 or last:
                    scalars = window.close()
                    _check_finite(name, step, scalars, folder)
                    writer.scalars(step, {"epoch": step / plan.steps_per_epoch, **scalars})
                    progress.show(scalars)
                if step % plan.evaluate_every == 0 or last:
                    with window.clock_stopped():
                        tested = evaluate(step, state.network, writer)
                        writer.scalars(step, tested)
                        progress.tested(step / plan.steps_per_epoch, tested)
                if step % plan.checkpoint_every == 0 or last:
                    unlogged = window.unlogged()
                    for terms_since in unlogged:
                        _check_finite(name, step, terms_since, folder)
                    elapsed = seconds + time.monotonic() - started
                    checkpoints.save(state, position, {"seconds": elapsed, "unlogged": unlogged})
        seconds += time.monotonic() - started
    finally:
        checkpoints.close()
    return state, {"seconds": seconds}


class DivergedError(RuntimeError):
    """The loss or gradient is no number any more; the message says where and what to do."""


def _check_finite(name: str, step: int, scalars: Mapping[str, float], folder: Path) -> None:
    """Stops before a broken state is logged as a number or saved over a good one."""
    broken = [term for term, value in scalars.items() if not math.isfinite(value)]
    if broken:
        raise DivergedError(
            f"{name}: {', '.join(broken)} not finite by step {step}: the training has diverged. The last "
            f"good checkpoint in {folder} is kept. Lower config.optimizer.learning_rate or a method's "
            "weight, in a new --workdir"
        )


def _two_ahead(
    batches: BatchIterator, mesh: Mesh, steps: range
) -> Iterator[tuple[int, dict[str, jax.Array], Any]]:
    """Yields (step, batch on the devices, position after it) while two further batches are on their way.

    The position is taken when the batch is read: the iterator itself is already ahead of the step.
    """
    queue: collections.deque[tuple[int, dict[str, jax.Array], Any]] = collections.deque()
    for step in steps:
        batch = next(batches)
        queue.append((step, put_batch(batch, mesh), batches.get_state()))
        if len(queue) > 2:
            yield queue.popleft()
    yield from queue


class _Window:
    """The scalars since the last line of the log, left on the device until then: no sync at each step.

    Args:
        batch_size: clips of a step.
        unlogged: the scalars of steps that an earlier run did after its last line of the log.
    """

    def __init__(self, batch_size: int, unlogged: list[dict[str, float]]):
        self._batch_size = batch_size
        self._terms: list[Mapping[str, Any]] = list(unlogged)
        self._steps = 0
        self._start = time.monotonic()

    def add(self, terms: Terms) -> None:
        self._terms.append(terms)
        self._steps += 1

    @contextlib.contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """Keeps what happens inside out of `clips_per_second`, but not the steps still computing."""
        jax.block_until_ready(self._terms)
        stopped = time.monotonic()
        yield
        self._start += time.monotonic() - stopped

    def unlogged(self) -> list[dict[str, float]]:
        """The scalars of each step since the last line."""
        steps = [
            {name: float(value) for name, value in terms.items()}
            for terms in jax.device_get(self._terms)
        ]
        self._terms = list(steps)
        return steps

    def close(self) -> dict[str, float]:
        """Means over the window as `train/NAME`, and `clips_per_second` in it."""
        steps = self.unlogged()
        means = {
            f"train/{name}": float(np.mean([terms[name] for terms in steps])) for name in steps[0]
        }
        rate = self._steps * self._batch_size / max(time.monotonic() - self._start, 1e-9)
        self._terms, self._steps, self._start = [], 0, time.monotonic()
        return {**means, "clips_per_second": rate}
