"""The demo's parts, with filming, building and training put out of play."""

import json
import types
from typing import ClassVar

import pytest

from rgb2ir_jax import demo
from rgb2ir_jax.data import source
from rgb2ir_jax.synthesis import dataset
from rgb2ir_jax.training import experiment
from rgb2ir_jax.training.observing import progress


class FakeExperiment:
    """Notes what it is asked to train, and answers as `Experiment.run_before_others` does."""

    asked: ClassVar[list] = []

    def __init__(self, config, workdir):
        self._config = config
        FakeExperiment.asked.append((config, workdir))

    def run_before_others(self):
        variant, seed = self._config.variant, self._config.seed
        return {
            "networks": [
                {
                    "variant": variant,
                    "modality": "rgb" if variant == "teacher" else "ir",
                    "seed": seed,
                    "top1": {"teacher": 0.9, "student": 0.5}.get(variant, 0.6) + seed / 100,
                    "top5": 1.0,
                    "mean_class_accuracy": 0.5,
                    "clips_tested": 12,
                    "seconds": 1.5,
                    "config_name": self._config.name,
                    "metrics": {"confusion": []},
                }
            ]
        }


@pytest.fixture
def fake_training(monkeypatch):
    FakeExperiment.asked.clear()
    monkeypatch.setattr(experiment, "Experiment", FakeExperiment)
    # It would take the package's log from the tests' own handlers.
    monkeypatch.setattr(progress, "show_log", lambda: None)
    return FakeExperiment.asked


def test_results_have_one_entry_a_network_and_students_share_the_teacher(fake_training, tmp_path):
    entries = demo.train(tmp_path, range(2))
    assert json.loads((tmp_path / demo.RESULTS_FILE).read_text()) == entries
    assert [(entry["variant"], entry["seed"]) for entry in entries] == [
        (variant, seed) for seed in (0, 1) for variant in ("teacher", "student", "mgcam+dkd")
    ]
    for entry in entries:
        assert set(entry) == {
            *("variant", "modality", "seed", "top1", "top5", "mean_class_accuracy"),
            *("clips_tested", "seconds", "config_name"),
        }
        assert entry["config_name"] == "demo"
    for (config, workdir), entry in zip(fake_training, entries, strict=True):
        runs = tmp_path / f"seed{entry['seed']}"
        assert workdir == runs / entry["variant"]
        assert config.data.dir == str(tmp_path / "data")
        distils = entry["variant"] == "mgcam+dkd"
        assert config.teacher.checkpoint == (str(runs / "teacher") if distils else "")


def test_a_mistake_ends_the_demo_with_its_message(fake_training, monkeypatch, tmp_path):
    def refuse(config, workdir):
        raise ValueError("runs/demo holds a run with another config")

    monkeypatch.setattr(experiment, "Experiment", refuse)
    with pytest.raises(SystemExit, match="error: runs/demo holds a run with another config"):
        demo.train(tmp_path, range(1))


@pytest.fixture
def steps(monkeypatch):
    """Which steps the command takes, with what."""
    taken = []
    monkeypatch.setattr(demo, "film", lambda *arguments: taken.append(("film", *arguments)))
    monkeypatch.setattr(demo, "build", lambda *arguments: taken.append(("build", *arguments)))
    return taken


def test_the_command_films_builds_trains_and_prints(steps, fake_training, tmp_path, capsys):
    out = tmp_path / "demo"
    out.mkdir()
    assert demo.main([f"--out={out}", "--clips=20", "--seeds=2"]) == 0
    assert [step[0] for step in steps] == ["film", "build"]
    assert steps[0][1:3] == (out / "footage", 20)
    assert steps[1][1:4] == (out / "footage", out / "data", 20)
    printed = capsys.readouterr().out
    for row in ("| teacher ", "| student alone ", "| student, distilled (mgcam+dkd) "):
        assert printed.count(row) == 3, "two seeds, and their mean"
    assert str(out / demo.RESULTS_FILE) in printed


