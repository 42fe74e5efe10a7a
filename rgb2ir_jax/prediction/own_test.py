"""What an exported network says of the test at the end of its training."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class OwnTest:
    """The figures that the run of a network noted, to compare a later test with.

    Attributes:
        data_set: "NAME/CONFIG" of the data set, as its builder has them.
        split: of the data set.
        metrics: as `evaluation.metrics.ClassificationMetrics.to_dict` has them.

    Raises:
        ValueError: a value is none that such a test can have.
    """

    data_set: str
    split: str
    metrics: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not (isinstance(self.data_set, str) and isinstance(self.split, str)):
            raise ValueError(f"data_set and split are {self.data_set!r} and {self.split!r}")
        if not (isinstance(self.metrics, Mapping) and all(map(_figures, self.metrics.values()))):
            raise ValueError("the metrics of the own test are no figures")

    @classmethod
    def of_run(cls, config: Mapping[str, Any], phase: Mapping[str, Any]) -> "OwnTest | None":
        """Reads a run's files; None where they do not tell, or only some of the clips were tested.

        Args:
            config: the run's `config.json`.
            phase: the network's own `result.json`.
        """
        if config.get("limit_test_clips", 0):
            return None
        data_set, metrics = phase.get("data_set"), phase.get("metrics")
        split = config["data"].get("test_split")
        if data_set is None or split is None or metrics is None:
            return None
        # A confusion matrix of hundreds of classes would be longer than all else that is told.
        figures = {name: value for name, value in metrics.items() if name != "confusion"}
        return cls(data_set, split, figures)

    def compare(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Compares figures of the same test with the noted ones.

        Args:
            metrics: likewise, as plain JSON values.

        Returns:
            "exactly": whether all are equal; "compared": their names; "differing": name to
            [then, now].
        """
        # Runs of earlier versions noted fewer figures.
        common = sorted({*self.metrics} & {*metrics})
        differing = {
            name: [self.metrics[name], metrics[name]]
            for name in common
            if self.metrics[name] != metrics[name]
        }
        return {"exactly": not differing, "compared": common, "differing": differing}


def _figures(value: Any, depth: int = 3) -> bool:
    """Whether it is a number, None, or lists of them as deep as a confusion matrix."""
    if isinstance(value, list):
        return depth > 1 and all(_figures(item, depth - 1) for item in value)
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
