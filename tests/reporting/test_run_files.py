"""Runs are found and read; files that are broken become sentences, and never an error."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.reporting.runs.files import find_runs, read_runs
from rgb2ir_jax.reporting.runs.record import Phase, number


def write_run(folder, networks=("student",), *, result=True):
    """A work directory with the smallest files that say something."""
    config = {"variant": "dkd", "seed": 3, "optimizer": {"learning_rate": 0.1}}
    data_set = {"data_set": "ntu_rgbd_ir/ten_class_xsub/1.0.0", "clips": {"train": 8}}
    entries = []
    for network in networks:
        phase = folder / network
        phase.mkdir(parents=True)
        (phase / "network.json").write_text('{"depth": 18, "modality": "ir"}')
        lines = [
            {"step": 5, "epoch": 0.5, "train/loss": 2.0},
            {"step": 10, "epoch": 1.0, "train/loss": 1.0},
            {"step": 10, "test/top1": 0.25},
        ]
        (phase / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (phase / "timing.jsonl").write_text('{"step": 5, "clips_per_second": 7.0}\n')
        entry = {"network": network, "top1": 0.25, "seed": 3, "synthetic": True}
        entries.append(entry)
        if result:
            (phase / "result.json").write_text(json.dumps(entry))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "data_set.json").write_text(json.dumps(data_set))
    if result:
        (folder / "result.json").write_text(json.dumps({"networks": entries}))
    return folder


def read_one(folder):
    (run,) = read_runs(find_runs([folder]))
    return run


def test_a_folder_above_gives_its_runs_in_order_and_once_each(tmp_path):
    for name in ("b/teacher", "b/dkd", "a"):
        write_run(tmp_path / "runs" / name, ["teacher"] if "teacher" in name else ["student"])
    (tmp_path / "runs" / "data" / "deep").mkdir(parents=True)
    given = [tmp_path / "runs", tmp_path / "runs" / "b" / "dkd", tmp_path / "runs" / "." / "a"]
    found = find_runs(given)
    assert [str(path.relative_to(tmp_path / "runs")) for path in found] == [
        "a",
        "b/dkd",
        "b/teacher",
    ]
    assert [run.name for run in read_runs(found)] == ["a", "b/dkd", "b/teacher"]


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    write_run(tmp_path / "elsewhere" / "run")
    write_run(tmp_path / "runs" / "mine")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere")
    assert find_runs([tmp_path / "runs"]) == [(tmp_path / "runs" / "mine").resolve()]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path, "does not exist"),
        (lambda path: path.write_text("x") and path, "is a file"),
        (lambda path: path.mkdir() or path, "holds no run"),
        (lambda path: write_run(path) / "student", "one network of a run; give the run"),
    ],
)
def test_what_holds_no_run_is_told(tmp_path, make, sentence):
    with pytest.raises(ValueError, match=sentence):
        find_runs([make(tmp_path / "given")])


def test_everything_of_a_run_is_read(tmp_path):
    run = read_one(write_run(tmp_path / "run", ["teacher", "student"]))
    assert (run.name, run.finished, run.synthetic, run.problems) == ("run", True, True, ())
    assert run.data_name == "ntu_rgbd_ir/ten_class_xsub"
    teacher, student = run.phases
    assert (teacher.variant, student.variant, student.seed) == ("teacher", "dkd", 3)
    assert student.config["optimizer.learning_rate"] == 0.1
    assert student.steps_per_epoch == 10
    assert student.share("top1") == 0.25
    np.testing.assert_array_equal(student.curves["train/loss"].step, [5, 10])
    np.testing.assert_array_equal(student.curves["train/loss"].value, [2, 1])
    np.testing.assert_array_equal(student.curves["clips_per_second"].value, [7])


def test_an_unfinished_run_has_its_curves(tmp_path):
    run = read_one(write_run(tmp_path / "run", result=False))
    assert not run.finished
    assert run.synthetic is None
    assert run.phases[0].seed == 3
    assert run.phases[0].curves["test/top1"].value.tolist() == [0.25]
    assert run.problems == ()


def test_a_lost_phase_is_known_from_the_result(tmp_path):
    folder = write_run(tmp_path / "run")
    for file in (folder / "student").iterdir():
        file.unlink()
    run = read_one(folder)
    assert run.phases[0].share("top1") == 0.25
    assert run.problems == ("student/network.json is missing", "student/metrics.jsonl is missing")


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("config.json", b'{"a": ', "run/config.json cannot be read"),
        ("config.json", b"[" * 100_000, "run/config.json cannot be read"),
        ("config.json", b"[1]", "run/config.json is no JSON object"),
        ("config.json", b'{"seed": ' + b"9" * 5_000 + b"}", "run/config.json cannot be read"),
        ("result.json", b"\xff\xfe", "run/result.json cannot be read"),
        ("student/result.json", b"7", "student/result.json is no JSON object"),
        ("student/metrics.jsonl", b"no\n[1]\n{}\n", "student/metrics.jsonl has 3 lines that"),
        ("student/metrics.jsonl", b'{"step": 1, "a": NaN, "b": null, "c": 1e999}\n', "3 values"),
        ("student/metrics.jsonl", b"{" + b" " * 64_000_000, "larger than 64 MB"),
    ],
)
def test_broken_files_are_sentences(tmp_path, file, content, sentence):
    folder = write_run(tmp_path / "run")
    (folder / file).write_bytes(content)
    run = read_one(folder)
    assert any(sentence in problem for problem in run.problems), run.problems
    assert len(run.phases) == 1


@given(st.one_of(st.floats(), st.integers(), st.booleans(), st.text(), st.none()))
def test_numbers_are_finite_floats_or_nothing(value):
    found = number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        assert found is None
    else:
        assert found is None or (math.isfinite(found) and found == pytest.approx(value))


@pytest.mark.parametrize(
    "confusion",
    [None, 5, [], [[1]], [[1, 2], [3]], [[1, 2], 3], [[1, -2], [3, 4]], [[1, 2.5], [3, 4]],
     [[True, 2], [3, 4]], [[1, 2**40], [3, 4]], [[1, 2, 3], [4, 5, 6]]],
)  # fmt: skip
def test_a_matrix_that_makes_no_sense_is_none(confusion):
    entry = {"class_names": ["a", "b"], "metrics": {"confusion": confusion}}
    assert Phase("student", entry, {}, {}, None, {}, "run").confusion() is None


def test_a_matrix_that_makes_sense_is_itself():
    entry = {"class_names": ["a", "b"], "metrics": {"confusion": [[1, 2], [3, 4]]}}
    found = Phase("student", entry, {}, {}, None, {}, "run").confusion()
    assert found.tolist() == [[1, 2], [3, 4]]
