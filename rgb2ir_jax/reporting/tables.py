"""Results as text that reads well in a terminal and in Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rgb2ir_jax.video.modalities import name_of


def describe_variant(variant: str) -> str:
    """What a trained network is, in words."""
    if variant == "teacher":
        return "teacher"
    if variant == "student":
        return "student alone"
    if variant == "tstdd":
        return "three streams, fused (tstdd)"
    if variant.startswith("tstdd-"):
        return f"{variant.removeprefix('tstdd-').replace('_', ' ')} stream (tstdd)"
    return f"student, distilled ({variant})"


def results_table(networks: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of trained networks, one a row, from the entries of `result.json`."""
    rows = [
        (
            "network",
            "sees",
            "seed",
            "top-1 %",
            "top-5 %",
            "mean class %",
            "clips tested",
            "training s",
        )
    ]
    rows += [
        (
            describe_variant(entry["variant"]),
            _sees(entry),
            str(entry["seed"]),
            f"{100 * entry['top1']:.1f}",
            f"{100 * entry['top5']:.1f}",
            f"{100 * entry['mean_class_accuracy']:.1f}",
            str(entry["clips_tested"]),
            f"{entry['seconds']:.0f}",
        )
        for entry in networks
    ]
    return markdown_table(rows, text_columns=2)


def _sees(entry: Mapping[str, Any]) -> str:
    # Runs of earlier versions do not tell all of it.
    told = [entry.get("enhance"), (entry.get("stream") or "").replace("_", " ")]
    return ", ".join([name_of(entry["modality"]), *filter(None, told)])


def markdown_table(rows: Sequence[Sequence[str]], *, text_columns: int) -> str:
    """Aligns cells under the header `rows[0]`; columns after the first `text_columns` go to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if column < text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "| " + " | ".join(cells) + " |"

    rule = [
        "-" * width if column < text_columns else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def spread_table(networks: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of top-1 over seeds, one variant a row: mean, standard deviation, every seed's.

    The standard deviation is the sample's (n - 1), in percentage points.
    """
    rows = [("network", "sees", "seeds", "top-1 % mean", "std", "each seed")]
    for variant in dict.fromkeys(entry["variant"] for entry in networks):
        entries = [entry for entry in networks if entry["variant"] == variant]
        top1 = [100 * entry["top1"] for entry in entries]
        rows.append(
            (
                describe_variant(variant),
                _sees(entries[0]),
                str(len(top1)),
                f"{statistics.mean(top1):.1f}",
                f"{statistics.stdev(top1):.1f}" if len(top1) > 1 else "-",
                ", ".join(f"{value:.1f}" for value in top1),
            )
        )
    return markdown_table(rows, text_columns=2)
