"""The command re-tests a run: same numbers for any batch and number of devices, and what goes wrong."""

import json
import pathlib
import subprocess
import sys

import jax  # Before TensorFlow, which the building side of TFDS imports.
import numpy as np
import pytest

from configs import ntu
from rgb2ir_jax.evaluate import main
from rgb2ir_jax.evaluation.comparison import compare
from rgb2ir_jax.evaluation.metrics import classification_metrics
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.launch.trained_network import load_run, score_split
from tests.simulated_devices import environment_of

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

ROOT = pathlib.Path(__file__).parents[1]
TESTED = 11


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Ten training clips and eleven test clips, wider than high, built from video files."""
    import tensorflow_datasets as tfds

    from data_builders.ntu_rgbd_ir.ntu_rgbd_ir_dataset_builder import Builder
    from rgb2ir_jax.video.encode import write_video

    footage, built = tmp_path_factory.mktemp("footage"), tmp_path_factory.mktemp("built")
    samples = [(p, a) for p in (1, 3) for a in range(1, 11)] + [(6, 1)]
    rng = np.random.default_rng(0)
    for performer, action in samples:
        sample = f"S001C001P{performer:03}R001A{action:03}"
        for modality, channels in (("rgb", 3), ("ir", 1)):
            picture = rng.integers(0, 256, (5, 8, channels), np.uint8).repeat(8, 0).repeat(8, 1)
            moving = (np.roll(picture, 4 * t, axis=1) for t in range(8))
            folder = footage / f"nturgb+d_{modality}"
            folder.mkdir(exist_ok=True)
            write_video(folder / f"{sample}_{modality}.avi", moving, crf=12)
    (footage / "synthesis.json").write_text("{}")
    builder = Builder(data_dir=built)
    builder.workers = 0
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=footage))
    return built


@pytest.fixture(scope="module")
def run_dir(data_dir, tmp_path_factory):
    """A run of two epochs with narrow networks: a teacher and a distilled student."""
    from rgb2ir_jax.training.experiment import Experiment

    config = ntu.get_config("st")
    with config.unlocked():
        for network in (config.teacher, config.student):
            network.depth, network.width, network.batch_size, network.epochs = 10, 4, 5, 2
        config.data.dir, config.data.threads = str(data_dir), 0
        config.data.segments, config.data.resize, config.data.crop = 2, 36, 32
        config.optimizer.learning_rate = 0.05
        config.evaluation.batch_size = 4
        config.figures.inputs = config.figures.activations = 0
    workdir = tmp_path_factory.mktemp("run") / "st"
    Experiment(config, workdir).run()
    return workdir


def evaluated(run_dir, out, *options):
    assert main([f"--run={run_dir}", f"--out={out}", "--resamples=50", *options]) == 0
    return json.loads(out.read_text()), np.load(out.with_suffix(".npz"), allow_pickle=False)


def test_the_default_is_the_test_of_the_training(run_dir, tmp_path, capsys):
    found, arrays = evaluated(run_dir, tmp_path / "found.json")

    noted = json.loads((run_dir / "student" / "result.json").read_text())
    assert found["metrics"] == noted["metrics"]
    assert found["metrics"]["top1"] == noted["top1"]
    assert found["reproduces"]["exactly"] is True
    assert found["reproduces"]["compared"] == sorted(noted["metrics"])
    shown = capsys.readouterr().out
    assert "equal to the last digit" in shown
    assert "student, distilled (st)" in shown
    assert "drink water" in shown
    assert f"{TESTED} synthetic clips of ntu_rgbd_ir" in shown
    assert found["protocol"]["segments"] == 2
    assert found["protocol"]["crops"] == 1
    # What was written is whole: the figures follow from the logits.
    again = classification_metrics(arrays["logits"], arrays["labels"])
    assert again.to_dict() == found["metrics"]
    assert arrays["logits"].shape == (TESTED, 10)
    assert arrays["class_names"].tolist() == noted["class_names"]
    low, high = found["intervals"]["top1"]
    assert low <= found["metrics"]["top1"] <= high
    assert sum(found["reliability"]["count"]) == TESTED


def test_the_teacher_has_its_own_number(run_dir, tmp_path):
    found, _ = evaluated(run_dir, tmp_path / "found.json", "--network=teacher")
    noted = json.loads((run_dir / "teacher" / "result.json").read_text())
    assert found["metrics"] == noted["metrics"]
    assert found["modality"] == "rgb"
    assert evaluated(run_dir / "teacher", tmp_path / "phase.json")[0]["metrics"] == noted["metrics"]


def test_a_given_teacher_is_found_where_the_run_found_it(run_dir, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    config = json.loads((run_dir / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="trained no teacher of its own"):
        load_run(copy, "teacher")
    config["teacher"]["checkpoint"] = str(run_dir)
    (copy / "config.json").write_text(json.dumps(config))
    assert load_run(copy, "teacher").folder == run_dir / "teacher"
    config["teacher"]["checkpoint"] = str(tmp_path)
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="there is none any more"):
        load_run(copy, "teacher")
    config["teachers"] = [str(run_dir), "elsewhere"]
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="elsewhere"):
        load_run(copy, "teacher")


# Re-tests a copy of the run whose batches are of another size; prints the logits' bits.
SCRIPT = """
import json, sys
import rgb2ir_jax  # Sets its XLA flag beside the one that the environment brings.
import jax
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.launch.trained_network import load_run, score_split

