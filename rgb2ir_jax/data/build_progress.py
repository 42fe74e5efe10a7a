"""How far a long preparation is: a bar with the time left, or a line now and then."""

import logging
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_log = logging.getLogger(__name__)


class BuildProgress:
    """Shows clips done and time left; used as a context.

    Args:
        what: Words before the bar.
        total: Number of clips.
    """

    # Without a terminal (a log file, a cluster) a line now and then tells that the work goes on.
    SECONDS_BETWEEN_LINES = 30.0

    def __init__(self, what: str, total: int):
        self._what, self._total, self._done = what, total, 0
        console = Console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("clips, left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(what, total=total)
        self._start = self._last_line = time.monotonic()

    def __enter__(self) -> "BuildProgress":
        """Starts the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the bar."""
        self._bar.stop()
        seconds = time.monotonic() - self._start
        if self._done == self._total and seconds > self.SECONDS_BETWEEN_LINES:
            _log.info("%s: %d clips in %.0f s", self._what, self._total, seconds)

    def advance(self) -> None:
        """Notes that one more clip is done."""
        self._done += 1
        self._bar.update(self._task, completed=self._done)
        now = time.monotonic()
        if self._bar.disable and now - self._last_line > self.SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (now - self._start) / self._done * (self._total - self._done)
            _log.info(
                "%s: %d of %d clips, %.1f min left", self._what, self._done, self._total, left / 60
            )
