"""The report on runs: one page that needs no network."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rgb2ir_jax.reporting.page import (
    Markup,
    contents,
    element,
    facts,
    join,
    notices,
    page,
    section,
)
from rgb2ir_jax.reporting.runs import embedding, gradcam, mistakes
from rgb2ir_jax.reporting.runs.certainty import certainty_table
from rgb2ir_jax.reporting.runs.classes import (
    classes_section,
    confusion_section,
    confusions_section,
)
from rgb2ir_jax.reporting.runs.configs import configs_section
from rgb2ir_jax.reporting.runs.cost import cost_section, trainings_table
from rgb2ir_jax.reporting.runs.curves import curves_section
from rgb2ir_jax.reporting.runs.files import find_runs, read_runs
from rgb2ir_jax.reporting.runs.groups import ALONE, Comparison, compare_runs
from rgb2ir_jax.reporting.runs.looks import looked_at, untold
from rgb2ir_jax.reporting.runs.record import Run, architecture_name, number, text
from rgb2ir_jax.reporting.runs.tables import results_section
from rgb2ir_jax.reporting.runs.warnings import commit, devices, find_warnings, versions

_STYLE = """
.nowrap { white-space: nowrap; }
.each { min-width: 7.5rem; }
.named { min-width: 9rem; }
.overview { max-width: 30rem; margin: 0 0 1rem; }
.matrices { grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); gap: 1.25rem 1.5rem;
  align-items: end; }
