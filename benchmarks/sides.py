"""What is compared, each side in a process of its own, and measured in turns.

Two libraries in one process would share a pool of threads that one of them keeps spinning, and a GPU's
memory that one of them keeps. Turns (A B B A) share what else the machine does among all.
"""

import contextlib
import importlib
import multiprocessing
import os
import statistics
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Sides = dict[str, "Side"]


class SideError(RuntimeError):
    """What a side could not do, in one line."""


class Factory(NamedTuple):
    """How a side is made, in its own process.

    Attributes:
        module: imported there alone.
        name: of the class in it.
        arguments: of the class.
        environment: variables that the process starts with.
        folder: of further packages, searched last; empty: none.
    """

    module: str
    name: str
    arguments: tuple[Any, ...] = ()
    environment: Mapping[str, str] = {}
    folder: str = ""


class Side:
    """An object in another process, whose methods are called here.

    Args:
        factory: see there.
    """

    def __init__(self, factory: Factory):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, factory), daemon=False)
        # The C library reads its own before Python runs: they must be there when the process starts.
        before = dict(os.environ)
        os.environ.update(factory.environment)
        try:
            self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        theirs.close()

    def call(self, method: str, *arguments: Any) -> Any:
        """Calls a method there and waits for what it returns.

        Raises:
            SideError: it raised, or the process has ended.
        """
        try:
            self._connection.send((method, arguments))
            failed, value = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise SideError(
                f"the process ended with exit code {self._process.exitcode}: is there memory enough?"
            ) from error
        if failed:
            raise SideError(value)
        return value

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(OSError):  # It may have ended by itself.
            self._connection.send(None)
        self._process.join()
        self._connection.close()


def _serve(connection: Any, factory: Factory) -> None:
    if factory.folder:
        sys.path.append(factory.folder)
    target: Any = None
    while (request := connection.recv()) is not None:
        method, arguments = request
        # Whatever goes wrong here is told to the process that asked, which decides.
        try:
            if target is None:
                module = importlib.import_module(factory.module)
                target = getattr(module, factory.name)(*factory.arguments)
            reply = (False, getattr(target, method)(*arguments))
        except Exception as error:  # noqa: BLE001
            if "BENCHMARK_TRACEBACK" in os.environ:
                traceback.print_exc()
            text = str(error).partition("\n")[0]
            reply = (True, f"{type(error).__name__}: {text}")
        connection.send(reply)


class Spent(NamedTuple):
    """By one call, in seconds: of the clock, and of all threads of the process on processors."""

    wall: float
    processor: float


class Stopwatch:
    """Measures from its making."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def spent(self, calls: int) -> Spent:
        """What was spent since, a call."""
        wall, processor = time.perf_counter(), time.process_time()
        return Spent((wall - self._wall) / calls, (processor - self._processor) / calls)


Turns = dict[str, list[Spent]]
"""What each side spent, turn by turn."""


class Timing(NamedTuple):
    """Of one side, in seconds.

    Attributes:
        median: of the clock.
        least: likewise.
        processor: the median of what all threads took of the processors. With one thread it says what
            there is to do, whatever else the machine is doing; with more, waiting threads that spin count.
        turns: that were measured.
        rounds: the median of the clock in each process; they differ by more than the turns of one.
    """

    median: float
    least: float
    processor: float
    turns: int
    rounds: list[float]

    @classmethod
    def of(cls, rounds: Sequence[Sequence[Spent]]) -> "Timing":
        """Of the turns in each process that the side was."""
        taken = [spent for turns in rounds for spent in turns]
        return cls(
            statistics.median(each.wall for each in taken),
            min(each.wall for each in taken),
            statistics.median(each.processor for each in taken),
            len(taken),
            [statistics.median(each.wall for each in turns) for turns in rounds],
        )


def measure_in_turns(sides: Mapping[str, Side], call: Sequence[Any], turns: int) -> Turns:
    """Calls the same method of all sides again and again, one after the other.

    Args:
        sides: by name.
        call: the method and its arguments; it returns a `Spent`.
        turns: of each side. Every second turn goes through the sides backwards, so that none is
            always first.
    """
    spent: Turns = {name: [] for name in sides}
    for turn in range(turns):
        for name in list(sides) if turn % 2 == 0 else reversed(list(sides)):
            spent[name].append(sides[name].call(*call))
    return spent
