"""Algorithm 1 from video files to results, with TensorFlow and without it."""

import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from rgb2ir_jax.training import phase
from rgb2ir_jax.training.experiment import Experiment

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

ROOT = pathlib.Path(__file__).parents[2]
METHOD_TERMS = {
    "train/mgcam",
    "train/mgcam_weighted",
    "train/dkd",
    "train/dkd_weighted",
    "train/dkd/tckd",
    "train/dkd/nckd",
}
TERMS = {
    "step",
    "epoch",
    *(f"train/{name}" for name in ("loss", "ce", "accuracy", "grad_norm", "learning_rate")),
}
TESTED = {"step", "test/loss", "test/top1", "test/top5", "test/mean_class_accuracy"}
# Of 24 clips: 6 steps an epoch for the teacher, 4 for the student.
CHANGES = {
    "seed": 3,
    "teacher.batch_size": 4,
    "student.batch_size": 6,
    "teacher.epochs": 2,
    "student.epochs": 2,
    "student.dropout": 0.5,
    "optimizer.schedule": "step",
    "optimizer.decay_at": (0.5,),
    "optimizer.warmup_epochs": 0.5,
    "evaluation.batch_size": 8,
    "evaluation.every_epochs": 1,
    "log_every_steps": 1,
}


@pytest.fixture(scope="module")
def config_of(tiny_config, data_dir):
    def of(variant="mgcam+dkd", **fields):
        config = tiny_config(variant)
        with config.unlocked():
            config.update_from_flattened_dict({**CHANGES, "data.dir": str(data_dir), **fields})
        return config

    return of


@pytest.fixture(scope="module")
def run(config_of, tmp_path_factory):
    """(work directory, result) of the full method."""
    workdir = tmp_path_factory.mktemp("run") / "new" / "folder"
    return workdir, Experiment(config_of(), workdir).run()


