"""What a person sees while a phase trains: a bar with an ETA, or plain lines without a terminal."""

import logging
import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType

import absl.logging
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def show_log() -> None:
    """Prints the package's own log to the terminal, and only warnings of the libraries beneath it."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    package = logging.getLogger("rgb2ir_jax")
    package.setLevel(logging.INFO)
    package.handlers = [handler]
    package.propagate = False
    absl.logging.set_verbosity(absl.logging.WARNING)


class ProgressReporter:
    """Shows steps, loss, clips/s and time left; prints a line for each test.

    Args:
        name: of the phase.
        done: steps that were done before, by an earlier run.
        total: steps of the phase.
    """

    # Without a terminal (a log file, CI) a line now and then tells that the run lives.
    SECONDS_BETWEEN_LINES = 30.0

    def __init__(self, name: str, done: int, total: int):
        self._name, self._done, self._total = name, done, total
        self._console = Console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps {task.fields[status]} ETA"),
            # Compilation and tests make step times uneven: average over minutes, not over the last
            # second.
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            speed_estimate_period=120.0,
        )
        self._task = self._bar.add_task(name, total=total, completed=done, status="")
        self._last_line = self._start = time.monotonic()

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
        self._step = step

    def show(self, scalars: Mapping[str, float]) -> None:
        """Shows the newest line of metrics."""
        status = (
            f"loss {scalars.get('train/loss', math.nan):.3f}, "
            f"accuracy {scalars.get('train/accuracy', math.nan):.0%}, "
            f"{scalars['clips_per_second']:.1f} clips/s,"
        )
        self._bar.update(self._task, status=status)
        now = time.monotonic()
        if self._bar.disable and now - self._last_line > self.SECONDS_BETWEEN_LINES:
            self._last_line = now
            rate = (now - self._start) / max(self._step - self._done, 1)
            left = rate * (self._total - self._step)
            self._console.print(
                f"{self._name}: step {self._step}/{self._total}, {status} {left / 60:.1f} min left"
            )

    def tested(self, epoch: float, scalars: Mapping[str, float]) -> None:
        """Prints the outcome of a test."""
        self._console.print(
            f"{self._name}: epoch {epoch:.4g}, test top-1 {scalars['test/top1']:.1%}, "
            f"loss {scalars['test/loss']:.3f}",
            highlight=False,
        )
