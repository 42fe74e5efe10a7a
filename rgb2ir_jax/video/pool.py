"""An ordered map over worker processes that never holds more than a few results."""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import os
import sys
import threading
import types
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def worker_count(variable: str) -> int:
    """Returns an environment variable's number of processes, else one a usable CPU core.

    Args:
        variable: Name of the environment variable.

    Raises:
        ValueError: the variable holds something else than a number.
    """
    text = os.environ.get(variable, "")
    if not text:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if not text.isdigit():
        raise ValueError(f"{variable} is {text!r}; expected a number of processes, 0 or more")
    return int(text)


@contextlib.contextmanager
def hidden_main_module() -> Iterator[None]:
    """Keeps processes that are spawned meanwhile from importing this process's main module.

    Spawning normally does: under the `tfds` command that is TensorFlow and Beam, in training JAX
    (seconds and hundreds of megabytes a worker), and an unguarded script would run itself again.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _die_with_parent() -> None:
    """Ends this worker when the process that started it is gone.

    A worker waits for tasks on a pipe that it holds open itself: after `kill -9` of its parent it
    would wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def ordered_map(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int,
    *,
    ahead: int | None = None,
) -> Generator[Result, None, None]:
    """Applies a function to tasks in worker processes and yields the results in the tasks' order.

    At most `ahead` results are computed or waiting, so that memory is bounded however many tasks
    there are. Closing the iterator ends the workers, and so does the death of this process.

    Args:
        function: A function of an importable module (it is sent by name).
        tasks: The tasks, taken as they are needed.
        workers: Number of processes; 0 computes in this one.
        ahead: Bound of the results that are computed or waiting; default: three a worker.

    Yields:
        One result a task.

    Raises:
        ValueError: `workers` is negative.
        concurrent.futures.process.BrokenProcessPool: a worker was killed (often for want of
            memory).
    """
    if workers < 0:
        raise ValueError(f"{workers} workers; expected 0 (in this process) or more")
    if not workers:
        yield from map(function, tasks)
        return
    # Neither TensorFlow's threads nor JAX's survive a fork.
    context = multiprocessing.get_context("spawn")
    executor = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=_die_with_parent
    )
    pending: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
    try:
        for task in tasks:
            with hidden_main_module():
                pending.append(executor.submit(function, task))
            if len(pending) >= (ahead or 3 * workers):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
