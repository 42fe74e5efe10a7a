"""What the test clips alone allow to say: bootstrap intervals and McNemar's test, pair by pair."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from rgb2ir_jax.evaluation.bootstrap import (
    LEVEL,
    RESAMPLES,
    Interval,
    percentile_interval,
    resample_counts,
)
from rgb2ir_jax.evaluation.comparison import mcnemar
from rgb2ir_jax.reporting.page import Markup, element, join, table
from rgb2ir_jax.reporting.runs.groups import ALONE, Comparison, Group
from rgb2ir_jax.reporting.runs.look_file import Looks
from rgb2ir_jax.reporting.runs.looks import looked_at, same_clips
from rgb2ir_jax.reporting.runs.record import Phase, number

_MOST_ROWS = 90
_FIGURES = (
    ("top1", "Top-1 %"),
    ("mean_class_accuracy", "Mean class %"),
    ("mAP_classification", "mAP %, classification"),
)


class Paired(NamedTuple):
    """A network against another one on the same clips.

    Attributes:
        gain: top-1 minus the other's.
        interval: of the gain, over drawings of the clips.
        only_this: number of clips that this network alone names right.
        only_other: number of clips that the other alone names right.
        p: McNemar's exact test, two-sided.
    """

    gain: float
    interval: Interval
    only_this: int
    only_other: int
    p: float


def certainty_table(comparison: Comparison) -> Markup | None:
    """Every trained network with the intervals of its figures, and against the student alone.

    None if no network's view of the test clips is there.
    """
    everything = list(looked_at(comparison))
    if not everything:
        return None
    there = everything[:_MOST_ROWS]
    pairs = compare_pairs(
        [(looks, _other(comparison, group, phase)) for group, phase, looks in there]
    )
    compared = any(pairs)
    rows = []
    for (group, phase, looks), pair in zip(there, pairs, strict=True):
        row: list[Any] = [group.label, "?" if phase.seed is None else phase.seed]
        row += [_figure(phase, looks, name) for name, _ in _FIGURES]
        rows.append(row + _cells(pair) if compared else row)
    header = ["Network", "Seed", *(title for _, title in _FIGURES)]
    if compared:
        header += ["Top-1 over the student alone, points", "Right alone : other", "McNemar's p"]
    return join(
        element("h3", "How much the choice of test clips matters"),
        table(header, rows),
        element("p", f"The first {_MOST_ROWS} of {len(everything)} trainings.")
        if len(everything) > _MOST_ROWS
        else None,
        element("p", _explanation(compared, comparison), class_="small quiet"),
    )


def _explanation(compared: bool, comparison: Comparison) -> str:
    clips = "synthetic test clips" if comparison.synthetic else "test clips"
    drawn = (
        f"In brackets the middle {LEVEL:.0%} of {RESAMPLES:,} drawings of the {clips} with "
        "replacement (bootstrap), a training a row."
    )
    lines = [drawn]
    if compared:
        lines.append(
            "A distilled student stands against the student alone of the same seed, on the same clips. "
            "Right alone : other counts the clips that only one of the two names right; p is the chance "
            "of counts as unequal as these between equally good networks (McNemar, exact, two-sided), "
            "not corrected for the number of rows."
        )
    return " ".join(
        [*lines, "What another seed would change is another matter: see ± in the table above."]
    )


def _other(comparison: Comparison, group: Group, phase: Phase) -> Looks | None:
    """What the student alone of the same seed made of the same clips."""
    baseline = comparison.baseline(group) if group.variant != ALONE else None
    for other in baseline.finished if baseline else ():
        if other.seed == phase.seed and other.looks is not None and phase.looks is not None:
            return other.looks if same_clips(other.looks, phase.looks) else None
    return None


def compare_pairs(pairs: Sequence[tuple[Looks, Looks | None]]) -> list[Paired | None]:
    """Compares networks' top-1 on the same clips; None where there is no other.

    The drawings are those of `evaluation.comparison.compare`, so that the intervals are the same as
    `rgb2ir_jax.evaluate --compare` prints; they are drawn once for all networks with as many clips.
    """
    outcomes: list[Paired | None] = [None] * len(pairs)
    for clips in {len(looks.labels) for looks, other in pairs if other is not None}:
        places = [k for k, (a, b) in enumerate(pairs) if b is not None and len(a.labels) == clips]
        right = np.stack([_right(pairs[k][0]) for k in places], axis=1)
        others = np.stack([_right(b) for k in places if (b := pairs[k][1])], axis=1)
        drawn = _drawn_gains(right.astype(np.float64) - others)
        for column, k in enumerate(places):
            only_this = int(np.sum(right[:, column] & ~others[:, column]))
            only_other = int(np.sum(others[:, column] & ~right[:, column]))
            outcomes[k] = Paired(
                (only_this - only_other) / clips,
                percentile_interval(drawn[:, column], LEVEL),
                only_this,
                only_other,
                mcnemar(only_this, only_other),
            )
    return outcomes


def _right(looks: Looks) -> Bool[np.ndarray, " clip"]:
    return np.argmax(looks.logits, axis=1) == looks.labels


def _drawn_gains(
    gains: Float[np.ndarray, "clip pair"],
) -> Float[np.ndarray, "resample pair"]:
    blocks = [counts @ gains for counts in resample_counts(len(gains), RESAMPLES, seed=0)]
    return np.concatenate(blocks) / len(gains)


def _figure(phase: Phase, looks: Looks, name: str) -> Markup:
    found = phase.share(name)
    if found is None:
        return element("span", "not told", class_="quiet")
    intervals = looks.facts.get("intervals")
    ends = intervals.get(name) if isinstance(intervals, dict) else None
    told = [number(end) for end in ends] if isinstance(ends, list) else []
    within = ""
    if len(told) == 2 and told[0] is not None and told[1] is not None:
        within = f" [{100 * told[0]:.1f}, {100 * told[1]:.1f}]"
    return element("span", f"{100 * found:.1f}{within}", class_="nowrap")


def _cells(pair: Paired | None) -> list[Any]:
    if pair is None:
        return ["", "", ""]
    low, high = (f"{100 * end:+.1f}" for end in pair.interval)
    p = f"{pair.p:.2f}" if pair.p >= 0.095 else f"{pair.p:.1g}"
    return [
        element("span", f"{100 * pair.gain:+.1f} [{low}, {high}]", class_="nowrap"),
        f"{pair.only_this} : {pair.only_other}",
        element("strong", p) if pair.p < 1 - LEVEL else p,
    ]