.beyond { margin: 0; font-size: .8rem; color: var(--quiet); }
.legend svg { vertical-align: -.1em; }
td svg { display: inline-block; vertical-align: -.1em; }
.scrolls td, .scrolls th { max-width: 17rem; }
.scrolls th:not(:empty) { min-width: 4rem; }
.scrolls table { font-size: .925rem; }
.settings { display: flex; flex-wrap: wrap; gap: 0 1.25rem; min-width: 12rem; }
.scrolls td:has(.settings) { max-width: none; overflow-wrap: anywhere; }
.setting, .config { font: .8rem/1.45 ui-monospace, "Liberation Mono", Consolas, monospace; }
.config { white-space: pre-wrap; max-height: 28rem; overflow: auto; background: #f6f8fa; padding: .6rem; }
details { margin: .35rem 0; }
.data { margin-top: 1.75rem; border-left: 4px solid #0072B2; padding-left: .6rem; font-size: 1.05rem; }
@media print { .config { max-height: none; } .scrolls { overflow: visible; } .scrolls table { font-size: .8rem; } }
"""
_MOST_NAMED = 24
# Data sets whose clips are shown; of each, pictures take a megabyte or two.
_MOST_PICTURED = 3


def write_report(paths: Sequence[Path]) -> str:
    """Finds and reads the runs and puts the page together.

    Args:
        paths: work directories of `rgb2ir_jax.main`, or folders above several.

    Returns:
        The HTML.

    Raises:
        ValueError: a path holds no run, or there are too many.
        OSError: a folder cannot be read.
    """
    return report_page(read_runs(find_runs(paths)))


def report_page(runs: Sequence[Run]) -> str:
    """The page on runs, one at least, however much or little their files tell."""
    comparisons = compare_runs(runs)
    pictured = [c for c in comparisons if any(looked_at(c))][:_MOST_PICTURED]
    parts: list[tuple[str, str, Markup | None]] = [
        ("results", "Results", _each(comparisons, _results)),
        ("curves", "Learning curves", _each(comparisons, curves_section)),
        ("confusion", "Confusion matrices", _each(comparisons, confusion_section)),
        ("classes", "Accuracy by class", _each(comparisons, classes_section)),
        ("mixed-up", "Most frequent confusions", _each(comparisons, confusions_section)),
        ("features", "Features of test clips", _each(pictured, embedding.features_section)),
        ("gradcam", "Where the networks look", _each(pictured, gradcam.gradcam_section)),
        ("mistakes", "Most confident mistakes", _each(pictured, mistakes.mistakes_section)),
        ("untold", "Intervals, features, Grad-CAM, mistakes", untold(comparisons)),
        ("cost", "Cost", _each(comparisons, cost_section)),
        ("configs", "Configs", configs_section(runs)),
    ]
    there = [(anchor, heading, body) for anchor, heading, body in parts if body]
    title = " and ".join(comparison.title for comparison in comparisons[:3])
    if len(comparisons) > 3:
        title += f" and {len(comparisons) - 3} more"
    names = _distinct(str(run.config.get("name") or "") for run in runs)
    heading = f"{', '.join(names)}: {title}" if names else title
    return page(
        f"{heading}: report",
        element("h1", heading),
        element("p", _one_line(runs), class_="quiet"),
        contents([(anchor, heading) for anchor, heading, _ in there]),
        section("warnings", "Warnings", notices(find_warnings(runs, comparisons))),
        section("about", "What was run", _about(runs, comparisons)),
        [section(*part) for part in there],
        style=_STYLE + embedding.STYLE + gradcam.STYLE + mistakes.STYLE,
    )


def _results(comparison: Comparison) -> Markup:
    found = results_section(comparison)
    if found is None:
        found = element("p", "No network is trained to its end yet.")
    return join(found, certainty_table(comparison), trainings_table(comparison))


def _each(
    comparisons: Sequence[Comparison], part: Callable[[Comparison], Markup | None]
) -> Markup | None:
    """A part of the page for each data set, under its name where there are several."""
    found = [(comparison, body) for comparison in comparisons if (body := part(comparison))]
    if not found:
        return None
    if len(comparisons) == 1:
        return found[0][1]
    return join(
        [(element("h3", comparison.title, class_="data"), body) for comparison, body in found]
    )


def _distinct(values: Iterable[str], longest: int = 80) -> list[str]:
    found = [text(value, longest) for value in dict.fromkeys(values) if value]
    if len(found) > _MOST_NAMED:
        return [*found[:_MOST_NAMED], f"and {len(found) - _MOST_NAMED} more"]
    return found


def _one_line(runs: Sequence[Run]) -> str:
    finished = sum(run.finished for run in runs)
    networks = sum(phase.finished for run in runs for phase in run.phases)
    plural = "" if len(runs) == 1 else "s"
    state = "" if finished == len(runs) else f", {len(runs) - finished} not finished"
    trained = f"{networks} trained network{'' if networks == 1 else 's'}"
    return f"{len(runs)} run{plural}{state}; {trained}"


def _about(runs: Sequence[Run], comparisons: Sequence[Comparison]) -> Markup:
    phases = [phase for run in runs for phase in run.phases]
    seeds = sorted({phase.seed for phase in phases if phase.seed is not None})
    methods = _distinct(
        phase.variant for phase in phases if phase.variant not in ("teacher", ALONE)
    )
    return facts(
        [
            ("Data", "; ".join(_data(comparison) for comparison in comparisons)),
            ("Networks", ", ".join(_networks(runs)) or None),
            ("Methods", ", ".join(methods) or "none: no student was distilled"),
            ("Seeds", ", ".join(_distinct(map(str, seeds))) or "not told"),
            ("Devices", "; ".join(_distinct(map(devices, runs))) or "not told"),
            ("Commit", ", ".join(_distinct(map(commit, runs))) or "not told"),
            ("Versions", "; ".join(_distinct(map(versions, runs), 1_000)) or "not told"),
        ]
    )


def _data(comparison: Comparison) -> str:
    words = [comparison.title]
    for run in comparison.runs:
        if isinstance(clips := run.data_set.get("clips"), dict):
            counts = [(text(k, 30), number(v)) for k, v in list(clips.items())[:8]]
            words.append(" + ".join(f"{v:,.0f} {k}" for k, v in counts if v is not None) + " clips")
            break
    if comparison.class_names:
        words.append(f"{len(comparison.class_names)} classes")
    return ", ".join(words)


def _networks(runs: Sequence[Run]) -> list[str]:
    found = []
    for run in runs:
        for phase in run.phases:
            depth = number(phase.spec.get("depth"))
            if depth is not None:
                found.append(
                    f"{phase.network} {architecture_name(phase.spec, depth)} on {phase.sees or 'what is not told'}"
                )
    return _distinct(sorted(found, reverse=True))
