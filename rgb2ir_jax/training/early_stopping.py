"""Which evaluation was the best so far, and whether it is so long ago that training should end."""

import math
from collections.abc import Mapping
from typing import Any

METRICS = ("test/top1", "test/top5", "test/mean_class_accuracy", "test/loss")
"""What an evaluation can be ranked by. The loss is better when it is lower, the others when higher."""


class EarlyStopping:
    """Follows one metric of the evaluations; part of a run's checkpoints.

    Args:
        metric: one of `METRICS`.
        patience: end after so many steps without an improvement; 0: never.
        min_delta: by how much the metric must exceed its last improvement to count as the next one.
    """

    def __init__(self, metric: str, *, patience: int = 0, min_delta: float = 0.0):
        self.metric = metric
        self._sign = -1.0 if metric == "test/loss" else 1.0
        self._patience, self._min_delta = patience, min_delta
        self.best: dict[str, Any] | None = None
        self._improved: dict[str, Any] | None = None

    def rank(self, value: float) -> float:
        """Higher is better, whatever the metric."""
        return self._sign * value

    def update(self, step: int, scalars: Mapping[str, float]) -> bool:
        """Notes an evaluation; returns whether training should end.

        Of equal evaluations the first is the best. One that is no number is never an improvement.
        """
        value = scalars[self.metric]
        found = {"metric": self.metric, "step": step, "value": value}
        if not math.isnan(value):
            if self.best is None or self.rank(value) > self.rank(self.best["value"]):
                self.best = found
            if self._improved is None or (
                self.rank(value) > self.rank(self._improved["value"]) + self._min_delta
            ):
                self._improved = found
        since = step - (self._improved["step"] if self._improved else 0)
        return bool(self._patience) and since >= self._patience

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON."""
        return {"best": self.best, "improved": self._improved}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to what a checkpoint kept."""
        self.best, self._improved = state["best"], state["improved"]
