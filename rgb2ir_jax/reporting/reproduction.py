"""A table of a paper with our runs beside its numbers, as Markdown and as CSV."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rgb2ir_jax.reporting.published import Metric, PublishedRow, PublishedTable
from rgb2ir_jax.reporting.tables import markdown_table


class Outcome(NamedTuple):
    """What one of our runs gave.

    Attributes:
        variant: The run's.
        protocol: The split; "" for the one that the config named.
        seed: The run's.
        metrics: In percent, by their names in `result.json`.
    """

    variant: str
    protocol: str
    seed: int
    metrics: Mapping[str, float]


def reproduction_markdown(table: PublishedTable, outcomes: Sequence[Outcome]) -> str:
    """Returns the table: published number, our mean and sample standard deviation, every seed's.

    A row that has no run yet, or that this project does not train, shows a dash.
    """
    shown = f".{table.decimals}f"
    header = ["method"]
    for protocol, metric in _columns(table):
        prefix = f"{protocol} " * bool(protocol) + f"{metric.name} " * (len(table.metrics) > 1)
        header += [f"{prefix}published", f"{prefix}ours", "std", "seeds"]
    rows: list[Sequence[str]] = [header]
    for row in table.all_rows:
        cells = [row.method]
        for column, (protocol, metric) in enumerate(_columns(table)):
            values = [o.metrics[metric.key] for o in _of(outcomes, row, protocol)]
            cells += [
                f"{row.values[column]:{shown}}" if row.values else "-",
                f"{statistics.mean(values):{shown}}" if values else "-",
                f"{statistics.stdev(values):{shown}}" if len(values) > 1 else "-",
                ", ".join(f"{value:{shown}}" for value in values) or "-",
            ]
        rows.append(cells)
    return markdown_table(rows, text_columns=1)


def reproduction_csv(table: PublishedTable, outcomes: Sequence[Outcome]) -> str:
    """Returns one line a run, and one for the published numbers (its seed is empty), of each split."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = [metric.key for metric in table.metrics]
    writer.writerow(["table", "method", "variant", "protocol", "source", "seed", *keys])
    label = f"{table.paper} {table.number}".strip()
    for row in table.all_rows:
        for place, protocol in enumerate(table.protocols):
            start = [label, row.method, row.variant or "", protocol]
            if row.values:
                published = row.values[place * len(keys) : (place + 1) * len(keys)]
                writer.writerow([*start, "published", "", *(f"{value:.2f}" for value in published)])
            for outcome in _of(outcomes, row, protocol):
                ours = (f"{outcome.metrics[key]:.4f}" for key in keys)
                writer.writerow([*start, "ours", outcome.seed, *ours])
    return text.getvalue()


def _columns(table: PublishedTable) -> list[tuple[str, Metric]]:
    return [(protocol, metric) for protocol in table.protocols for metric in table.metrics]


def _of(outcomes: Sequence[Outcome], row: PublishedRow, protocol: str) -> list[Outcome]:
    return [o for o in outcomes if (o.variant, o.protocol) == (row.variant, protocol)]
