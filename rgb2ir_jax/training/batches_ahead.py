"""Batches on their way to the devices while these still compute."""

import collections
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh

from rgb2ir_jax.training.observing.stopwatch import Stopwatch
from rgb2ir_jax.training.sharding import put_batch

# No step has a use for them: training batches are full.
_OF_THE_HOST = ("index", "mask")


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


class Ahead(NamedTuple):
    """A step's number, its batch on the devices, this process's clips in it, the position after it."""

    step: int
    batch: dict[str, jax.Array]
    clips: np.ndarray | None
    position: Any


def two_ahead(
    batches: BatchIterator, mesh: Mesh, steps: range, stopwatch: Stopwatch
) -> Iterator[Ahead]:
    """Yields the batches of `steps` while two further ones are on their way.

    The position is taken when the batch is read: the iterator itself is already ahead of the step.
    """
    waiting: collections.deque[Ahead] = collections.deque()
    for step in steps:
        asked = time.monotonic()
        batch = next(batches)
        on_devices = put_batch({k: v for k, v in batch.items() if k not in _OF_THE_HOST}, mesh)
        stopwatch.read_batch(asked)
        waiting.append(Ahead(step, on_devices, batch.get("index"), batches.get_state()))
        if len(waiting) > 2:
            yield waiting.popleft()
    yield from waiting
