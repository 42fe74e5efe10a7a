"""The report that a builder leaves beside its records, on a page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rgb2ir_jax.reporting.page import Markup, disclosure, element, facts, join, table

BUILD_REPORT = "build_report.json"
_MOST_SKIPPED = 200
_MOST_TEXT = 2000


class BuildReportFile(NamedTuple):
    """The building side's report: its contents, or why there are none."""

    contents: Mapping[str, Any]
    problem: str | None


def read_build_report(directory: Path) -> BuildReportFile:
    """Reads the report that a builder left beside its records."""
    path = directory / BUILD_REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return BuildReportFile({}, f"There is no {BUILD_REPORT} beside the records.")
    except (OSError, ValueError, RecursionError) as error:
        return BuildReportFile({}, f"{BUILD_REPORT} cannot be read: {error}")
    if not isinstance(report, dict):
        return BuildReportFile({}, f"{BUILD_REPORT} holds no report.")
    return BuildReportFile(report, None)


def build_report_body(report: BuildReportFile) -> Markup:
    """Shows all that a report tells; the clips that were skipped, with their reasons, up to 200."""
    if report.problem:
        return element("p", report.problem)
    given = report.contents.get("skipped")
    skipped = given if isinstance(given, dict) else {}
    notes = report.contents.get("notes")
    told = {key: value for key, value in report.contents.items() if key not in ("skipped", "notes")}
    told |= notes if isinstance(notes, dict) else {"notes": notes or {}}
    pairs = [
        (key.replace("_", " "), _compact(value))
        for key, value in told.items()
        if value not in ({}, [])
    ]
    body = facts([*pairs, ("skipped", f"{len(skipped):,}")])
    if not skipped:
        return body
    rows = [(key, _compact(reason)) for key, reason in list(skipped.items())[:_MOST_SKIPPED]]
    if len(skipped) > len(rows):
        rows.append((f"and {len(skipped) - len(rows):,} more", f"all are in {BUILD_REPORT}"))
    listing = table(["skipped", "reason"], rows)
    return join(
        body,
        listing if len(rows) <= 10 else disclosure("Show what was skipped, and why", listing),
    )


def _compact(value: Any) -> str:
    """A value from JSON as text a person reads, bounded."""
    if isinstance(value, dict):
        text = ", ".join(f"{key}: {_compact(inner)}" for key, inner in value.items())
    elif isinstance(value, list):
        text = ", ".join(_compact(inner) for inner in value)
    elif isinstance(value, bool) or value is None:
        text = {True: "yes", False: "no", None: "none"}[value]
    else:
        text = f"{value:,}" if isinstance(value, int) else str(value)
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"
