"""How loader processes live and end: with the process that trains, and not by its signals."""

import atexit
import multiprocessing.util  # Before our own exit function is registered, which then runs first.
import os
import signal
import threading
import weakref
from types import FrameType
from typing import Any

# Between SIGTERM and SIGKILL, clusters leave less.
_SECONDS_TO_SAVE = 120.0

_running: weakref.WeakSet[Any] = weakref.WeakSet()


def live_with_parent(_index: int, _count: int) -> None:
    """Set up in each worker: it ends when its parent does, even when that was killed.

    SIGINT and SIGTERM are left to the parent. A terminal and a cluster send them to all processes of
    a run, and the parent still needs its batches until it has saved. After SIGTERM it has some minutes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_later)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_later(_number: int, _: FrameType | None) -> None:
    timer = threading.Timer(_SECONDS_TO_SAVE, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def close_at_exit(iterator: Any) -> None:
    """Closes a pipeline that nobody has closed before the process ends.

    Python would end its workers by SIGTERM, which they ignore, and wait for them.
    """
    _running.add(iterator)


@atexit.register
def _close_running() -> None:
    for iterator in list(_running):
        iterator.close()
