"""The paper's tables: their numbers against METHODS' prose, and how ours stand beside them."""

import csv
import io
import statistics

import pytest

from rgb2ir_jax.reporting.published import TABLES
from rgb2ir_jax.reporting.reproduction import (
    Outcome,
    reproduction_csv,
    reproduction_markdown,
)


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_published_numbers_are_the_papers():
    """Typed anew from the paper, in the order of its tables."""
    of = {
        (number, row.variant): row.values for number, table in TABLES.items() for row in table.rows
    }
    assert [row.values[0] for row in TABLES[1].rows] == [
        *(71.20, 72.36, 74.69, 74.58, 76.03, 75.21, 74.38, 76.24, 80.86)
    ]
    assert [of[2, v] for v in ("student", "at", "ccskd", "mgcam+dkd")] == [
        *((53.9, 56.7), (56.2, 58.4), (55.6, 56.5), (58.8, 58.6))
    ]
    assert [of[3, v][0] for v in ("student", "dkd", "mgcam", "mgcam+dkd")] == [
        *(71.20, 78.60, 80.04, 80.86)
    ]
    assert [of[4, v] for v in ("student", "dkd", "mgcam", "mgcam+dkd")] == [
        *((53.9, 56.7), (55.7, 57.1), (57.5, 57.4), (58.8, 58.5))
    ]
    for table in TABLES.values():
        assert all(len(row.values) == len(table.protocols) for row in table.rows)


def test_markdown_shows_mean_and_spread_beside_the_published_number():
    values = [31.25, 35.5, 33.0]
    outcomes = [Outcome("dkd", "", seed, value) for seed, value in enumerate(values)]
    outcomes.append(Outcome("teacher", "", 0, 47.0))

    lines = reproduction_markdown(TABLES[3], outcomes).splitlines()

    assert cells(lines[0]) == ["method", "published", "ours", "std", "seeds"]
    by_method = {cells(line)[0]: cells(line)[1:] for line in lines[2:]}
    assert by_method["DKD"] == [
        "78.6",
        f"{sum(values) / 3:.1f}",
        f"{statistics.stdev(values):.1f}",
        "31.2, 35.5, 33.0",
    ]
    assert by_method["RGB teacher (no row of the paper's)"] == ["-", "47.0", "-", "47.0"]
    assert by_method["MGCAM"] == ["80.0", "-", "-", "-"]


def test_two_protocols_stand_side_by_side():
    outcomes = [Outcome("mgcam", "xsub", 0, 50.0), Outcome("mgcam", "xview", 0, 40.0)]
    lines = reproduction_markdown(TABLES[4], outcomes).splitlines()
    assert cells(lines[0])[1::4] == ["xview published", "xsub published"]
    row = next(cells(line) for line in lines if line.startswith("| MGCAM  "))
    assert row[1:] == ["57.5", "40.0", "-", "40.0", "57.4", "50.0", "-", "50.0"]


def test_csv_has_a_line_for_every_number():
    outcomes = [Outcome("sp", "", seed, 30.0 + seed) for seed in (0, 1)]
    rows = list(csv.DictReader(io.StringIO(reproduction_csv(TABLES[1], outcomes))))
    ours = [row for row in rows if row["source"] == "ours"]
    assert [(r["method"], r["seed"], float(r["top1"])) for r in ours] == [
        ("SP", "0", 30.0),
        ("SP", "1", 31.0),
    ]
    published = [row for row in rows if row["source"] == "published"]
    assert len(published) == len(TABLES[1].rows)
    assert sum(float(row["top1"]) for row in published) == pytest.approx(
        sum(row.values[0] for row in TABLES[1].rows), abs=0.01
    )
