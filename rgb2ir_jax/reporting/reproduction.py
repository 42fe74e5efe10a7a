"""A table of the paper with our runs beside its numbers, as Markdown and as CSV."""

import csv
import io
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from rgb2ir_jax.reporting.published import PublishedRow, PublishedTable
from rgb2ir_jax.reporting.tables import markdown_table

TEACHER = PublishedRow("RGB teacher (no row of the paper's)", "teacher", ())
"""Stands above the table: what the students could learn from."""


class Outcome(NamedTuple):
    """What one of our runs gave: the metric in percent, for a variant, a column and a seed."""

    variant: str
    protocol: str
    seed: int
    value: float


def reproduction_markdown(table: PublishedTable, outcomes: Sequence[Outcome]) -> str:
    """Returns the table: published number, our mean and sample standard deviation, every seed's.

    A row that has no run yet, or that this project does not train, shows a dash.
    """
    header = ["method"]
    for protocol in table.protocols:
        prefix = f"{protocol} " if protocol else ""
        header += [f"{prefix}published", f"{prefix}ours", "std", "seeds"]
    rows: list[Sequence[str]] = [header]
    for row in (TEACHER, *table.rows):
        cells = [row.method]
        for column, protocol in enumerate(table.protocols):
            values = _values(outcomes, row, protocol)
            cells += [
                f"{row.values[column]:.1f}" if row.values else "-",
                f"{statistics.mean(values):.1f}" if values else "-",
                f"{statistics.stdev(values):.1f}" if len(values) > 1 else "-",
                ", ".join(f"{value:.1f}" for value in values) or "-",
            ]
        rows.append(cells)
    return markdown_table(rows, text_columns=1)


def reproduction_csv(table: PublishedTable, outcomes: Sequence[Outcome]) -> str:
    """Returns one line a run, and one a published number (its seed is empty)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["table", "method", "variant", "protocol", "source", "seed", table.metric])
    for row in (TEACHER, *table.rows):
        for column, protocol in enumerate(table.protocols):
            start = [table.number, row.method, row.variant or "", protocol]
            if row.values:
                writer.writerow([*start, "published", "", f"{row.values[column]:.2f}"])
            for outcome in outcomes:
                if (outcome.variant, outcome.protocol) == (row.variant, protocol):
                    writer.writerow([*start, "ours", outcome.seed, f"{outcome.value:.4f}"])
    return text.getvalue()


def _values(outcomes: Sequence[Outcome], row: PublishedRow, protocol: str) -> list[float]:
    return [o.value for o in outcomes if (o.variant, o.protocol) == (row.variant, protocol)]
