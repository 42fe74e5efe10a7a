"""The paper's tables: their numbers against METHODS' prose, and how ours stand beside them."""

import csv
import io
import statistics

import pytest

from configs import ntu
from rgb2ir_jax.reporting import published_dlkdd
from rgb2ir_jax.reporting.published import TABLES
from rgb2ir_jax.reporting.reproduction import (
    Outcome,
    reproduction_csv,
    reproduction_markdown,
)
from rgb2ir_jax.reproduce import choose_tables


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
    outcomes = [Outcome("dkd", "", seed, {"top1": value}) for seed, value in enumerate(values)]
    outcomes.append(Outcome("teacher", "", 0, {"top1": 47.0}))

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
    outcomes = [
        Outcome("mgcam", protocol, 0, {"mAP_classification": value})
        for protocol, value in (("xsub", 50.0), ("xview", 40.0))
    ]
    lines = reproduction_markdown(TABLES[4], outcomes).splitlines()
    assert cells(lines[0])[1::4] == ["xview published", "xsub published"]
    row = next(cells(line) for line in lines if line.startswith("| MGCAM  "))
    assert row[1:] == ["57.5", "40.0", "-", "40.0", "57.4", "50.0", "-", "50.0"]


def test_csv_has_a_line_for_every_number():
    outcomes = [Outcome("sp", "", seed, {"top1": 30.0 + seed}) for seed in (0, 1)]
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


def test_published_numbers_of_dl_kdd_are_its_papers():
    """Typed anew from the paper, in the order of its tables."""
    one, two, three, four = published_dlkdd.TABLES
    assert [row.values for row in one.rows] == [(92.44,), (95.73,), (97.27,)]
    assert [row.variant for row in one.rows] == ["student", "teacher", "st-dlkdd"]
    assert [row.values[0] for row in two.rows] == [
        *(68.29, 72.78, 74.73, 94.04, 96.36, 96.60, 97.27)
    ]
    assert [row.values[0] for row in three.rows] == [48.75, 51.24, 84.13, 86.93, 88.04]
    assert [row.values for row in four.rows] == [
        *((32.25, 65.35), (37.23, 68.86), (42.27, 70.47), (46.68, 75.92), (50.86, 78.29))
    ]
    for table in (two, three, four):
        # Of the paper's own method alone: the others are cited.
        assert [row.method for row in table.rows if row.variant] == ["DL-KDD"]
    assert [t.file_stem for t in published_dlkdd.TABLES] == [f"dlkdd_table{n}" for n in range(1, 5)]


@pytest.mark.parametrize(
    ("data_set", "numbers"),
    [
        *((f"arid/v1_split{split}", [1, 2]) for split in (1, 2, 3)),
        *((f"arid/v1_5_split{split}", [3]) for split in (0, 1)),
        ("dark48/default", [4]),
    ],
)
def test_the_data_set_decides_which_of_dl_kdds_tables_are_meant(data_set, numbers):
    config = ntu.get_config("teacher")
    with config.unlocked():
        config.data.name, config.data.config = data_set.split("/")
    assert [table.number for table in choose_tables("dlkdd", config)] == numbers
    assert choose_tables("3", config) == (TABLES[3],)


def test_a_data_set_without_a_table_is_refused_with_those_that_have_one():
    with pytest.raises(
        ValueError,
        match=r"config\.data is ntu_rgbd_ir/ten_class_xsub, and DL-KDD has no table on it; expected one of "
        r"arid/v1_split\* \(Table 1 and 2\), arid/v1_5_split\* \(Table 3\), dark48/\* \(Table 4\)",
    ):
        choose_tables("dlkdd", ntu.get_config("teacher"))


def test_two_metrics_stand_side_by_side():
    *_, table = published_dlkdd.TABLES
    outcomes = [
        Outcome("st-dlkdd", "", 0, {"top1": 40.0, "top5": 70.125}),
        Outcome("st-dlkdd", "", 1, {"top1": 41.5, "top5": 71.0}),
    ]
    lines = reproduction_markdown(table, outcomes).splitlines()
    assert cells(lines[0])[1::4] == ["top-1 published", "top-5 published"]
    by_method = {cells(line)[0]: cells(line)[1:] for line in lines[2:]}
    assert by_method["DL-KDD"] == [
        *("50.86", "40.75", "1.06", "40.00, 41.50", "78.29", "70.56", "0.62", "70.12, 71.00")
    ]
    assert by_method["DTCM"] == ["46.68", "-", "-", "-", "75.92", "-", "-", "-"]
    assert cells(lines[2])[:2] == ["teacher on enhanced frames (no row of this table's)", "-"]

    rows = list(csv.DictReader(io.StringIO(reproduction_csv(table, outcomes))))
    ours = [(r["table"], r["seed"], float(r["top1"]), float(r["top5"])) for r in rows if r["seed"]]
    assert ours == [("DL-KDD 4", "0", 40.0, 70.125), ("DL-KDD 4", "1", 41.5, 71.0)]
    dtcm = next(row for row in rows if row["method"] == "DTCM")
    assert (dtcm["source"], dtcm["top1"], dtcm["top5"]) == ("published", "46.68", "75.92")


def test_a_teacher_that_the_paper_has_stands_in_its_row_alone():
    table = published_dlkdd.TABLES[0]
    lines = reproduction_markdown(table, [Outcome("teacher", "", 0, {"top1": 90.0})]).splitlines()
    assert [cells(line)[1:3] for line in lines[2:]] == [
        *(["92.44", "-"], ["95.73", "90.00"], ["97.27", "-"])
    ]
