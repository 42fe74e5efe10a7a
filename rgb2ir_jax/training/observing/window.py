"""The scalars between two lines of the log."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from rgb2ir_jax.distillation.base import Terms
from rgb2ir_jax.training.guards import is_skipped


class Window:
    """The scalars since the last line of the log, left on the device until then: no sync at each step.

    Args:
        batch_size: clips of a step.
        unlogged: the scalars of steps that an earlier run did after its last line of the log.
    """

    def __init__(self, batch_size: int, unlogged: list[dict[str, float]]):
        self._batch_size = batch_size
        self._terms: list[Mapping[str, Any]] = list(unlogged)
        self._steps = 0
        self._start: float | None = None

    def __len__(self) -> int:
        """Returns how many steps the next line is about."""
        return len(self._terms)

    def add(self, terms: Terms) -> None:
        """Takes a step's scalars."""
        self._terms.append(terms)
        self._steps += 1
        if self._start is None:
            # The first step is on the devices: what it took to compile it is no matter of speed.
            self._start = time.monotonic()

    @contextlib.contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """Keeps what happens inside out of `clips_per_second`, but not the steps still computing."""
        jax.block_until_ready(self._terms)
        stopped = time.monotonic()
        yield
        if self._start is not None:
            self._start += time.monotonic() - stopped

    def unlogged(self) -> list[dict[str, float]]:
        """The scalars of each step since the last line; of a step without an update, that it was one."""
        steps = [
            {name: float(value) for name, value in terms.items()}
            for terms in jax.device_get(self._terms)
        ]
        steps = [{"skipped": 1.0} if is_skipped(terms) else terms for terms in steps]
        self._terms = list(steps)
        return steps

    def close(self) -> tuple[dict[str, float], float]:
        """Means over the window as `train/NAME`, and the clips per second in it.

        Steps without an update are counted in `train/skipped`, and left out of the means.
        """
        steps = self.unlogged()
        learned = [terms for terms in steps if "skipped" not in terms]
        means = {
            f"train/{name}": float(np.mean([terms[name] for terms in learned]))
            for name in (learned[0] if learned else {})
        }
        if len(learned) < len(steps):
            means["train/skipped"] = float(len(steps) - len(learned))
        now = time.monotonic()
        seconds = now - self._start if self._start is not None else 0.0
        rate = self._steps * self._batch_size / max(seconds, 1e-9)
        self._terms, self._steps, self._start = [], 0, now
        return means, rate
