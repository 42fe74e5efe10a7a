"""Which checkpoints of a phase stay on disk."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast


class Retention(NamedTuple):
    """Which checkpoints stay on disk.

    Attributes:
        latest: so many of the newest.
        best: and so many of those whose evaluation ranked highest.
    """

    latest: int
    best: int = 0


class LatestAndBest:
    """Orbax's preservation policy of a `Retention`; of equal ranks, the first is the best.

    Orbax's own BestN reads metrics back when it opens a folder, and fails there when they are
    damaged.

    Attributes:
        ranks: step -> the rank of its evaluation, higher is better; None without one.
    """

    def __init__(self, retention: Retention):
        self._retention = retention
        self.ranks: dict[int, float | None] = {}

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        """Says of each checkpoint whether it stays."""
        del context
        steps = sorted(info.step for info in checkpoints)
        ranked = [step for step in steps if self.ranks.get(step) is not None]
        ranked.sort(key=lambda step: (-cast(float, self.ranks[step]), step))
        kept = {*steps[-self._retention.latest :], *ranked[: self._retention.best]}
        return [info.step in kept for info in checkpoints]
