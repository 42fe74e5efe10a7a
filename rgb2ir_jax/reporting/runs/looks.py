"""Which networks of a comparison are shown at work: of one seed, and a handful."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from rgb2ir_jax.reporting.page import Markup, element
from rgb2ir_jax.reporting.runs.groups import ALONE, Comparison, Group
from rgb2ir_jax.reporting.runs.look_file import Looks
from rgb2ir_jax.reporting.runs.record import Phase

MOST_DISTILLED = 3
"""Kinds of distilled students that are shown beside the student alone and the teacher."""

HOW = (
    "python -m rgb2ir_jax.report RUN [RUN ...] --out=FILE.html --look",
    " makes them; it needs the runs' checkpoints and the data that they were tested on.",
)


class Shown(NamedTuple):
    """A network at work.

    Attributes:
        label: what it is, with its seed.
        phase: its training.
        looks: what it makes of the test clips.
    """

    label: str
    phase: Phase
    looks: Looks


class Choice(NamedTuple):
    """The networks that are shown.

    Attributes:
        networks: the student alone, then distilled ones, then the teacher; each may be missing.
        note: how they were chosen, in words; None where there was no choice.
    """

    networks: tuple[Shown, ...]
    note: str | None

    @property
    def students(self) -> tuple[Shown, ...]:
        """All but the teacher."""
        return tuple(shown for shown in self.networks if shown.phase.network == "student")


def looked_at(comparison: Comparison) -> Iterator[tuple[Group, Phase, Looks]]:
    """The trained networks whose view of the test clips is there, group by group."""
    for group in comparison.groups:
        for phase in group.finished:
            if phase.looks is not None and phase.class_names == comparison.class_names:
                yield group, phase, phase.looks


def choose_networks(comparison: Comparison) -> Choice:
    """The student alone, distilled ones and the teacher of one seed that saw the same clips.

    The seed is the one that most groups have, the lowest of these. Of many kinds of distilled
    students those with the highest mean top-1 are taken.
    """
    there = list(looked_at(comparison))
    if not there:
        return Choice((), None)
    counts = Counter(phase.seed for _, phase, _ in there if phase.network == "student")
    counts = counts or Counter(phase.seed for _, phase, _ in there)
    most = max(counts.values())
    seed = min((s for s, count in counts.items() if count == most), key=lambda s: (s is None, s))
    students = [e for e in there if e[1].seed == seed and e[0].network == "student"]
    alone = [entry for entry in students if entry[0].variant == ALONE]
    distilled = [entry for entry in students if entry[0].variant != ALONE]
    ranked = sorted(distilled, key=lambda entry: -_top1(entry[0]))
    first = _likest(comparison, alone, ranked) or ranked or there
    tested = first[0][2]
    ranked = [entry for entry in ranked if same_clips(entry[2], tested)]
    kept = [e for e in distilled if any(e is other for other in ranked[:MOST_DISTILLED])]
    # A teacher may be shared by students of several seeds.
    teachers = [e for e in there if e[0].network == "teacher" and same_clips(e[2], tested)]
    teachers.sort(key=lambda entry: entry[1].seed != seed)
    chosen = [*_likest(comparison, alone, ranked)[:1], *kept, *teachers[:1]]
    networks = tuple(
        Shown(f"{group.label}, seed {phase.seed}", phase, looks) for group, phase, looks in chosen
    )
    return Choice(networks, _note(len(there), len(networks), seed, len(ranked) > MOST_DISTILLED))


def _likest(
    comparison: Comparison,
    alone: list[tuple[Group, Phase, Looks]],
    ranked: list[tuple[Group, Phase, Looks]],
) -> list[tuple[Group, Phase, Looks]]:
    """The students alone, first the one that the best distilled student is measured by."""
    baseline = comparison.baseline(ranked[0][0]) if ranked else None
    return sorted(alone, key=lambda entry: entry[0] is not baseline)


def _top1(group: Group) -> float:
    found = group.spread(lambda phase: phase.share("top1"))
    return found.mean if found else 0.0


def _note(there: int, shown: int, seed: int | None, left_out: bool) -> str | None:
    if there == shown:
        return None
    ranked = f"; of the distilled ones the {MOST_DISTILLED} with the highest top-1" * left_out
    return (
        f"Of {there} trained networks, {shown} are shown: of seed {seed}, as far as they were tested on the "
        f"same clips{ranked}."
    )


def same_clips(first: Looks, second: Looks) -> bool:
    """Whether two networks were tested on the same clips, as far as their files tell."""
    facts = [(f.get("data_set"), f.get("split")) for f in (first.facts, second.facts)]
    return facts[0] == facts[1] and np.array_equal(first.labels, second.labels)


def untold(comparisons: Sequence[Comparison]) -> Markup | None:
    """A line on the networks whose view of the test clips is not there; None if all is."""
    finished = sum(len(group.finished) for c in comparisons for group in c.groups)
    missing = finished - sum(1 for c in comparisons for _ in looked_at(c))
    if not missing:
        return None
    whom = "No network" if missing == finished else f"{finished - missing} of {finished} networks"
    verb = "has" if missing == finished or finished - missing == 1 else "have"
    return element(
        "p",
        f"{whom} {verb} been shown the test clips again, for intervals, features, Grad-CAM and "
        "mistakes: ",
        element("code", HOW[0]),
        HOW[1],
    )


def in_words(comparison: Comparison) -> str:
    """What test clips are called in titles."""
    return "synthetic test clips" if comparison.synthetic else "test clips"
