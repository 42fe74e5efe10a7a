"""`reproduce` on the tiny data set: what it trains, what it shares, and that it does so once."""

import csv
import json
import os
import re
import signal

import pytest

from rgb2ir_jax import reproduce
from rgb2ir_jax.reporting import published_dlkdd
from rgb2ir_jax.reporting.published import TABLES
from rgb2ir_jax.training.signals import Interrupted

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

VARIANTS = ("student", "dkd", "mgcam", "mgcam+dkd")


@pytest.fixture(scope="module")
def config_of(tiny_config, data_dir):
    def of(variant):
        config = tiny_config(variant)
        with config.unlocked():
            config.data.dir = str(data_dir)
            config.teacher.epochs = config.student.epochs = 1
            config.evaluation.batch_size = 8
        return config

    return of


@pytest.mark.slow
def test_a_table_is_trained_once_with_one_teacher_a_seed(config_of, tmp_path, capsys, monkeypatch):
    reproduce.reproduce([TABLES[3]], config_of, tmp_path, range(1))
    first = capsys.readouterr().out

    runs = tmp_path / "ten_class_xsub" / "seed0"
    assert {folder.name for folder in runs.iterdir()} == {"teacher", *VARIANTS}
    for variant in VARIANTS[1:]:
        result = json.loads((runs / variant / "result.json").read_text())
        assert [network["variant"] for network in result["networks"]] == [variant]
        assert result["config"]["teacher"]["checkpoint"] == str(runs / "teacher")
    with (tmp_path / "table3.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file) if row["source"] == "ours"}
    assert set(rows) == {"teacher", *VARIANTS}
    for variant, row in rows.items():
        result = json.loads((runs / variant / "result.json").read_text())
        assert float(row["top1"]) == pytest.approx(100 * result["networks"][-1]["top1"], abs=1e-4)
    table = (tmp_path / "table3.md").read_text()
    assert "after the last epoch; ours on ntu_rgbd_ir/ten_class_xsub, 1 seed" in table
    assert table.strip() in first

    # Two tables of another paper, which need one more run: the teacher and the student are there.
    reproduce.reproduce(published_dlkdd.TABLES[2:], config_of, tmp_path, range(1))
    out = capsys.readouterr().out
    assert out.count("finished already") == 1
    assert {folder.name for folder in runs.iterdir()} == {"teacher", *VARIANTS, "st-dlkdd"}
    distilled = json.loads((runs / "st-dlkdd" / "result.json").read_text())["networks"][-1]
    three, four = (tmp_path / f"dlkdd_table{number}.md" for number in (3, 4))
    assert "Table 3 of DL-KDD: Comparison on ARID V1.5, top-1 accuracy in percent" in out
    assert "Table 4 of DL-KDD: Comparison on Dark-48, top-1 and top-5 in percent" in out
    top1, top5 = (f"{100 * distilled[name]:.2f}" for name in ("top1", "top5"))
    assert re.search(rf"88\.04 \| +{re.escape(top1)} \|", three.read_text())
    assert re.search(rf"78\.29 \| +{re.escape(top5)} \|", four.read_text())
    assert three.read_text().strip() in out

    def no_training(self):
        raise RuntimeError(f"{self.workdir} is trained again")

    monkeypatch.setattr("rgb2ir_jax.training.experiment.Experiment.run_before_others", no_training)
    reproduce.reproduce([TABLES[3]], config_of, tmp_path, range(1))
    second = capsys.readouterr().out
    assert second.count("finished already") == 5
    assert table.strip() in second


def test_a_signal_at_the_end_of_a_training_lets_no_other_begin(config_of, tmp_path, monkeypatch):
    ran = []

    def signalled(self, stop):
        ran.append(self.workdir.name)
        os.kill(os.getpid(), signal.SIGTERM)
        return {"networks": []}

    monkeypatch.setattr("rgb2ir_jax.training.experiment.Experiment._run", signalled)
    with pytest.raises(Interrupted, match=r"SIGTERM: stopped after .*teacher"):
        reproduce.reproduce([TABLES[3]], config_of, tmp_path, range(1))
    assert ran == ["teacher"]


def test_a_split_that_a_table_cannot_compare_is_refused(config_of, tmp_path):
    def other_split(variant):
        config = config_of(variant)
        with config.unlocked():
            config.data.config = "my_videos"
        return config

    with pytest.raises(ValueError, match=r"config\.data\.config is 'my_videos'; this table"):
        reproduce.reproduce([TABLES[4]], other_split, tmp_path, range(1))
    assert not list(tmp_path.iterdir())


def test_a_row_that_the_config_cannot_train_is_left_out_and_others_stop_before_any_work(
    config_of, tmp_path, capsys
):
    def shifted(variant):
        config = config_of(variant)
        with config.unlocked():
            config.student.temporal_shift = True
        return config

    variants = ["teacher", "student", "tstdd", "mgcam+dkd"]
    assert reproduce._left_out(variants, config_of) == []
    assert reproduce._left_out(variants, shifted) == ["tstdd"]
    assert "The row of 'tstdd' is left out: the variant 'tstdd' trains" in capsys.readouterr().out

    def broken(variant):
        config = config_of(variant)
        with config.unlocked():
            config.data.segments = -1 if variant == "mgcam+dkd" else config.data.segments
        return config

    with pytest.raises(ValueError, match=r"config\.data\.segments is -1"):
        reproduce.reproduce([TABLES[3]], broken, tmp_path, range(1))
    assert not list(tmp_path.iterdir())