def metrics_of(folder, name="metrics"):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def test_the_result_says_what_was_done(run, data_dir):
    workdir, result = run
    assert json.loads((workdir / "result.json").read_text()) == result
    assert (result["variant"], result["config_name"], result["seed"]) == ("mgcam+dkd", "ntu", 3)
    assert result["methods"] == {"mgcam": 1.0, "dkd": 0.1}
    assert result["data_set"] == "ntu_rgbd_ir/ten_class_xsub"
    assert result["limited"] is False
    assert result["versions"]["jax"] == jax.__version__
    assert result["versions"]["numpy"] == np.__version__
    assert result["config"]["data"]["dir"] == str(data_dir)
    assert result["config"] == json.loads((workdir / "config.json").read_text())
    teacher, student = result["networks"]
    assert (teacher["variant"], teacher["modality"], teacher["steps"]) == ("teacher", "rgb", 12)
    assert (student["variant"], student["modality"], student["steps"]) == ("mgcam+dkd", "ir", 8)
    assert (teacher["frame_channels"], student["frame_channels"]) == (3, 1)
    for name, network in (("teacher", teacher), ("student", student)):
        assert json.loads((workdir / name / "result.json").read_text()) == network
        assert network["clips_tested"] == 12
        assert network["seconds"] > 0
        assert network["seed"] == 3
        confusion = np.array(network["metrics"]["confusion"])
        assert confusion.sum(axis=1).tolist() == [2, 2, 1, 1, 1, 1, 1, 1, 1, 1]
        assert network["top1"] == network["metrics"]["top1"] == np.trace(confusion) / 12
        assert network["top5"] >= network["top1"]
        assert (workdir / name / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert teacher["class_names"][0] == "drink water"
    # The stem sees three channels or one, 4 wide with 7 x 7 kernels.
    assert teacher["parameters"] - student["parameters"] == 2 * 4 * 49


@pytest.mark.parametrize(("name", "steps"), [("teacher", 6), ("student", 4)])
def test_metrics_hold_every_term_of_every_step(run, name, steps):
    entries = metrics_of(run[0] / name)
    trained = [entry for entry in entries if "epoch" in entry]
    tested = [entry for entry in entries if "test/top1" in entry]
    timing = metrics_of(run[0] / name, "timing")
    assert [entry["step"] for entry in timing] == [entry["step"] for entry in trained]
    assert all(entry["clips_per_second"] > 0 for entry in timing)
    assert [entry["step"] for entry in trained] == list(range(1, 2 * steps + 1))
    assert [entry["step"] for entry in tested] == [steps, 2 * steps]
    wanted = TERMS | (METHOD_TERMS if name == "student" else set())
    assert all(set(entry) == wanted for entry in trained)
    assert all(set(entry) == TESTED for entry in tested)
    for entry in trained:
        step = entry["step"] - 1
        warmup = steps // 2
        rate = 0.05 * min(1, (step + 1) / warmup) / (10 if step >= steps else 1)
        assert entry["train/learning_rate"] == pytest.approx(rate, rel=1e-5)
        assert entry["epoch"] == pytest.approx(entry["step"] / steps)
        assert entry["train/grad_norm"] > 0
        total = entry["train/ce"]
        if name == "student":
            total += entry["train/mgcam_weighted"] + entry["train/dkd_weighted"]
        assert entry["train/loss"] == pytest.approx(total, rel=1e-5)
    assert tested[-1]["test/top1"] == run[1]["networks"][name == "student"]["top1"]


def test_tensorboard_shows_the_curves_and_the_confusion_matrix(run):
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = run[0] / "student"
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    tags = set(accumulator.Tags()["tensors"])
    assert METHOD_TERMS | TERMS - {"step"} | TESTED - {"step"} | {"test/confusion"} <= tags
    expected = {e["step"]: e["train/loss"] for e in metrics_of(folder) if "epoch" in e}
    shown = {
        event.step: float(tf.make_ndarray(event.tensor_proto))
        for event in accumulator.Tensors("train/loss")
    }
    assert shown == pytest.approx(expected)
    pictures = accumulator.Tensors("test/confusion")
    assert [event.step for event in pictures] == [4, 8]
    width, height, encoded = pictures[-1].tensor_proto.string_val[:3]
    picture = tf.io.decode_png(encoded).numpy()
    assert picture.shape == (int(height), int(width), 3)
    assert len(np.unique(picture)) > 10


def test_a_second_run_reuses_all_of_it(run, config_of, monkeypatch, caplog):
    def nothing(*_, **__):
        raise AssertionError("a finished phase was trained again")

    monkeypatch.setattr(phase, "fit", nothing)
    monkeypatch.setattr(logging.getLogger("rgb2ir_jax"), "propagate", True)
    workdir, result = run
    with caplog.at_level(logging.INFO, "rgb2ir_jax"):
        assert Experiment(config_of(), workdir).run() == result
    assert sum("already trained and tested" in message for message in caplog.messages) == 2


def test_a_work_directory_holds_one_config(run, config_of):
    workdir, _ = run
    with pytest.raises(ValueError, match=r"config\.seed is 4, the run's is 3") as caught:
        Experiment(config_of(seed=4), workdir)
    assert "optimizer" not in str(caught.value)


def test_a_run_does_not_go_on_with_other_records(run, config_of, tmp_path):
    workdir, _ = run
    shutil.copytree(workdir, tmp_path / "copy")
    noted = tmp_path / "copy" / "data_set.json"
    noted.write_text(noted.read_text().replace('"train": 24', '"train": 25'))
    with pytest.raises(ValueError, match="holds a run on other records"):
        Experiment(config_of(), tmp_path / "copy")


def test_a_teacher_of_another_kind_is_refused(run, config_of, tmp_path):
    workdir, _ = run
    with pytest.raises(ValueError, match=r"sees: ir; expected rgb"):
        Experiment(config_of(**{"teacher.checkpoint": str(workdir / "student")}), tmp_path / "run")
    shutil.copytree(workdir / "teacher", tmp_path / "teacher")
    result = tmp_path / "teacher" / "result.json"
    result.write_text(result.read_text().replace("ten_class_xsub", "ten_class_xview"))
    with pytest.raises(ValueError, match=r"was trained on: ntu_rgbd_ir/ten_class_xview; expected"):
        Experiment(config_of(**{"teacher.checkpoint": str(tmp_path / "teacher")}), tmp_path / "run")


def test_a_given_teacher_is_taken_as_it_is(run, config_of, tmp_path):
    workdir, result = run
    config = config_of(**{"teacher.checkpoint": str(workdir)})
    again = Experiment(config, tmp_path).run()
    (student,) = again["networks"]
    assert not (tmp_path / "teacher").exists()
    # The same teacher and seed lead to the very same student.
    assert student["metrics"] == result["networks"][1]["metrics"]
    first, second = (metrics_of(folder / "student") for folder in (workdir, tmp_path))
    assert first == second


@pytest.mark.slow
def test_a_teacher_named_twice_teaches_as_once_and_a_cache_changes_nothing(
    run, config_of, tmp_path
):
    workdir, _ = run
    fields = {"teachers": (str(workdir), str(workdir)), "data.cache": str(tmp_path / "cache")}
    again = Experiment(config_of(**fields), tmp_path / "run").run()
    assert [network["variant"] for network in again["networks"]] == ["mgcam+dkd"]
    once, twice = (metrics_of(f / "student") for f in (workdir, tmp_path / "run"))
    for name in METHOD_TERMS | {"train/loss"}:
        # The first step: rounding grows with training.
        assert twice[0][name] == pytest.approx(once[0][name], rel=1e-3), name
    assert list((tmp_path / "cache").rglob("*.frames"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"student.batch_size": 25},
            r"config\.student\.batch_size is 25, .*'train' .*has 24 clips",
        ),
        ({"data.test_split": "validation"}, "no split 'validation'; it has"),
        ({"data.config": "ten_class_xview"}, r"has not been built .*built there: ntu_rgbd_ir/ten_"),
        (
            {"teacher.checkpoint": "nowhere"},
            r"config\.teacher\.checkpoint names 'nowhere', which holds no",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_before_any_work(config_of, tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        Experiment(config_of(**fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_work_directory_that_cannot_be_made_or_read_is_refused(config_of, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"--workdir .*/file/run cannot be written"):
        Experiment(config_of(), tmp_path / "file" / "run")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not the config of a run"):
        Experiment(config_of(), tmp_path)


def test_smoke_ends_after_a_few_steps_and_says_so(config_of, tmp_path):
    config = config_of("student", smoke=True)
    result = Experiment(config, tmp_path).run()
    assert config.student.batch_size == 6, "the caller's config is left alone"
    assert result["limited"] is True
    (student,) = result["networks"]
    assert (student["variant"], student["steps"], student["clips_tested"]) == ("student", 2, 4)


CONFIG_FILE = """
import json
from configs import ntu

def get_config(variant):
    config = ntu.get_config(variant)
    with config.unlocked():
        config.update_from_flattened_dict(json.loads({fields!r}))
    return config
"""


def test_the_command_runs_where_tensorflow_cannot_be_imported(run, config_of, tmp_path):
    """The same run as above, by the command: the same numbers, in metrics.jsonl alone."""
    workdir, result = run
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "tensorflow.py").write_text("raise ImportError('blocked by the test')")
    fields = {}
    for section, value in config_of().to_dict().items():
        if isinstance(value, dict):
            fields |= {f"{section}.{key}": entry for key, entry in value.items()}
        else:
            fields[section] = value
    fields = {key: value for key, value in fields.items() if not key.startswith("distill")}
    (tmp_path / "tiny.py").write_text(CONFIG_FILE.format(fields=json.dumps(fields)))
    path = os.pathsep.join([str(tmp_path / "blocked"), str(ROOT)])
    command = subprocess.run(
        [
            *(sys.executable, "-m", "rgb2ir_jax.main"),
            f"--config={tmp_path / 'tiny.py'}:mgcam+dkd",
            f"--workdir={tmp_path / 'run'}",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert command.returncode == 0, command.stderr
    assert "TensorFlow cannot be imported (blocked by the test)" in command.stdout
    assert "| student, distilled (mgcam+dkd) |" in command.stdout
    assert not list((tmp_path / "run").rglob("*tfevents*"))
    assert list(workdir.rglob("*tfevents*"))
    blocked = json.loads((tmp_path / "run" / "result.json").read_text())
    for found, expected in zip(blocked["networks"], result["networks"], strict=True):
        assert found["metrics"] == expected["metrics"]
    for name in ("teacher", "student"):
        assert len(metrics_of(tmp_path / "run" / name)) == len(metrics_of(workdir / name))
