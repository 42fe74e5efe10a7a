"""A trace of a few steps for xprof, TensorBoard's profiler or Perfetto."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import jax

WARM_UP, STEPS = 3, 5

_log = logging.getLogger(__name__)


def _options() -> jax.profiler.ProfileOptions:
    options = jax.profiler.ProfileOptions()
    # It hooks into every thread's Python frames, and crashed the process where threads end or change
    # while a trace is being stopped: loaders, checkpoints and the stopwatch have some.
    options.python_tracer_level = 0
    return options


class StepTrace:
    """Runs the steps of a phase, and writes a trace of a few of them, if it is asked for.

    The first steps compile and fill queues, and are left out. Before and after the traced ones the
    devices are waited for; no number changes.

    Args:
        name: of the phase.
        folder: of the phase; the trace goes to `plugins/profile/TIME` in it, where TensorBoard looks.
        wanted: whether to trace.
        steps: that are left to do; a trace begins early enough to get one.
    """

    def __init__(self, name: str, folder: Path, *, wanted: bool, steps: int):
        self._name, self._folder = name, folder
        first = min(WARM_UP, max(0, steps - STEPS))
        self._traced = range(first, min(first + STEPS, steps)) if wanted else range(0)
        self._seen = 0
        self._before: Any = None
        self._began: int | None = None

    def run(self, step: int, train_step: Callable[..., Any], *arguments: Any) -> Any:
        """Does `train_step(*arguments)`, the update with the number `step`."""
        place, self._seen = self._seen, self._seen + 1
        if place >= self._traced.stop:
            return train_step(*arguments)
        if place not in self._traced:
            state, terms = train_step(*arguments)
            self._before = terms
            return state, terms
        if self._began is None:
            jax.block_until_ready(self._before)
            self._before = None
            jax.profiler.start_trace(self._folder, profiler_options=_options())
            self._began = step
        with jax.profiler.StepTraceAnnotation("train", step_num=step):
            state, terms = train_step(*arguments)
        if place + 1 == self._traced.stop:
            jax.block_until_ready(terms)
            self._end(step)
        return state, terms

    def _end(self, step: int) -> None:
        began, self._began = self._began, None
        jax.profiler.stop_trace()
        written = max((self._folder / "plugins" / "profile").iterdir())
        _log.info(
            "%s: trace of steps %s to %d in %s. To look at it: pip install xprof, then "
            "xprof --logdir=%s; or open its *.trace.json.gz at https://ui.perfetto.dev",
            self._name,
            began,
            step,
            written,
            self._folder,
        )

    def __enter__(self) -> "StepTrace":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The run was stopped within the traced steps: JAX allows one trace at a time.
        if self._began is not None:
            self._began = None
            jax.profiler.stop_trace()
