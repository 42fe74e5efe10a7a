"""Where the wall time of a phase goes: starting, waiting for data, steps, evaluations, checkpoints."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax

ACTIVITIES = ("start", "data", "step", "evaluation", "checkpoint")


@runtime_checkable
class _Closable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closable)


class Stopwatch:
    """Divides the wall time of a phase among five activities, without waiting for the devices.

    Every moment belongs to exactly one of them:

    - `start`: until the first step is on the devices. A checkpoint is restored, the first batches
      are read, the step is compiled.
    - `data`: the devices had nothing left to do and the next batch was not there. The loop runs ahead
      of the devices, so that the time it spends in `next(batches)` would say nothing: while they
      still compute, nobody waits. A thread of its own waits for each step's loss and notes when it
      was there; of the time in `next` (and in the copy to the devices), only what comes after that
      moment counts.
    - `evaluation`, `checkpoint`: the loop was in one; the steps before it have ended by then.
    - `step`: all the rest. The devices compute, or wait for what the loop does between two steps
      (benchmarks/loop_overhead.py measures that).

    Devices and loop are in step only where the loop waits for them, at a line of the log, an
    evaluation or a checkpoint. Shares between two such moments (`line`) and of the whole phase are
    right; of a single step they would not be.
    """

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(ACTIVITIES, 0.0)
        self._at_line = dict(self._seconds)
        self._settled, self._claimed = time.monotonic(), 0.0
        self._unclaimed = "start"
        self._devices = _DeviceWatch()
        self.last_evaluation: float | None = None

    def restore(self, seconds: Mapping[str, float]) -> None:
        """Adds what earlier runs of the phase took, as they saved it."""
        for activity, earlier in seconds.items():
            self._seconds[activity] += earlier
            self._at_line[activity] += earlier

    @contextlib.contextmanager
    def measure(self, activity: str) -> Iterator[None]:
        """Counts what happens inside as `activity`."""
        since = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - since
            self._claim(activity, took)
            if activity == "evaluation":
                self.last_evaluation = took

    @contextlib.contextmanager
    def closing(self, checkpoints: T) -> Iterator[T]:
        """Closes `checkpoints` at the end, and counts that as `checkpoint`: the last one is awaited."""
        try:
            yield checkpoints
        finally:
            with self.measure("checkpoint"):
                checkpoints.close()

    def read_batch(self, since: float) -> None:
        """Notes that a batch was asked for at `since` (`time.monotonic()`) and is there now."""
        if self._unclaimed == "step" and (idle := self._devices.idle_since()) is not None:
            self._claim("data", time.monotonic() - max(since, idle))

    def dispatched(self, loss: Any) -> None:
        """Notes that a step was given to the devices, which will put out `loss`."""
        self._devices.watch(loss)
        if self._unclaimed == "start":
            self._settle()
            self._unclaimed = "step"

    def _claim(self, activity: str, seconds: float) -> None:
        self._seconds[activity] += seconds
        self._claimed += seconds

    def _settle(self) -> None:
        now = time.monotonic()
        self._seconds[self._unclaimed] += max(0.0, now - self._settled - self._claimed)
        self._settled, self._claimed = now, 0.0

    def seconds(self) -> dict[str, float]:
        """Seconds of each activity up to now, over all runs of the phase."""
        self._settle()
        return dict(self._seconds)

    def line(self) -> dict[str, float]:
        """Shares since the line before as `time/ACTIVITY`; they add up to 1."""
        now = self.seconds()
        since = {activity: now[activity] - self._at_line[activity] for activity in ACTIVITIES}
        self._at_line = now
        return {f"time/{activity}": share for activity, share in shares(since).items()}

    def __enter__(self) -> "Stopwatch":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._devices.close()


class _DeviceWatch:
    """Notes in a thread of its own when the devices are through with what they were given."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._given = self._done = 0
        self._done_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="device watch", daemon=True)
        self._thread.start()

    def watch(self, value: Any) -> None:
        self._given += 1
        self._queue.put((value,))

    def idle_since(self) -> float | None:
        """When the devices ended the last step; None while they compute."""
        return self._done_at if self._done == self._given else None

    def close(self) -> None:
        self._queue.put(())
        self._thread.join()

    def _run(self) -> None:
        while item := self._queue.get():
            # A step that fails is reported where the loop looks at its numbers.
            with contextlib.suppress(RuntimeError):
                jax.block_until_ready(item)
            # In this order: who sees that all is done must find the time of it.
            self._done_at = time.monotonic()
            self._done += 1


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Each activity's part of the whole, in [0, 1]; all 0 where nothing took any time."""
    whole = sum(seconds.values())
    return {activity: part / whole if whole > 0 else 0.0 for activity, part in seconds.items()}


def describe_shares(seconds: Mapping[str, float]) -> str:
    """One line such as "312 s: steps 91.2%, waiting for data 0.3%, evaluation 6.0%, ..."."""
    names = {
        "step": "steps",
        "data": "waiting for data",
        "evaluation": "evaluation",
        "checkpoint": "checkpoints",
        "start": "starting and compiling",
    }
    part = shares(seconds)
    told = ", ".join(f"{name} {part[activity]:.1%}" for activity, name in names.items())
    return f"{sum(seconds.values()):.1f} s: {told}"
