"""Results of runs in a table: mean and spread over seeds, beside the paper's numbers."""

import math
import statistics
from typing import Any

from rgb2ir_jax.reporting.line_chart import line_swatch
from rgb2ir_jax.reporting.page import Markup, element, join, table
from rgb2ir_jax.reporting.published import TABLES
from rgb2ir_jax.reporting.runs.groups import Comparison, Group, Spread, paired
from rgb2ir_jax.reporting.runs.overview import Row, overview
from rgb2ir_jax.reporting.runs.record import number

_METRICS = (
    ("top1", "Top-1 %"),
    ("top5", "Top-5 %"),
    ("mean_class_accuracy", "Mean class %"),
    ("mAP_classification", "mAP %, classification"),
    ("mAP_detection", "mAP %, detection"),
    ("macro_f1", "Macro F1 %"),
)
_MOST_VALUES = 12


def published_tables(comparison: Comparison) -> tuple[int, ...]:
    """The paper's tables on this data set; none for any other, and none for synthetic footage."""
    name, _, config = comparison.data_name.partition("/")
    if comparison.synthetic is not False:
        return ()
    if name == "ntu_rgbd_ir" and config.startswith("ten_class_"):
        return (1, 3)
    if name == "pku_mmd_ir" and config in ("phase1_xsub", "phase1_xview"):
        return (2, 4)
    return ()


def published_values(comparison: Comparison, group: Group) -> dict[float, list[int]]:
    """The paper's numbers of a group, in percent, each with the tables that it stands in."""
    found: dict[float, list[int]] = {}
    if group.limited:
        return found
    for table_number in published_tables(comparison):
        published = TABLES[table_number]
        ends = [comparison.data_name.endswith(protocol) for protocol in published.protocols]
        column = ends.index(True)
        for row in published.rows:
            if row.variant == group.variant:
                found.setdefault(row.values[column], []).append(table_number)
    return found


def _metric_of_paper(comparison: Comparison) -> str | None:
    tables = published_tables(comparison)
    return TABLES[tables[0]].metric if tables else None


def results_section(comparison: Comparison) -> Markup | None:
    """Figure and table of the finished networks; None if there is none."""
    groups = [(style, g) for style, g in enumerate(comparison.groups) if g.finished]
    if not groups:
        return None
    judged = _metric_of_paper(comparison) or "top1"
    shown = [
        (name, title)
        for name, title in _METRICS
        if any(group.spread(lambda p, n=name: p.share(n)) for _, group in groups)  # type: ignore[misc]
    ]
    baselines = any(comparison.baseline(group) for _, group in groups)
    paper = any(published_values(comparison, group) for _, group in groups)
    header: list[Any] = ["Network", "Sees", "Seeds", *(title for _, title in shown)]
    name_of_judged = dict(_METRICS)[judged].replace(" %", "")
    if baselines:
        header.append(f"{name_of_judged}: over the student alone")
    if paper:
        header.append(f"The paper's {name_of_judged}")
    rows = []
    for style, group in groups:
        cells: list[Any] = [
            join(line_swatch(style), " ", group.label),
            group.finished[0].sees or "not told",
            _seeds(group),
        ]
        cells += [
            spread_cell(_spread(group, name), each=name in ("top1", judged)) for name, _ in shown
        ]
        if baselines:
            cells.append(_gain(comparison, group, judged))
        if paper:
            cells.append(_published_cell(comparison, group))
        rows.append(cells)
    return join(
        _figure(comparison, groups, judged),
        table(header, rows),
        element("p", _explanation(comparison, groups, judged), class_="small quiet"),
    )