network = load_run(__import__("pathlib").Path(sys.argv[1]))
found = []
for size in (4, 8):
    for protocol in (Protocol(2), Protocol(3, 10)):
        network.config.evaluation.batch_size = size
        logits, _ = score_split(network, network.config.data, "test", protocol)
        found.append(logits.tobytes().hex())
print(json.dumps([jax.device_count(), found]))
"""


@pytest.mark.slow
def test_four_devices_and_any_batch_size_give_the_same_bits(run_dir):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(run_dir)],
        cwd=ROOT,
        env=environment_of(4),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    devices, found = json.loads(run.stdout.splitlines()[-1])
    assert (devices, jax.device_count()) == (4, 1)
    network = load_run(run_dir)
    for size in (3, 16):
        network.config.evaluation.batch_size = size
        for number, protocol in enumerate((Protocol(2), Protocol(3, 10))):
            logits, _ = score_split(network, network.config.data, "test", protocol)
            assert logits.tobytes().hex() == found[number] == found[number + 2]


def test_dense_testing_averages_the_logits_of_frames_and_crops(run_dir, tmp_path, capsys):
    from rgb2ir_jax.data.pipeline import eval_batches

    found, arrays = evaluated(run_dir, tmp_path / "found.json", "--segments=5", "--crops=3")

    assert found["reproduces"] is None
    assert "another one" in capsys.readouterr().out
    assert found["protocol"]["description"] == "5 segments, 3 crops (along the longer side)"
    network = load_run(run_dir)
    (batch,) = eval_batches(network.config.data, "test", TESTED, ["ir"], segments=5, crops=3)
    # Frame by frame: each is a clip of one segment.
    frames = batch["ir"].reshape(TESTED * 15, 1, 32, 32, 1)
    one_by_one = np.asarray(
        network.logits_of(network.variables, jax.numpy.asarray(frames))
    ).reshape(TESTED, 15, 10)
    np.testing.assert_allclose(arrays["logits"], one_by_one.mean(axis=1), atol=1e-5)


@pytest.mark.parametrize("format_", ["safetensors", "stablehlo"])
def test_an_exported_student_gets_its_runs_figures(run_dir, data_dir, tmp_path, format_, capsys):
    from rgb2ir_jax.export import main as export

    assert export([f"--run={run_dir}", f"--format={format_}", f"--out={tmp_path / 'e'}"]) == 0
    out = tmp_path / "found.json"
    told = [f"--student={tmp_path / 'e'}", f"--data_dir={data_dir}", f"--out={out}"]
    data_set = "--data_set=ntu_rgbd_ir/ten_class_xsub"
    assert main([*told, data_set, "--resamples=50"]) == 0
    found, noted = (
        json.loads(path.read_text()) for path in (out, run_dir / "student" / "result.json")
    )
    if format_ == "safetensors":
        assert found["metrics"] == noted["metrics"]
    assert found["metrics"]["confusion"] == noted["metrics"]["confusion"]
    for name in ("loss", "mAP_classification", "ece"):
        assert found["metrics"].get(name) == pytest.approx(noted["metrics"].get(name), abs=1e-4)
    assert found["variant"] == "exported"
    shown = capsys.readouterr().out
    assert "exported student" in shown
    assert set(found["reproduces"]["compared"]) == set(noted["metrics"]) - {"confusion"}
    # A program's BatchNorm is folded: what it counts is the same, what it measures nearly.
    assert not {"top1", "top5", "per_class_accuracy"} & set(found["reproduces"]["differing"])
    if format_ == "safetensors":
        assert "Reproduces its training's own test" in shown
    assert main([*told, data_set, "--segments=4", "--resamples=50"]) == 0
    assert json.loads(out.read_text())["protocol"]["segments"] == 4
    assert json.loads(out.read_text())["reproduces"] is None
    assert "was another one" in capsys.readouterr().out

    for options, message in (
        (told, "needs --data_set=NAME/CONFIG"),
        ([*told, "--data_set=ntu"], "expected NAME/CONFIG"),
        ([*told, data_set, "--compare=x"], "belong to --run"),
        ([f"--student={run_dir}", *told[1:], data_set], "is no exported network"),
    ):
        with pytest.raises(SystemExit):
            main(options)
        assert message in capsys.readouterr().err


def test_two_networks_are_compared_on_the_same_clips(run_dir, tmp_path, capsys):
    found, arrays = evaluated(
        run_dir, tmp_path / "found.json", f"--compare={run_dir}", "--compare_network=teacher"
    )
    teacher = evaluated(run_dir, tmp_path / "teacher.json", "--network=teacher")
    comparison = compare(arrays["logits"], teacher[1]["logits"], arrays["labels"], resamples=50)
    for name, value in json.loads(json.dumps(comparison.to_dict())).items():
        assert found["comparison"][name] == value, name
    assert found["comparison"]["metrics"] == teacher[0]["metrics"]
    shown = capsys.readouterr().out
    assert "Compared with teacher, seed 0" in shown
    assert "McNemar" in shown


def test_files_go_beside_the_network_and_figures_that_differ_are_named(run_dir, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run_dir, copy)
    noted = json.loads((copy / "student" / "result.json").read_text())
    # An earlier version's result has fewer figures.
    del noted["metrics"]["ece"]
    noted["metrics"]["top1"] = 2.0
    (copy / "student" / "result.json").write_text(json.dumps(noted))
    assert main([f"--run={copy}", "--resamples=5"]) == 0
    found = json.loads((copy / "student" / "evaluation-test-2x1.json").read_text())
    assert (copy / "student" / "evaluation-test-2x1.npz").is_file()
    assert list(found["reproduces"]["differing"]) == ["top1"]
    assert "ece" not in found["reproduces"]["compared"]
    assert "top1: 2.0 then" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--run=nowhere"], "there is no folder nowhere"),
        (["--run={run}", "--segments=0"], "0 segments"),
        (["--run={run}", "--resamples=0"], "--resamples is 0"),
        (["--run={run}", "--split=tset"], "no split 'tset'"),
        (["--run={run}", "--data_dir=nowhere"], "'nowhere'"),
        (["--run={run}", "--compare_network=teacher"], "belongs to --compare"),
        (["--run={run}/student", "--network=teacher"], "holds one network"),
        (["--run={parent}"], "holds no trained network"),
    ],
)
def test_a_users_mistake_is_one_line(run_dir, options, message, capsys):
    filled = [option.format(run=run_dir, parent=run_dir.parent) for option in options]
    with pytest.raises(SystemExit) as stopped:
        main(filled)
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert message in shown.err


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("student/result.json", None, "did not end"),
        ("student/result.json", "[1]", "no JSON object"),
        ("student/network.json", "{}", "does not describe a network"),
        ("config.json", "{", "cannot be read as JSON"),
        ("config.json", "{}", "does not hold a run"),
    ],
)
def test_broken_files_are_named(run_dir, tmp_path, file, content, message):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run_dir, copy)
    if content is None:
        (copy / file).unlink()
    else:
        (copy / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_run(copy)
