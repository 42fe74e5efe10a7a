"""What a person sees while a phase trains: a bar with an ETA, or plain lines without a terminal."""

import logging
import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType

import absl.logging
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from rgb2ir_jax.training.distributed import is_main
from rgb2ir_jax.training.observing.forecast import Forecast, Left
from rgb2ir_jax.training.plan import Plan


def show_log() -> None:
    """Prints the package's own log to the terminal, and only warnings of the libraries beneath it.

    Of several processes, process 0 prints it, and the others their warnings.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    package = logging.getLogger("rgb2ir_jax")
    package.setLevel(logging.INFO if is_main() else logging.WARNING)
    package.handlers = [handler]
    package.propagate = False
    absl.logging.set_verbosity(absl.logging.WARNING)


class ProgressReporter:
    """Shows steps, loss, clips/s and time left; prints a line for each test.

    Args:
        name: of the phase.
        done: steps that were done before, by an earlier run.
        plan: of the phase.
        forecast: of its end.
    """

    # Without a terminal (a log file, CI) a line now and then tells that the run lives.
    SECONDS_BETWEEN_LINES = 30.0

    def __init__(self, name: str, done: int, plan: Plan, forecast: Forecast):
        self._name, self._done, self._plan, self._forecast = name, done, plan, forecast
        self._total = plan.total_steps
        self._console = Console(quiet=not is_main())
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps {task.fields[status]}"),
            _TimeLeft(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(
            name, total=self._total, completed=done, status="", left=None, since=0.0
        )
        self._last_line = time.monotonic()

    def __enter__(self) -> "ProgressReporter":
        if self._done:
            self._console.print(f"{self._name}: going on from step {self._done} of {self._total}")
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def advance(self, step: int) -> None:
        """Notes that `step` steps are done."""
        self._bar.update(self._task, completed=step)

    def show(self, step: int, scalars: Mapping[str, float]) -> None:
        """Shows the newest line of metrics, the devices being done with all steps so far."""
        self._forecast.logged(step)
        accuracy = scalars.get("train/accuracy")
        status = (
            f"loss {scalars.get('train/loss', math.nan):.3f}, "
            f"{'' if accuracy is None else f'accuracy {accuracy:.0%}, '}"
            f"{scalars['clips_per_second']:.1f} clips/s,"
        )
        self._bar.update(self._task, status=status)
        self._show_left(step)
        now = time.monotonic()
        if self._bar.disable and now - self._last_line > self.SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = describe_left(self._forecast.left(step))
            self._console.print(
                f"{self._name}: step {step}/{self._total}, {status} {left}", highlight=False
            )

    def _show_left(self, step: int) -> None:
        self._bar.update(self._task, left=self._forecast.left(step), since=time.monotonic())

    def tested(self, step: int, scalars: Mapping[str, float]) -> None:
        """Prints the outcome of a test."""
        self._forecast.tested(step)
        self._show_left(step)
        top1 = scalars.get("test/top1")
        told = "test loss" if top1 is None else f"test top-1 {top1:.1%}, loss"
        self._console.print(
            f"{self._name}: epoch {step / self._plan.steps_per_epoch:.4g}, "
            f"{told} {scalars['test/loss']:.3f}",
            highlight=False,
        )


class _TimeLeft(ProgressColumn):
    """Counts down from the newest forecast."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        left: Left | None = task.fields["left"]
        if left is not None:
            passed = time.monotonic() - task.fields["since"]
            left = left._replace(seconds=max(0.0, left.seconds - passed))
        return Text(describe_left(left), style="progress.remaining")


def describe_left(left: Left | None) -> str:
    """Such as "2 h 05 min left", or "over 40 s left" where no evaluation was timed yet."""
    if left is None:
        return "time left not known yet"
    seconds = round(left.seconds)
    if seconds < 100:
        told = f"{seconds} s"
    elif (minutes := round(seconds / 60)) < 100:
        told = f"{minutes} min"
    else:
        told = f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{'over ' * left.at_least}{told} left"
