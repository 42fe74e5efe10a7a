"""SIGTERM and SIGINT ask a run to save and end; clusters send the first, Ctrl-C the second."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

EXIT_CODE = 75
"""Of a command that saved and ended before its work was done: EX_TEMPFAIL of sysexits.h."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PROMISE = "ending after the next step and its checkpoint; once more ends at once"


class Interrupted(KeyboardInterrupt):
    """The run was asked to end, has saved, and goes on when it is started again."""


class StopRequest:
    """Whether the run was asked to end.

    Attributes:
        signal_name: such as "SIGTERM"; None while nobody has asked.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None

    @property
    def requested(self) -> bool:
        """Whether somebody has asked."""
        return self.signal_name is not None


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Inside, a first signal is noted in the request, and a second one raises KeyboardInterrupt.

    In a thread that is not the main one, where Python allows no handlers, signals stay as they are.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        if request.requested:
            restore()
            raise KeyboardInterrupt(name)
        request.signal_name = name
        # Python's own streams and log are not safe to enter again from a handler.
        with contextlib.suppress(OSError):
            os.write(2, f"\n{name}: {_PROMISE}\n".encode())

    for number in _SIGNALS:
        before[number] = signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
