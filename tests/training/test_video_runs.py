"""Runs of R(2+1)D on frames in a row: trained, tested, looked at, exported, predicted, started from."""

import jax
import numpy as np
import pytest
import safetensors.numpy
from ml_collections import ConfigDict

from rgb2ir_jax import export
from rgb2ir_jax.data.pipeline import eval_batches
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.launch.looks import look
from rgb2ir_jax.launch.trained_network import load_run, score_split
from rgb2ir_jax.launch.video_detection import Detector, Windows
from rgb2ir_jax.models.r2plus1d import VIDEO_ARCHITECTURES, VideoArchitecture
from rgb2ir_jax.models.resnet import ARCHITECTURES, Architecture
from rgb2ir_jax.prediction.student import load_student
from rgb2ir_jax.training.experiment import Experiment
from rgb2ir_jax.training.validation import validate

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

FRAMES = 4


@pytest.fixture(scope="module", autouse=True)
def _shallow_networks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, 18, Architecture((1, 1, 1, 1), bottleneck=False))
        shallow = VideoArchitecture((1, 1, 1, 1), 1e-5, own_middle=False)
        patch.setitem(VIDEO_ARCHITECTURES, 18, shallow)
        yield


@pytest.fixture(scope="module")
def config_of(tiny_config, data_dir):
    def of(variant="mgcam", **fields) -> ConfigDict:
        config = tiny_config(variant)
        changes = {
            "student.backbone": "r2plus1d_18",
            "student.temporal_head": "bert",
            "student.dropout": 0.8,
            "teacher.epochs": 1,
            "student.epochs": 1,
            "evaluation.batch_size": 4,
            # Two clips of each video.
            "evaluation.segments": 2 * FRAMES,
            "data.segments": FRAMES,
            "data.sampling": "dense",
            "data.dir": str(data_dir),
            "figures.activations": 2,
            "optimizer.name": "adamw",
            "optimizer.learning_rate": 1e-3,
        }
        with config.unlocked():
            config.update_from_flattened_dict({**changes, **fields})
        return config

    return of


@pytest.fixture(scope="module")
def run(config_of, tmp_path_factory):
    """A TSN teaches an R(2+1)D with BERT."""
    workdir, config = tmp_path_factory.mktemp("run") / "run", config_of()
    return workdir, config, Experiment(config, workdir).run()


def test_the_run_is_tested_as_evaluate_tests_it(run) -> None:
    workdir, config, result = run
    network = load_run(workdir)
    assert network.spec.title == "R(2+1)D-18 with BERT head"
    assert load_run(workdir, "teacher").spec.title == "ResNet10"
    logits, labels = score_split(network, config.data, "test", Protocol.from_config(config))
    assert np.mean(logits.argmax(1) == labels) == result["networks"][1]["top1"]
    # The two clips of a video are scored one by one.
    batch = next(iter(eval_batches(config.data, "test", 12, ["ir"], segments=2 * FRAMES)))
    single = jax.jit(network.logits_of)
    runs = [single(network.variables, batch["ir"][:, k::2]) for k in range(2)]
    np.testing.assert_allclose(np.mean(runs, axis=0), logits, atol=1e-5)
    picture = (workdir / "student" / "activations.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_a_closer_look_spreads_the_steps_over_the_frames(run) -> None:
    looks = look(run[0] / "student")
    # One step in the last stage, and evidence for each of the frames that are shown.
    assert looks.evidence.shape[2] == len(looks.frames[0]) == FRAMES
    assert (looks.evidence == looks.evidence[:, :, :1]).all()
    assert looks.features.shape[1] == 8 * 4


@pytest.mark.parametrize("form", ["safetensors", "stablehlo"])
def test_what_is_exported_predicts_the_same(run, tmp_path, form) -> None:
    workdir, _, _ = run
    out = tmp_path / form
    assert export.main([f"--run={workdir}", f"--format={form}", f"--out={out}"]) == 0
    frames = np.random.default_rng(1).integers(0, 256, (30, 40, 44, 1), np.uint8)
    expected, found = load_student(workdir)(frames), load_student(out)(frames)
    assert found.labels == expected.labels
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    card = (out / "README.md").read_text()
    assert "# R(2+1)D-18 with BERT head for action recognition in infrared video" in card
    assert "4 frames, 1 apart, from the middle of the clip" in card
    assert "teacher: ResNet10 on rgb" in card
    if form == "safetensors":
        tensors = safetensors.numpy.load_file(out / "model.safetensors")
        assert tensors["stem.0.weight"].shape == (2, 1, 1, 7, 7)
        assert tensors["layer2.0.conv1.0.1.num_batches_tracked"] == 3
        assert "`VideoResNet`" in card


def test_a_prediction_looks_at_frames_in_a_row(run) -> None:
    student = load_student(run[0])
    pictures = np.arange(30, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 40, 44, 1), np.uint8
    )
    # Twenty-seven places to begin at; the middles of their two halves, frames dealt out in turns.
    shown = student.clip(pictures)[:, 0, 0, 0]
    assert shown.tolist() == [6, 20, 7, 21, 8, 22, 9, 23]


def test_onnx_is_refused_with_a_way_out(run, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        export.main([f"--run={run[0]}", "--format=onnx", f"--out={tmp_path / 'x'}"])
    assert stopped.value.code == 2
    assert "choose --format=stablehlo or --format=safetensors" in capsys.readouterr().err


def test_windows_of_a_long_video_must_show_frames_in_a_row(run) -> None:
    network = load_run(run[0])
    Detector(network, Windows(1, (FRAMES,), FRAMES))
    with pytest.raises(
        ValueError, match="expected windows of 4, 4 segments and a stride that is a multiple of 1"
    ):
        Detector(network, Windows(8, (64,), FRAMES))


@pytest.mark.slow
def test_another_run_starts_from_its_weights(run, config_of, tmp_path) -> None:
    source = str(run[0] / "student")
    config = config_of("student", **{"student.init": source, "limit_train_steps": 1})
    Experiment(config, tmp_path / "next").run()
    text = (tmp_path / "next" / "student" / "initial_weights.json").read_text()
    assert '"changes": []' in text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"student.temporal_shift": True}, r"temporal_shift is True, but .* 'r2plus1d_18'"),
        ({"student.stride_in_1x1": True}, r"stride_in_1x1 is True, but"),
        (
            {"teacher.temporal_head": "bert"},
            r"follows an R\(2\+1\)D, but the teacher is a ResNet10",
        ),
        ({"student.backbone": "r3d_18"}, r"backbone is 'r3d_18', expected one of '', 'resnet10'"),
        (
            {"student.temporal_head": "lstm"},
            "temporal_head is 'lstm', expected one of 'mean', 'bert'",
        ),
        ({"data.segments": 136, "evaluation.segments": 0}, "positions for clips of 128 frames"),
        ({"evaluation.segments": 6}, "dense clips have config.data.segments, 4"),
        (
            {"evaluation.segments": 6, "data.sampling": "segments"},
            "the student mixes the frames of clips of config.data.segments, 4",
        ),
        ({"student.enhance_weights": "x.pth"}, "enhance is None; expected 'zero_dce' with it"),
    ],
)
def test_contradictions_stop_the_run_before_any_work(config_of, fields, message) -> None:
    with pytest.raises(ValueError, match=message):
        validate(config_of(**fields))
