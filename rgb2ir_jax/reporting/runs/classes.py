"""Where networks are right and what they mix up, class by class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rgb2ir_jax.reporting.page import BLUE, VERMILION, Markup, element, join, table
from rgb2ir_jax.reporting.runs.groups import Comparison, Group, Spread, paired
from rgb2ir_jax.reporting.runs.matrix import LEGEND, MOST_CLASSES, confusion_matrix
from rgb2ir_jax.reporting.runs.record import Phase
from rgb2ir_jax.reporting.runs.tables import spread_cell

_MOST_CONFUSIONS = 12
# Beyond this many classes, the ends of the ranking tell more than all of it.
_MOST_GAINS, _ENDS = 30, 12


def _with_matrices(
    comparison: Comparison,
) -> list[tuple[Group, Int[np.ndarray, "classes classes"]]]:
    found = [(group, group.confusion(comparison.class_names)) for group in comparison.groups]
    return [(group, matrix) for group, matrix in found if matrix is not None]


def confusion_section(comparison: Comparison) -> Markup | None:
    """The confusion matrices side by side; None if no network has one."""
    found = _with_matrices(comparison)
    if not found:
        return None
    if len(comparison.class_names) > MOST_CLASSES:
        return element("p", f"Matrices of more than {MOST_CLASSES} classes are not drawn.")
    names = comparison.class_names
    figures = [
        confusion_matrix(matrix, names, title=f"{group.label}{_of(group)}")
        for group, matrix in found
    ]
    return join(
        element(
            "p",
            "Row: the true class. Column: the class that the network named. Numbers are those of the "
            "table of classes below. Trainings of one kind are summed.",
        ),
        LEGEND,
        element("div", figures, class_="charts matrices"),
    )


def _of(group: Group) -> str:
    return f" ({len(group.finished)} trainings)" if len(group.finished) > 1 else ""


def classes_section(comparison: Comparison) -> Markup | None:
    """Accuracy of each class, and gains over the student alone; None if no file tells."""
    found = _with_matrices(comparison)
    if not found:
        return None
    names = comparison.class_names
    rows = []
    for place, name in enumerate(names):
        # Runs may be tested on other numbers of clips; those of the first stand for all.
        clips = int(found[0][1][place].sum()) // max(1, len(found[0][0].finished))
        cells: list[Any] = [f"{place + 1}", _named(name), f"{clips:,}"]
        cells += [spread_cell(_class_spread(group, names, place)) for group, _ in found]
        rows.append(cells)
    header = ["", "Class", "Clips", *(group.label for group, _ in found)]
    gains = [
        _gain_figure(group, other, names)
        for group, _ in found
        if (other := comparison.baseline(group)) is not None and other.confusion(names) is not None
    ]
    return join(
        element(
            "p",
            "Share of a class's test clips that were named right, in percent; ± over trainings.",
        ),
        table(header, rows),
        element("h3", "Gain over the student alone") if gains else None,
        element(
            "p",
            "Percentage points for each class. Bar: the mean; dots: pairs of trainings of one seed.",
        )
        if gains
        else None,
        element("div", gains, class_="charts") if gains else None,
    )


def _named(words: str) -> Markup:
    return element("div", words, class_="named")


def _class_accuracy(phase: Phase, names: Sequence[str], place: int) -> float | None:
    matrix = phase.confusion() if phase.class_names == tuple(names) else None
    if matrix is None or not matrix[place].sum():
        return None
    return float(matrix[place, place] / matrix[place].sum())


def _class_spread(group: Group, names: Sequence[str], place: int) -> Spread | None:
    return group.spread(lambda phase: _class_accuracy(phase, names, place))


def _gain_figure(group: Group, other: Group, names: Sequence[str]) -> Markup:
    gains: list[tuple[int, Spread, bool]] = []
    for place in range(len(names)):
        gain, by_seed = paired(group, other, lambda p, k=place: _class_accuracy(p, names, k))  # type: ignore[misc]
        if gain is not None:
            gains.append((place, gain, by_seed))
    note = ""
    if len(gains) > _MOST_GAINS:
        gains.sort(key=lambda entry: -entry[1].mean)
        gains = gains[:_ENDS] + gains[-_ENDS:]
        note = f", the {_ENDS} highest and lowest"
    widest = max((abs(v) for _, gain, _ in gains for v in gain.values), default=0.0) or 0.01
    row, width, centre, half = 30, 360, 156, 132
    drawn: list[Markup] = []
    for line, (place, gain, by_seed) in enumerate(gains):
        top = row * line
        end = centre + half * gain.mean / widest
        colour = BLUE if gain.mean >= 0 else VERMILION
        drawn += [
            element("text", _short(f"{place + 1} {names[place]}"), x=0, y=top + 11),
            element("text", f"{100 * gain.mean:+.1f}", x=width, y=top + 24, text_anchor="end"),
            element(
                "rect",
                x=f"{min(centre, end):.1f}",
                y=top + 16,
                width=f"{abs(end - centre):.1f}",
                height=9,
                fill=colour,
                fill_opacity=0.75,
            ),
        ]
        if by_seed and len(gain.values) > 1:
            dots = "".join(f"M{centre + half * v / widest:.1f} {top + 20.5}h0" for v in gain.values)
            drawn.append(
                element("path", d=dots, stroke="#1f2328", stroke_width=4, stroke_linecap="round")
            )
    height = row * len(gains)
    axis = element("line", x1=centre, x2=centre, y1=14, y2=height, stroke="#57606a")
    title = f"{group.label}{note} (points)"
    return element(
        "figure",
        element("figcaption", title),
        element(
            "svg",
            drawn,
            axis,
            viewBox=f"0 0 {width} {height}",
            width="100%",
            role="img",
            aria_label=f"{title}: gain over the student alone by class",
            font_size=11.5,
        ),
    )


def _short(name: str, most: int = 52) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def confusions_section(comparison: Comparison) -> Markup | None:
    """The pairs of classes that are mixed up most, with every group's share; None without any."""
    found = [(group, _rates(matrix)) for group, matrix in _with_matrices(comparison)]
    students = [rates for group, rates in found if group.network == "student"]
    if not found:
        return None
    ranked = np.mean(students or [rates for _, rates in found], axis=0)
    order = np.argsort(-ranked, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    names, classes = comparison.class_names, len(comparison.class_names)
    rows = []
    for place in order.tolist():
        true, named = divmod(place, classes)
        if ranked[true, named] <= 0:
            break
        rows.append(
            [
                _named(f"{names[true]} → {names[named]}"),
                *(f"{100 * rates[true, named]:.1f}" for _, rates in found),
            ]
        )
    if not rows:
        return element("p", "No test clip was named wrong.")
    who = "students" if students else "networks"
    return join(
        element(
            "p",
            "True class → the one that was named, with the share of the true class's test clips in "
            f"percent; first what all {who} together mix up most.",
        ),
        table(["True → named", *(group.label for group, _ in found)], rows),
    )


def _rates(matrix: Int[np.ndarray, "classes classes"]) -> Float[np.ndarray, "classes classes"]:
    """Shares of each true class's clips that went wrong to each other class."""
    rates = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(rates, 0.0)
    return rates
