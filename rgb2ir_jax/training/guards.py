"""Notices a training whose numbers are none any more, without waiting for the devices at each step."""

import collections
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np

from rgb2ir_jax.training.distributed import LAG, rows_of_all

_WATCHED = ("loss", "grad_norm")


class DivergedError(RuntimeError):
    """The loss or gradient is no number any more; the message says where and what to do."""


class _Watched(NamedTuple):
    step: int
    terms: Mapping[str, Any]
    clips: np.ndarray | None


class Guard:
    """Looks at each step's loss and gradient norm as soon as they are there.

    Of several processes each would find them there at another step: all look `LAG` steps later.

    Args:
        name: of the phase.
        folder: of the phase, for the message.
        last_checkpoint: the newest saved step, for the message.
        max_skipped: how many updates may be left out because of such numbers (the step itself leaves
            them out, see `make_train_step`); 0 stops at the first one.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        last_checkpoint: Callable[[], int | None],
        *,
        max_skipped: int = 0,
    ):
        self._name, self._folder, self._last_checkpoint = name, folder, last_checkpoint
        self._max_skipped = max_skipped
        self._watched: collections.deque[_Watched] = collections.deque()
        self.skipped = 0

    def watch(self, step: int, terms: Mapping[str, Any], clips: np.ndarray | None) -> None:
        """Takes a step's scalars, and looks at those of steps that have been computed by now.

        Args:
            step: its number.
            terms: its scalars, on the devices.
            clips: the indices of this process's clips in their split.

        Raises:
            DivergedError: as `wait` does.
        """
        self._watched.append(_Watched(step, terms, clips))
        if jax.process_count() > 1:
            while len(self._watched) > LAG:
                self._look(self._watched.popleft())
            return
        while self._watched and all(_is_ready(self._watched[0].terms[name]) for name in _WATCHED):
            self._look(self._watched.popleft())

    def wait(self) -> None:
        """Looks at all steps so far: before anything is written of them.

        Raises:
            DivergedError: a number is none, and may not be skipped (any more).
        """
        while self._watched:
            self._look(self._watched.popleft())

    def _look(self, watched: _Watched) -> None:
        values = jax.device_get([watched.terms[name] for name in _WATCHED])
        if all(math.isfinite(value) for value in values):
            return
        self.skipped += 1
        if self.skipped <= self._max_skipped:
            return
        terms = jax.device_get(dict(watched.terms))
        broken = ", ".join(name for name, value in terms.items() if not math.isfinite(value))
        clips = "unknown"
        if watched.clips is not None:
            everyones = watched.clips if jax.process_count() == 1 else rows_of_all(watched.clips)
            clips = ", ".join(map(str, everyones.tolist()))
        newest = self._last_checkpoint()
        kept = "there is no checkpoint yet" if newest is None else f"step {newest} is kept"
        before = f", after {self.skipped - 1} skipped updates" if self._max_skipped else ""
        raise DivergedError(
            f"{self._name}: {broken} not finite at step {watched.step}{before}: the training has diverged. "
            f"Clips of the batch, by their index in the training split: {clips}. In {self._folder}, {kept}. "
            "Lower config.optimizer.learning_rate or a method's weight, in a new --workdir"
        )


def is_skipped(terms: Mapping[str, float]) -> bool:
    """Whether a step's update was one to leave out."""
    return "skipped" in terms or not all(math.isfinite(terms[name]) for name in _WATCHED)


def _is_ready(value: Any) -> bool:
    # Of jax.Array, but not of its declared type.
    return not isinstance(value, jax.Array) or cast(Any, value).is_ready()