def _figure(comparison: Comparison, groups: list[tuple[int, Group]], judged: str) -> Markup | None:
    rows = []
    for style, group in groups:
        if found := _spread(group, judged):
            values = [100 * value for value in found.values]
            rows.append(Row(group.label, style, values, list(published_values(comparison, group))))
    if not rows:
        return None
    title = dict(_METRICS)[judged].replace(" %", "")
    made_up = ", synthetic footage" if comparison.synthetic else ""
    return overview(
        rows, title=f"{title} of the test clips{made_up}", x_label=f"{title} of test clips (%)"
    )


def _explanation(comparison: Comparison, groups: list[tuple[int, Group]], judged: str) -> str:
    lines = ["After the last epoch. ± is the sample standard deviation over trainings."]
    clips = {number(p.entry.get("clips_tested")) for _, group in groups for p in group.finished}
    shares = [s.mean for _, g in groups if g.network == "student" and (s := _spread(g, judged))]
    if judged == "top1" and len(clips) == 1 and (tested := clips.pop()) and shares:
        share = statistics.mean(shares)
        error = 100 * math.sqrt(2 * share * (1 - share) / tested)
        lines.append(
            f"The {tested:,.0f} test clips alone give a difference of two single trainings a standard "
            f"error of about {error:.1f} points, if the clips are independent."
        )
    if comparison.synthetic:
        lines.append(
            "Synthetic footage: the paper's numbers mean something else, and are left out."
        )
    elif comparison.synthetic is None:
        lines.append(
            "No file tells whether the footage was filmed: the paper's numbers are left out."
        )
    elif not published_tables(comparison):
        lines.append("The paper has no numbers on this data set.")
    elif published_tables(comparison) == (1, 3):
        lines.append(
            "The paper (Tables 1 and 3) does not say whether it splits by subject or view."
        )
    else:
        lines.append(
            "The paper (Tables 2 and 4) does not say which mAP it means; this is the classifier's."
        )
    return " ".join(lines)


def _spread(group: Group, name: str) -> Spread | None:
    return group.spread(lambda phase: phase.share(name))


def _seeds(group: Group) -> str:
    seeds = [str(p.seed) if p.seed is not None else "?" for p in group.finished]
    missing = len(group.phases) - len(group.finished)
    return f"{_few(seeds)}{f' ({missing} unfinished)' if missing else ''}"


def _few(values: list[str]) -> str:
    more = len(values) - _MOST_VALUES
    return ", ".join(values[:_MOST_VALUES]) + (f" and {more} more" if more > 0 else "")


def spread_cell(found: Spread | None, *, factor: float = 100.0, each: bool = False) -> Markup:
    """A mean, its standard deviation, and below it each value where that is wanted."""
    if found is None:
        return element("span", "not told", class_="quiet")
    mean = f"{factor * found.mean:.1f}"
    deviation = "" if found.deviation is None else f" ± {factor * found.deviation:.1f}"
    cell = element("span", mean + deviation, class_="nowrap")
    if not each or len(found.values) == 1:
        return cell
    values = _few([f"{factor * value:.1f}" for value in found.values])
    return join(cell, element("div", values, class_="small quiet each"))


def _gain(comparison: Comparison, group: Group, judged: str) -> Markup | None:
    other = comparison.baseline(group)
    if other is None:
        return None
    found, by_seed = paired(group, other, lambda phase: phase.share(judged))
    if found is None:
        return None
    deviation = "" if found.deviation is None else f" ± {100 * found.deviation:.1f}"
    how = _few([f"{100 * v:+.1f}" for v in found.values]) if by_seed else "other seeds"
    text_ = element("span", f"{100 * found.mean:+.1f}{deviation}", class_="nowrap")
    if by_seed and len(found.values) == 1:
        return text_
    return join(text_, element("div", how, class_="small quiet each"))


def _published_cell(comparison: Comparison, group: Group) -> str:
    found = published_values(comparison, group)
    if len(found) == 1:
        return f"{next(iter(found)):.1f}"
    # The paper gives its own method two numbers.
    return ", ".join(f"{value:.1f} (Table {tables[0]})" for value, tables in found.items()) or "-"
