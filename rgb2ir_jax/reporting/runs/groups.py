"""Which trained networks are repetitions of each other, and which may be compared."""

import dataclasses
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from rgb2ir_jax.reporting.runs.record import Phase, Run, text
from rgb2ir_jax.reporting.tables import describe_variant

ALONE = "student"
"""The variant of a student without a teacher, which the others are measured by."""

# No number depends on these, or they are told apart otherwise (seed, variant); paths of teachers
# differ from seed to seed.
_FREE = (
    "checkpoint.",
    "checkpoint_every_epochs",
    "data.cache",
    "data.dir",
    "data.on_device",
    "data.prefetch",
    "data.threads",
    "data.workers",
    "keep_checkpoints",
    "log_every_steps",
    "name",
    "seed",
    "teacher.checkpoint",
    "teachers",
    "variant",
)
_NAMED_DIFFERENCES = 3


class Spread(NamedTuple):
    """A figure over repetitions; `deviation` is the sample's (n - 1), None for a single one."""

    mean: float
    deviation: float | None
    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Group:
    """Networks that differ in their seed alone.

    Attributes:
        label: what they are, in words.
        phases: the networks, by seed.
    """

    label: str
    phases: tuple[Phase, ...]

    @property
    def network(self) -> str:
        """One of `files.NETWORKS`, or "tstdd"."""
        return self.phases[0].network

    @property
    def variant(self) -> str:
        """The methods, "student" (alone), "teacher", or TSTDDs' and its streams'."""
        return self.phases[0].variant

    @property
    def limited(self) -> bool:
        """Whether these are trials."""
        return self.phases[0].limited

    @property
    def finished(self) -> list[Phase]:
        """Those that were trained to their end."""
        return [phase for phase in self.phases if phase.finished]

    def spread(self, of: Callable[[Phase], float | None]) -> Spread | None:
        """A figure of the finished networks that have it; None if none has."""
        return spread([v for p in self.finished if (v := of(p)) is not None])

    def confusion(self, class_names: Sequence[str]) -> Int[np.ndarray, "classes classes"] | None:
        """The sum of the matrices of the networks with these classes."""
        found = [p.confusion() for p in self.finished if p.class_names == tuple(class_names)]
        there = [matrix for matrix in found if matrix is not None]
        return np.sum(there, axis=0) if there else None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs on one data set.

    Attributes:
        data_name: such as "ntu_rgbd_ir/ten_class_xsub".
        synthetic: whether its footage was made up; None if no file tells.
        runs: on it.
        groups: teachers first, then students alone, then the distilled ones.
        class_names: of most networks.
    """

    data_name: str
    synthetic: bool | None
    runs: tuple[Run, ...]
    groups: tuple[Group, ...]
    class_names: tuple[str, ...]

    @property
    def title(self) -> str:
        """The data set, with a word where it is none of the real world."""
        words = {True: " (synthetic)", False: "", None: " (filmed or synthetic: not told)"}
        return self.data_name + words[self.synthetic]

    def baseline(self, group: Group) -> Group | None:
        """The student alone that a distilled group is measured by: of several, the likest config."""
        if group.network not in ("student", "tstdd") or group.variant == ALONE:
            return None
        there = [g for g in self.groups if g.variant == ALONE and g.limited == group.limited]
        own = _counted(group.phases[0])
        return max(
            (g for g in there if g.finished),
            key=lambda g: sum(own.get(k) == v for k, v in _counted(g.phases[0]).items()),
            default=None,
        )


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and sample standard deviation; None for no value."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.mean(values), deviation, tuple(values))


def paired(
    group: Group, other: Group, of: Callable[[Phase], float | None]
) -> tuple[Spread | None, bool]:
    """A figure of a group minus another group's.

    Returns:
        The differences of networks with equal seeds, and True; where no seed is in both, the
        difference of the means, and False.
    """
    mine, theirs = _by_seed(group, of), _by_seed(other, of)
    both = [seed for seed in mine if seed in theirs]
    if both:
        differences = [statistics.mean(mine[seed]) - statistics.mean(theirs[seed]) for seed in both]
        return spread(differences), True
    a, b = group.spread(of), other.spread(of)
    return (spread([a.mean - b.mean]) if a and b else None), False


def _by_seed(group: Group, of: Callable[[Phase], float | None]) -> dict[int | None, list[float]]:
    found: dict[int | None, list[float]] = {}
    for phase in group.finished:
        if (value := of(phase)) is not None:
            found.setdefault(phase.seed, []).append(value)
    return found


def compare_runs(runs: Sequence[Run]) -> list[Comparison]:
    """Sorts runs by data set, and their networks by what they are."""
    told = {_records(run): run.synthetic for run in runs if run.synthetic is not None}
    by_data: dict[tuple[str, bool | None], list[Run]] = {}
    for run in runs:
        # An unfinished run does not tell, but a finished one on the same records does.
        synthetic = told.get(_records(run)) if run.synthetic is None else run.synthetic
        by_data.setdefault((run.data_name, synthetic), []).append(run)
    return [
        Comparison(name, synthetic, tuple(members), _groups(members), _usual_classes(members))
        for (name, synthetic), members in by_data.items()
    ]


def _records(run: Run) -> tuple[str, str]:
    return run.data_name, repr(run.data_set.get("digest"))


def _usual_classes(runs: Sequence[Run]) -> tuple[str, ...]:
    counts = Counter(p.class_names for run in runs for p in run.phases if p.class_names)
    return counts.most_common(1)[0][0] if counts else ()


def _groups(runs: Sequence[Run]) -> tuple[Group, ...]:
    alike: dict[tuple[str, str, bool], list[Phase]] = {}
    for run in runs:
        for phase in run.phases:
            alike.setdefault((phase.network, phase.variant, phase.limited), []).append(phase)
    groups = [group for phases in alike.values() for group in _by_config(phases)]
    order = {"teacher": 0, ALONE: 1}
    return tuple(sorted(groups, key=lambda g: (order.get(g.variant, 2), g.label)))


def _by_config(phases: Sequence[Phase]) -> list[Group]:
    """Splits networks of one variant by the settings that all their configs know."""
    configs = [_counted(phase) for phase in phases]
    shared = set(configs[0]).intersection(*configs)
    differing = sorted(f for f in shared if len({repr(config[f]) for config in configs}) > 1)
    split: dict[tuple[str, ...], list[Phase]] = {}
    for phase, config in zip(phases, configs, strict=True):
        split.setdefault(tuple(repr(config[f]) for f in differing), []).append(phase)
    name = describe_variant(text(phases[0].variant, 60)) + ", a trial" * phases[0].limited
    groups = []
    for values, members in split.items():
        settings = [f"{f} = {text(v, 30)}" for f, v in zip(differing, values, strict=True)]
        if len(settings) > _NAMED_DIFFERENCES:
            more = len(settings) - _NAMED_DIFFERENCES
            settings[_NAMED_DIFFERENCES:] = [f"and {more} more"]
        label = f"{name}; {', '.join(settings)}" if settings else name
        members.sort(key=lambda p: (p.seed is None, p.seed or 0, p.run))
        groups.append(Group(label, tuple(members)))
    return groups


def _counted(phase: Phase) -> Mapping[str, Any]:
    """The settings that a network's numbers depend on."""
    foreign = ("student.", "distill.") if phase.network == "teacher" else ()
    if phase.variant == ALONE:
        foreign = ("teacher.", "distill.")
    return {
        field: value
        for field, value in phase.config.items()
        if not is_free(field) and not field.startswith(foreign)
    }


def is_free(field: str) -> bool:
    """Whether a setting may differ between repetitions."""
    return field in _FREE or field.startswith("checkpoint.")
