"""Python's garbage collector, kept from walking over what stays anyway."""

import gc
from types import TracebackType

_NEW_OBJECTS = 50_000
_MORE = 20


def collect_rarely() -> None:
    """Looks for garbage less often, for the whole process.

    Tracing and importing make millions of objects and hardly any garbage: as Python is set, it spends a
    tenth of the time to a run's first step looking for some.
    """
    gc.set_threshold(_NEW_OBJECTS, _MORE, _MORE)


class SettledHeap:
    """Inside, and after `settle`, collections leave alone what was there when it was called.

    JAX, Flax and TensorFlow bring a million objects that never go. The loop makes enough new ones at
    each step for the collector, as Python is set, to look at all of them every hundred steps or so, for
    a third of a second each time. Nothing is lost: at the end all is looked at again.
    """

    def __init__(self) -> None:
        self._settled = False

    def settle(self) -> None:
        """Collects once, and has what is left be left alone; the first call counts."""
        if not self._settled:
            self._settled = True
            gc.collect()
            gc.freeze()

    def __enter__(self) -> "SettledHeap":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._settled:
            gc.unfreeze()
