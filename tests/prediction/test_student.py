"""A loaded network against the project's own test, and its views against their definition."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from configs import ntu
from rgb2ir_jax import export, load_student
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.prediction.description import StudentDescription
from rgb2ir_jax.prediction.own_test import OwnTest
from rgb2ir_jax.prediction.scoring import BatchedScore, program_score
from rgb2ir_jax.prediction.student import Student
from tests.written_run import CLASSES, write_run

SIDE, SEGMENTS = 32, 4


def config_of(variant="student", **data):
    config = ntu.get_config(variant)
    with config.unlocked():
        config.data.segments, config.data.resize, config.data.crop = SEGMENTS, SIDE + 4, SIDE
        config.data.update(data)
    return config


def described(**changes) -> StudentDescription:
    fields = {
        "name": "student",
        "modality": "ir",
        "class_names": CLASSES,
        "segments": SEGMENTS,
        "crops": 1,
        "train_segments": SEGMENTS,
        "temporal_shift": False,
        "resize": SIDE + 4,
        "crop": SIDE,
        "in_channels": 1,
        "mean": (0.5,),
        "std": (0.25,),
    }
    return StudentDescription(**{**fields, **changes})


def footage(frames=11, height=40, width=56, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (frames, height, width, channels), np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    write_run(folder, config_of(), names=("student",), width=4)
    return folder


@pytest.fixture(scope="module")
def student(run):
    return load_student(run)


def test_exports_say_what_the_run_says(run, student, tmp_path) -> None:
    clip = footage()
    labels, probabilities = student(clip)
    assert sorted(labels) == sorted(CLASSES)
    assert probabilities.sum() == pytest.approx(1)
    assert list(probabilities) == sorted(probabilities, reverse=True)
    assert probabilities[0] - probabilities[-1] > 1e-3
    expected = student.logits([student.clip(clip)])
    for form, exact in (("safetensors", True), ("stablehlo", False), ("onnx", False)):
        out = tmp_path / form
        export.main([f"--run={run}", f"--format={form}", f"--out={out}"])
        for path in (out, next(out.glob("model.*"))):
            loaded = load_student(path)
            assert loaded.description == student.description
        found = loaded.logits([loaded.clip(clip)])
        if exact:
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
        assert loaded(clip).labels == labels


def test_a_program_without_preprocessing_gets_normalised_frames(run, student, tmp_path) -> None:
    out = tmp_path / "plain.onnx"
    export.main([f"--run={run}", "--format=onnx", "--no-preprocessing", f"--out={out}"])
    clip = footage(seed=1)
    expected = student.logits([student.clip(clip)])
    found = load_student(out)
    np.testing.assert_allclose(found.logits([found.clip(clip)]), expected, atol=1e-4)


def test_any_number_of_clips_and_other_pictures(student) -> None:
    clips = [student.clip(footage(seed=seed)) for seed in range(11)]
    together = student.logits(clips)
    for number in (0, 7, 10):
        np.testing.assert_array_equal(
            student.logits(clips[number : number + 1])[0], together[number]
        )
    grey = footage()
    probabilities = student(grey).probabilities
    np.testing.assert_array_equal(student(grey[..., 0]).probabilities, probabilities)
    # Grey stored three times is that grey.
    stored = student(np.repeat(grey, 3, axis=-1))
    np.testing.assert_allclose(stored.probabilities, probabilities, atol=1e-6)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((2, 8, 8, 1), np.float32), "float32"),
        (np.zeros((8, 8), np.uint8), r"shape \(8, 8\)"),
        (np.zeros((0, 8, 8, 1), np.uint8), "hold no pixel"),
        (np.zeros((2, 8, 8, 4), np.uint8), "4 channels"),
    ],
)
def test_what_is_no_clip_is_refused(student, frames, message) -> None:
    with pytest.raises(ValueError, match=message):
        student(frames)


def test_the_views_are_those_of_the_test() -> None:
    """A frame is as bright as its number, a program adds up what it sees of the first column."""
    told = described(segments=8, crops=10, temporal_shift=True)
    shown = []

    def program(frames):
        shown.append(frames)
        return frames.mean(axis=(2, 3, 4)).astype(np.float32)[:, :3]

    student = Student(Path(), told, program_score(program, told))
    frames = np.broadcast_to(np.arange(80, dtype=np.uint8)[:, None, None, None], (80, 40, 56, 1))
    clip = student.clip(frames)
    assert clip.shape == (10, 8, SIDE, SIDE, 1)
    middles = np.arange(5, 80, 10)
    np.testing.assert_array_equal(clip[3, :, 0, 0, 0], middles)
    logits = student.logits([clip])
    # Dealt out to two clips of four frames, each over the whole time, ten crops of each.
    assert [view.shape for view in shown] == [(1, 4, SIDE, SIDE, 1)] * 20
    dealt = {tuple(view[0, :, 0, 0, 0]) for view in shown}
    assert dealt == {tuple(middles[::2]), tuple(middles[1::2])}
    np.testing.assert_allclose(logits[0], middles.reshape(4, 2).mean(axis=1)[:3])
    assert told.sub_clips == Protocol(8, 10).sub_clips(4, mixes_segments=True)


def test_two_sizes_of_batch_are_enough() -> None:
    sizes = []

    def score(clips):
        sizes.append(len(clips))
        return clips.reshape(len(clips), -1)[:, :1].astype(np.float32)

    batched = BatchedScore(score, 2)
    for count in (1, 2, 17, 1):
        clips = np.arange(1, count + 1, dtype=np.uint8).reshape(-1, 1, 1, 1, 1)
        np.testing.assert_array_equal(batched(clips)[:, 0], np.arange(1, count + 1))
    assert sizes == [2, 2, 16, 16, 16]


def test_logits_that_are_no_numbers_are_an_error() -> None:
    student = Student(Path("here"), described(), lambda clips: np.full((1, 3), np.nan, np.float32))
    with pytest.raises(ValueError, match="here gives logits that are not finite"):
        student(footage())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modality": "sonar"}, "modality"),
        ({"class_names": ()}, "class_names"),
        ({"segments": 0}, "segments"),
        ({"crop": True}, "too small or large"),
        ({"crops": 2}, "crops is 2"),
        ({"crop": 40}, "crop is 40 and resize 36"),
        ({"crop": 9000, "resize": 9000}, "crop is 9000"),
        ({"std": (0.0,)}, "mean and std"),
        ({"mean": (0.5, 0.5)}, "mean and std"),
        ({"sampling": "dense", "train_segments": 0}, "too small or large"),
        ({"modality": "thermal"}, "or frame_channels"),
        ({"modality": "thermal", "frame_channels": 65535}, "frame_channels is 65535"),
        ({"modality": "thermal", "frame_channels": 3}, "expected 0 .* else 1 or in_channels"),
        ({"modality": "thermal", "frame_channels": -1}, "frame_channels is -1"),
        ({"frame_channels": 1}, "frame_channels is 1 of 'ir' frames"),
        ({"modality": "rgb"}, "frame_channels is 0 of 'rgb' frames, in_channels 1"),
        (
            {"modality": "thermal", "frame_channels": 999, "in_channels": 999, "crop": 300}
            | {"resize": 300, "mean": (0.5,) * 999, "std": (0.25,) * 999},
            "4 frames of a clip, 1 crops and 999 channels",
        ),
    ],
)
def test_a_description_out_of_range_is_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        described(**change)
    fields = json.loads(described().to_json()) | change
    with pytest.raises(ValueError, match=r"here does not describe.*" + message):
        StudentDescription.from_json(json.dumps(fields), "here")


def test_a_description_comes_back() -> None:
    three = {"in_channels": 3, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    for told, channels in (
        (described(crops=3, preprocessing=False), 1),
        (described(modality="thermal", frame_channels=1, **three), 1),
        (described(modality="ir", frame_channels=3, **three), 3),
        (described(sampling="dense", frame_stride=2, segments=2 * SEGMENTS), 1),
    ):
        assert StudentDescription.from_json(told.to_json(), "here") == told
        assert told.channels == channels
    for text in ("", "[]", "{}", "null", '{"name": 1}', "[" * 100_000):
        with pytest.raises(ValueError, match="here does not describe an exported network"):
            StudentDescription.from_json(text, "here")


def test_what_is_no_network_is_named(run, tmp_path) -> None:
    def damaged(name, content=b"x" * 100):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    (tmp_path / "empty").mkdir()
    exported = tmp_path / "exported"
    export.main([f"--run={run}", "--format=stablehlo", f"--out={exported}"])
    (exported / "model.stablehlo").rename(tmp_path / "alone.stablehlo")
    other = json.loads((exported / "student.json").read_text()) | {"crop": 48, "resize": 52}
    (tmp_path / "swapped.stablehlo").write_bytes((tmp_path / "alone.stablehlo").read_bytes())
    (tmp_path / "swapped.json").write_text(json.dumps(other))
    (tmp_path / "broken.json").write_text((exported / "student.json").read_text())
    for path, message in (
        (tmp_path / "nothing", "there is no folder"),
        (tmp_path / "nothing.onnx", "there is no file"),
        (tmp_path / "empty", "holds no trained network: expected student or teacher"),
        (damaged("weights.pth"), r"expected a name that ends with \.safetensors"),
        (damaged("weights.onnx"), "cannot be loaded by onnxruntime"),
        (damaged("none.onnx", b""), "has 0 bytes"),
        (damaged("weights.safetensors"), "weights.json is not there"),
        (tmp_path / "alone.stablehlo", "neither alone.json nor student.json"),
        (tmp_path / "swapped.stablehlo", "its description says 48 x 48 x 1"),
        (damaged("broken.stablehlo"), "no exported JAX program"),
    ):
        with pytest.raises(ValueError, match=message):
            load_student(path)
    with pytest.raises(ValueError, match="holds no trained teacher"):
        load_student(run, network="teacher")
    assert load_student(run / "student").description.name == "student"


def test_importing_the_package_is_instant() -> None:
    program = (
        "import sys, rgb2ir_jax, rgb2ir_jax.predict\n"
        "slow = {'jax', 'flax', 'numpy', 'cv2', 'av', 'tensorflow'} & set(sys.modules)\n"
        "assert not slow, slow\n"
        "from rgb2ir_jax import load_student\n"
        "assert callable(load_student)\n"
        # Nor does what runs an ONNX graph wait for JAX.
        "import rgb2ir_jax.prediction.predictor\n"
        "slow = {'jax', 'flax', 'grain', 'tensorflow_datasets', 'orbax'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_frames_have_the_channels_that_the_run_was_trained_on() -> None:
    """Own records of one channel for a network of three, as published weights want it."""
    config = config_of()
    with config.unlocked():
        config.student.modality, config.student.in_channels = "thermal", 3
        config.student.mean, config.student.std = (0.5,) * 3, (0.25,) * 3
    spec = NetworkSpec.from_config(config.student, len(CLASSES))
    phase = {"network": "student", "class_names": list(CLASSES)}
    for told, channels in (({"frame_channels": 1}, 1), ({"frame_channels": 3}, 3), ({}, 3)):
        description = StudentDescription.of_run(spec, config.to_dict(), phase | told)
        assert (description.channels, description.frame_channels) == (channels, channels)
    infrared = dataclasses.replace(spec, modality="ir")
    for told, channels in (({"frame_channels": 3}, 3), ({"frame_channels": 1}, 1), ({}, 1)):
        description = StudentDescription.of_run(infrared, config.to_dict(), phase | told)
        assert description.channels == channels
    with pytest.raises(ValueError, match="its thermal frames have 2; expected 1 or 3"):
        StudentDescription.of_run(spec, config.to_dict(), phase | {"frame_channels": 2})


def test_how_many_frames_a_video_needs() -> None:
    """Eight segments need as many frames; of two dense clips each needs its span, 3 * 3 + 1."""
    assert described(segments=8).needed_frames == 8
    dense = described(sampling="dense", frame_stride=3, segments=2 * SEGMENTS)
    assert dense.needed_frames == 10


def test_what_a_description_says_of_its_own_test_comes_back_and_is_checked():
    metrics = {"top1": 0.5, "per_class_accuracy": [1.0, None], "confusion": [[1, 0], [1, 0]]}
    own = OwnTest("a_set/a_config", "test", metrics)
    told = dataclasses.replace(described(), own_test=own)
    assert StudentDescription.from_json(told.to_json(), "here").own_test == own
    assert own.compare({**metrics, "top1": 0.75, "new": 1}) == {
        "exactly": False,
        "compared": ["confusion", "per_class_accuracy", "top1"],
        "differing": {"top1": [0.5, 0.75]},
    }
    for wrong in ({"metrics": {"top1": "\x1b[2J"}}, {"metrics": [1]}, {"split": 3}, {"more": 1}):
        fields = json.loads(told.to_json())
        fields["own_test"] |= wrong
        with pytest.raises(ValueError, match="here does not describe an exported network"):
            StudentDescription.from_json(json.dumps(fields), "here")
