"""What the report knows of a run: fields that may be missing, of any type, or make no sense."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rgb2ir_jax.reporting.runs.look_file import Looks
from rgb2ir_jax.video.modalities import name_of

_MOST_CLASSES = 5_000


class Curve:
    """A number over the steps of a training, in their order.

    Attributes:
        step: (point,) optimizer steps.
        value: (point,) finite numbers.
    """

    def __init__(self, points: Sequence[tuple[float, float]]):
        ordered = sorted(points, key=lambda point: point[0])
        self.step: Float[np.ndarray, " point"] = np.array([p[0] for p in ordered], np.float64)
        self.value: Float[np.ndarray, " point"] = np.array([p[1] for p in ordered], np.float64)


@dataclasses.dataclass(frozen=True)
class Phase:
    """A network that a run trained, or began to.

    Attributes:
        network: "teacher" or "student", a stream of TSTDDs, or "tstdd", what these say together.
        entry: its `result.json`; empty while it is not finished.
        spec: its `network.json`; empty where that is missing.
        curves: by name, such as "train/loss"; from `metrics.jsonl` and `timing.jsonl`.
        steps_per_epoch: steps of an epoch; None if nothing tells.
        config: the run's config, flat: "optimizer.learning_rate" and so on.
        run: name of the run on the page.
        looks: what it makes of the test clips, where that was kept (`looks.npz`).
    """

    network: str
    entry: Mapping[str, Any]
    spec: Mapping[str, Any]
    curves: Mapping[str, Curve]
    steps_per_epoch: float | None
    config: Mapping[str, Any]
    run: str
    looks: Looks | None = None

    @property
    def finished(self) -> bool:
        """Whether it was trained to its end and tested."""
        return bool(self.entry)

    @property
    def variant(self) -> str:
        """One of "teacher", "student" (alone), "tstdd", "tstdd-STREAM" or the methods that it was distilled by."""
        if self.network == "teacher":
            return "teacher"
        if self.network not in ("student", "tstdd"):
            return f"tstdd-{self.network}"
        return text(self.entry.get("variant") or self.config.get("variant") or "not told")

    @property
    def seed(self) -> int | None:
        """Of the run."""
        found = number(self.entry.get("seed", self.config.get("seed")))
        return None if found is None else int(found)

    @property
    def modality(self) -> str:
        """What it sees: "rgb" or "ir"."""
        told = self.entry.get("modality") or self.spec.get("modality")
        return text(told or self.config.get(f"{self.network}.modality") or "")

    @property
    def sees(self) -> str:
        """In words: "RGB", "infrared", "RGB, zero_dce" of one that sees enhanced frames; "" if not told."""
        name = name_of(self.modality)
        enhance = self.entry.get("enhance") or self.config.get(f"{self.network}.enhance")
        stream = self.spec.get("stream")
        made = text(stream.get("name"), 30).replace("_", " ") if isinstance(stream, dict) else None
        told = [text(what, 30) for what in (enhance, made) if what]
        return ", ".join([name, *told]) if name else name

    @property
    def limited(self) -> bool:
        """Whether training or test was cut short on purpose, so that the numbers are a trial's."""
        fields = ("limit_train_steps", "limit_test_clips", "smoke")
        return self.entry.get("limited") is True or any(self.config.get(f) for f in fields)

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        """One a class; empty if not told."""
        names = self.entry.get("class_names")
        if not isinstance(names, list) or len(names) > _MOST_CLASSES:
            return ()
        return tuple(text(name) for name in names)

    def share(self, name: str) -> float | None:
        """A figure of the test between 0 and 1, such as "top1"; None if it is not there."""
        metrics = self.entry.get("metrics")
        inner = metrics.get(name) if isinstance(metrics, dict) else None
        found = number(self.entry.get(name, inner))
        return found if found is not None and 0 <= found <= 1 else None

    def confusion(self) -> Int[np.ndarray, "classes classes"] | None:
        """(true, predicted) counts of test clips; None if they are missing or make no sense."""
        return self._confusion

    @functools.cached_property
    def _confusion(self) -> Int[np.ndarray, "classes classes"] | None:
        metrics, classes = self.entry.get("metrics"), len(self.class_names)
        rows = metrics.get("confusion") if isinstance(metrics, dict) else None
        if not isinstance(rows, list) or len(rows) != classes or not classes:
            return None
        for row in rows:
            if not isinstance(row, list) or len(row) != classes:
                return None
            if any(type(count) is not int or not 0 <= count < 2**31 for count in row):
                return None
        return np.array(rows, np.int64)


@dataclasses.dataclass(frozen=True)
class Run:
    """A work directory of `rgb2ir_jax.main`.

    Attributes:
        name: on the page.
        config: `config.json`, as it is; empty where it is missing.
        data_set: `data_set.json`; empty where it is missing.
        result: `result.json`; empty while the run is not finished.
        phases: the networks in the order of their training.
        problems: what could not be read, a sentence each.
    """

    name: str
    config: Mapping[str, Any]
    data_set: Mapping[str, Any]
    result: Mapping[str, Any]
    phases: tuple[Phase, ...]
    problems: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether it has a result, and every network of it has."""
        return bool(self.result) and all(phase.finished for phase in self.phases)

    @property
    def data_name(self) -> str:
        """Name and config of the data set, such as "ntu_rgbd_ir/ten_class_xsub"."""
        for entry in (self.result, *(phase.entry for phase in self.phases)):
            if isinstance(entry.get("data_set"), str):
                return text(entry["data_set"])
        noted = self.data_set.get("data_set")
        if isinstance(noted, str):
            return text("/".join(noted.split("/")[:2]))
        return "data set not told"

    @property
    def synthetic(self) -> bool | None:
        """Whether the footage was made up; None if nothing tells."""
        for entry in (self.result, *(phase.entry for phase in self.phases)):
            if isinstance(entry.get("synthetic"), bool):
                return bool(entry["synthetic"])
        return None


def number(value: Any) -> float | None:
    """A finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def text(value: Any, most: int = 120) -> str:
    """A value as text of bounded length."""
    found = value if isinstance(value, str) else str(value)
    return found if len(found) <= most else f"{found[: most - 1]}…"


def architecture_name(spec: Mapping[str, Any], depth: float) -> str:
    """A network's name for people, of its description and the depth in it."""
    if not text(spec.get("backbone", "")).startswith("r2plus1d"):
        return f"ResNet{depth:.0f}"
    return f"R(2+1)D-{depth:.0f}{' with BERT head' * (spec.get('temporal_head') == 'bert')}"