def test_a_number_of_seeds_that_makes_no_sense_is_refused(steps, capsys):
    with pytest.raises(SystemExit) as caught:
        demo.main(["--seeds=0"])
    assert caught.value.code == 2
    assert "--seeds is 0, expected at least 1" in capsys.readouterr().err
    assert not steps


@pytest.fixture
def commands(monkeypatch):
    """The commands that building runs, and the exit status that they are to have."""
    calls = types.SimpleNamespace(run=[], status=0)

    def run(command, *, stdout, stderr, check):
        calls.run.append(command)
        stdout.write("one line\nthe last line\n")
        return types.SimpleNamespace(returncode=calls.status)

    monkeypatch.setattr(demo.subprocess, "run", run)
    return calls


def found(monkeypatch, *counts):
    """Lets the data set have so many clips, at each time that it is looked for."""
    left = list(counts)

    def describe(config):
        count = left.pop(0)
        if not count:
            raise source.DatasetNotFoundError("nothing there")
        return types.SimpleNamespace(num_clips={"train": count - 1, "test": 1})

    monkeypatch.setattr(source, "describe", describe)


def test_a_built_data_set_is_reused(monkeypatch, commands, tmp_path, capsys):
    found(monkeypatch, 20)
    demo.build(tmp_path / "footage", tmp_path / "data", 20)
    assert "20 clips are there already: reused" in capsys.readouterr().out
    assert not commands.run


@pytest.mark.parametrize(("there", "overwrites"), [(0, False), (19, True)])
def test_the_stock_command_builds(monkeypatch, commands, tmp_path, capsys, there, overwrites):
    found(monkeypatch, there, 20)
    demo.build(tmp_path / "footage", tmp_path / "data", 20)
    ((program, verb, builder, *options),) = commands.run
    assert program.endswith("tfds")
    assert verb == "build"
    assert builder.endswith("data_builders/ntu_rgbd_ir")
    assert {
        "--config=ten_class_xsub",
        f"--manual_dir={tmp_path / 'footage'}",
        f"--data_dir={tmp_path / 'data'}",
    } <= set(options)
    assert ("--overwrite" in options) is overwrites
    assert "built 20 clips" in capsys.readouterr().out


def test_a_failed_build_ends_with_the_end_of_its_log(monkeypatch, commands, tmp_path):
    found(monkeypatch, 0)
    commands.status = 3
    with pytest.raises(SystemExit, match=r"the last line\nerror: tfds build failed with code 3"):
        demo.build(tmp_path / "footage", tmp_path / "data", 20)


def test_earlier_seeds_stay_in_the_results(fake_training, tmp_path):
    demo.train(tmp_path, range(2))
    demo.train(tmp_path, range(1))
    results = json.loads((tmp_path / demo.RESULTS_FILE).read_text())
    assert [entry["seed"] for entry in results] == [0, 0, 0, 1, 1, 1]


@pytest.fixture
def footage_of_three(monkeypatch, tmp_path):
    folder = tmp_path / "footage"
    (folder / "nturgb+d_ir").mkdir(parents=True)
    for number in range(3):
        (folder / "nturgb+d_ir" / f"S001C001P001R001A00{number + 1}_ir.avi").touch()
    report = dataset.FilmingReport(filmed=1, reused=2, seconds=30.0, megabytes=1.0)
    monkeypatch.setattr(dataset, "film_dataset", lambda *_, **__: report)
    return folder


def test_filming_says_what_it_reused(footage_of_three, capsys):
    demo.film(footage_of_three, 3)
    printed = capsys.readouterr().out
    assert "filmed 1 pairs, 2 a minute" in printed
    assert "2 pairs are there already: reused" in printed


def test_a_folder_with_more_footage_than_asked_for_is_refused(footage_of_three):
    with pytest.raises(dataset.SynthesisError, match="holds 3 pairs, more than the 2 asked for"):
        demo.film(footage_of_three, 2)
