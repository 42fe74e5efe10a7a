"""How long a phase will still take."""

import collections
from typing import NamedTuple

from rgb2ir_jax.training.observing.stopwatch import Stopwatch
from rgb2ir_jax.training.plan import Plan

_LINES = 20


class Left(NamedTuple):
    """Seconds until the end of a phase, and whether they are all: no evaluation was timed yet."""

    seconds: float
    at_least: bool


class Forecast:
    """Adds up what is left of a phase: steps, evaluations and checkpoints, each at its own speed.

    Steps go on as over the last 20 lines of the log, waiting for data included, compiling not. Each
    evaluation that is still to come takes what the last one took (in a run that was gone on with,
    until its first one: what they took before on average). Checkpoints take the share of a step
    that they have taken so far. Early stopping can only end a phase sooner.

    Args:
        plan: of the phase.
        stopwatch: of the phase, with what earlier runs took.
        done: steps that earlier runs did.
    """

    def __init__(self, plan: Plan, stopwatch: Stopwatch, done: int):
        self._plan, self._stopwatch = plan, stopwatch
        self._lines: collections.deque[tuple[int, float]] = collections.deque(maxlen=_LINES)
        self._step, self._seconds = done, self._in_steps(stopwatch.seconds())
        self._evaluations = plan.evaluations(done)

    @staticmethod
    def _in_steps(seconds: dict[str, float]) -> float:
        return seconds["step"] + seconds["data"]

    def logged(self, step: int) -> None:
        """Takes the steps since the line before; the devices have ended them all."""
        spent = self._in_steps(self._stopwatch.seconds())
        if step > self._step:
            self._lines.append((step - self._step, spent - self._seconds))
        self._step, self._seconds = step, spent

    def tested(self, step: int) -> None:
        """Notes that the evaluation of `step` is done."""
        self._evaluations = self._plan.evaluations(step)

    def left(self, step: int) -> Left | None:
        """What is left after `step`; None before the first line of the log."""
        if not self._lines:
            return None
        steps, seconds = (sum(column) for column in zip(*self._lines, strict=True))
        spent, plan = self._stopwatch.seconds(), self._plan
        a_step = seconds / steps + spent["checkpoint"] / max(step, 1)
        evaluations = plan.evaluations(plan.total_steps) - self._evaluations
        an_evaluation = self._stopwatch.last_evaluation
        if an_evaluation is None and self._evaluations:
            an_evaluation = spent["evaluation"] / self._evaluations
        return Left(
            (plan.total_steps - step) * a_step + evaluations * (an_evaluation or 0.0),
            at_least=evaluations > 0 and an_evaluation is None,
        )
