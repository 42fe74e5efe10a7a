"""Tables: their shape in Markdown and their numbers."""

import numpy as np
import pytest

from rgb2ir_jax.reporting.tables import markdown_table, results_table, spread_table


def entry(variant="student", modality="ir", seed=0, top1=0.5):
    return {
        "variant": variant,
        "modality": modality,
        "seed": seed,
        "top1": top1,
        "top5": 0.87654,
        "mean_class_accuracy": 0.4321,
        "clips_tested": 300,
        "seconds": 12.6,
    }


def cells(table):
    lines = table.splitlines()
    assert len({len(line) for line in lines}) == 1, "the columns are aligned"
    assert all(line.startswith("| ") and line.endswith(" |") for line in lines)
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    assert len({len(row) for row in rows}) == 1
    assert all(set(cell) <= set("-:") for cell in rows[1])
    return [rows[0], *rows[2:]]


def test_results_are_one_row_a_network():
    header, *rows = cells(
        results_table([entry("teacher", "rgb", top1=0.98765), entry(), entry("mgcam+dkd", seed=2)])
    )
    assert header[:5] == ["network", "sees", "seed", "top-1 %", "top-5 %"]
    assert rows == [
        ["teacher", "RGB", "0", "98.8", "87.7", "43.2", "300", "13"],
        ["student alone", "infrared", "0", "50.0", "87.7", "43.2", "300", "13"],
        ["student, distilled (mgcam+dkd)", "infrared", "2", "50.0", "87.7", "43.2", "300", "13"],
    ]


def test_a_modality_without_a_word_of_its_own_is_shown_by_its_name():
    assert "| depth |" in results_table([entry(modality="depth")])


def test_spread_is_the_samples_standard_deviation():
    top1 = [0.41, 0.47, 0.445]
    networks = [entry(seed=seed, top1=value) for seed, value in enumerate(top1)]
    networks.insert(1, entry("teacher", "rgb", top1=0.8))
    header, student, teacher = cells(spread_table(networks))
    assert header == ["network", "sees", "seeds", "top-1 % mean", "std", "each seed"]
    mean, deviation = 100 * np.mean(top1), 100 * np.std(top1, ddof=1)
    assert student[:2] == ["student alone", "infrared"]
    assert student[2:] == ["3", f"{mean:.1f}", f"{deviation:.1f}", "41.0, 47.0, 44.5"]
    assert teacher == ["teacher", "RGB", "1", "80.0", "-", "80.0"]


def test_numbers_go_to_the_right():
    assert markdown_table([("name", "n"), ("a", "10")], text_columns=1) == (
        "| name |  n |\n| ---- | -: |\n| a    | 10 |"
    )


def test_rows_of_different_lengths_are_an_error():
    with pytest.raises((ValueError, IndexError)):
        markdown_table([("a", "b"), ("c",)], text_columns=1)
