"""The command: the run's own logits, every kind of bad input, windows, streams and annotated copies."""

import json
import pathlib
import shutil

import jax  # noqa: F401  Before TensorFlow, which the building side of TFDS imports.
import numpy as np
import pytest

from configs import ntu
from rgb2ir_jax import load_student, predict
from rgb2ir_jax.data.sampling import center_positions, frame_indices
from rgb2ir_jax.data.source import open_split
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.launch.trained_network import load_run, score_split
from rgb2ir_jax.prediction import inputs as inputs_module
from rgb2ir_jax.prediction.description import StudentDescription
from rgb2ir_jax.prediction.footage import Footage
from rgb2ir_jax.prediction.inputs import Input
from rgb2ir_jax.prediction.predictor import predict_videos, stream_video
from rgb2ir_jax.prediction.results import VideoResult
from rgb2ir_jax.prediction.student import Student
from rgb2ir_jax.prediction.windows import Windows
from rgb2ir_jax.synthesis.naming import CLASS_NAMES
from rgb2ir_jax.video.decode import open_video
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.jpeg import decode_jpeg, encode_jpeg
from tests.written_run import write_run

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

CLIPS = pathlib.Path(__file__).parent / "data_builders" / "videos"
SEGMENTS = 4


def config_of(variant="student", folder="data"):
    config = ntu.get_config(variant)
    with config.unlocked():
        config.data.dir, config.data.threads = str(folder), 0
        config.data.segments, config.data.resize, config.data.crop = SEGMENTS, 36, 32
    return config


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Three test clips of smooth moving patterns as the owners hand them out, and one to train on."""
    import cv2

    folder, rng = tmp_path_factory.mktemp("footage"), np.random.default_rng(0)
    for sample in ("S001C001P001R001A001", "S001C001P003R001A001", "S001C001P003R001A002"):
        for modality, channels in (("rgb", 3), ("ir", 1)):
            noise = rng.integers(0, 256, (6, 9, channels), np.uint8)
            picture = cv2.resize(noise, (128, 96), interpolation=cv2.INTER_CUBIC)
            picture = picture.reshape(96, 128, channels)
            moving = (np.roll(picture, 5 * t, axis=1) for t in range(17))
            place = folder / f"nturgb+d_{modality}"
            place.mkdir(exist_ok=True)
            write_video(place / f"{sample}_{modality}.avi", moving, crf=12)
    (folder / "synthesis.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def data_dir(footage, tmp_path_factory):
    import tensorflow_datasets as tfds

    from data_builders.ntu_rgbd_ir.ntu_rgbd_ir_dataset_builder import Builder

    built = tmp_path_factory.mktemp("built")
    builder = Builder(data_dir=built)
    builder.workers = 0
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=footage))
    return built


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    write_run(folder, config_of(folder=data_dir), ("student",), width=4, classes=CLASS_NAMES)
    return folder


@pytest.fixture(scope="module")
def student(run):
    return load_student(run)


def predicted(capsys, *arguments):
    """Exit code, the JSON document, and what stands on the standard error."""
    code = predict.main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out), err


def test_a_test_clip_is_looked_at_as_the_run_tests(run, student, footage, capsys) -> None:
    network = load_run(run)
    data = network.config.data
    expected, _ = score_split(network, data, "test", Protocol.from_config(network.config))
    assert expected.std(axis=0).min() > 1e-3  # The clips differ.

    # The very frames that the records hold: the same bits.
    records = list(open_split(data, "test"))
    stored = [[decode_jpeg(frame, 1) for frame in record["ir"]] for record in records]
    found = student.logits([student.clip(frames) for frames in stored])
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        student(np.stack(stored[0])).probabilities, student.prediction(expected[0]).probabilities
    )

    # The video that a record was made of: what JPEG changes, and nothing else.
    files = sorted((footage / "nturgb+d_ir").glob("*P003*"))
    assert len(files) == len(records) == 2
    for file, record, logits in zip(files, records, expected, strict=True):
        assert int(file.name[17:20]) - 1 == record["label"]
        seen = [picture.pixels for picture in Footage(Input(str(file)), 1)]
        recoded = [decode_jpeg(encode_jpeg(pixels, 90), 1) for pixels in seen]
        np.testing.assert_array_equal(student.logits([student.clip(recoded)])[0], logits)

        code, document, err = predicted(capsys, f"--run={run}", file, "--topk=10")
        assert (code, err) == (0, "")
        (video,) = document["videos"]
        (clip,) = video["clips"]
        assert (video["frames"], clip["start"], clip["end"]) == (17, 0, round(17 / 30, 3))
        given = {entry["label"]: entry["probability"] for entry in clip["classes"]}
        prediction = student.prediction(logits)
        for label, probability in zip(*prediction, strict=True):
            assert given[label] == pytest.approx(probability, abs=0.01)


def test_dense_views_are_the_same_too(run, tmp_path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    config = json.loads((copy / "config.json").read_text())
    config["evaluation"] |= {"segments": 5, "crops": 3}
    (copy / "config.json").write_text(json.dumps(config))
    network = load_run(copy)
    expected, _ = score_split(network, network.config.data, "test", Protocol(5, 3))
    student = load_student(copy)
    records = open_split(network.config.data, "test")
    clips = [student.clip([decode_jpeg(f, 1) for f in record["ir"]]) for record in records]
    assert clips[0].shape == (3, 5, 32, 32, 1)
    np.testing.assert_array_equal(student.logits(clips), expected)


def test_real_clips_for_a_network_of_the_other_modality_are_warned_of(run, capsys) -> None:
    code, document, err = predicted(capsys, f"--run={run}", CLIPS)
    assert code == 0
    names = [pathlib.Path(video["video"]).name for video in document["videos"]]
    assert names == ["bird.mkv", "milk.mkv"]
    for video in document["videos"]:
        assert sum("is a colour video" in warning for warning in video["warnings"]) == 1
        assert video["clips"]
        assert "error" not in video
        for clip in video["clips"]:
            assert len(clip["classes"]) == 5
    assert err.count("is a colour video") == 2
    assert document["class_names"] == list(CLASS_NAMES)


def test_each_bad_input_is_told_and_the_others_are_looked_at(
    run, footage, tmp_path, capsys
) -> None:
    good = min((footage / "nturgb+d_ir").iterdir())
    cut, text = tmp_path / "cut.avi", tmp_path / "text.avi"
    cut.write_bytes(good.read_bytes()[: good.stat().st_size * 9 // 10])
    text.write_text("no video at all\n" * 100)
    garbage = tmp_path / "garbage.mkv"
    garbage.write_bytes(np.random.default_rng(0).bytes(5000))
    single, empty = tmp_path / "single.avi", tmp_path / "empty"
    write_video(single, [np.full((48, 64, 1), 90, np.uint8)])
    empty.mkdir()
    (tmp_path / "zero.mp4").write_bytes(b"")
    names = [
        cut,
        good,
        text,
        garbage,
        tmp_path / "missing.avi",
        single,
        empty,
        tmp_path / "zero.mp4",
    ]

    code, document, err = predicted(capsys, f"--run={run}", *names)
    assert code == 1
    by_name = {pathlib.Path(video["video"]).name: video for video in document["videos"]}
    assert len(by_name) == len(names)
    for name in (good.name, "single.avi"):
        assert "error" not in by_name[name]
        assert len(by_name[name]["clips"]) == 1
    assert "has 1 frame, fewer than the 4" in by_name["single.avi"]["warnings"][0]
    for name, reason in (
        ("cut.avi", "breaks off after"),
        ("text.avi", "cannot be opened as a video"),
        ("garbage.mkv", "cannot be opened as a video"),
        ("missing.avi", "there is no such file"),
        ("empty", "the folder holds no video file"),
        ("zero.mp4", "cannot be opened as a video"),
    ):
        assert reason in by_name[name]["error"]
        assert sum(reason in line and name in line for line in err.splitlines()) == 1
    assert err.count("error: ") == 6
    assert err.count("warning: ") == 1
    assert "Traceback" not in err
    # And as text.
    assert predict.main([f"--run={run}", str(good), str(text), "--topk=2"]) == 1
    out = capsys.readouterr().out
    assert out.count("%") == 2
    assert out.startswith(f"{good}: 17 frames, 0.6 s\n")
    assert predict.main([f"--run={run}", str(empty)]) == 1


def by_brightness(clips):
    """Class 0 is sure of dark clips, 1 of bright ones."""
    bright = clips.reshape(len(clips), -1).mean(axis=1)
    return np.stack([4 * (bright < 128), 4 * (bright >= 128), 0 * bright], -1).astype(np.float32)


@pytest.fixture
def watcher(monkeypatch):
    """The command, given a network that is known exactly."""
    fields = ("student", "ir", ("dark", "bright", "none"), SEGMENTS, 1, SEGMENTS, False, 36, 32, 1)
    description = StudentDescription(*fields, (0.5,), (0.25,))
    student = Student(pathlib.Path("known"), description, by_brightness)
    monkeypatch.setattr(predict, "_load", lambda options: student)
    return student


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    """Twelve seconds at ten frames: six dark, six bright."""
    path = tmp_path_factory.mktemp("video") / "long.mkv"
    shades = [30] * 60 + [220] * 60
    write_video(path, (np.full((48, 64, 1), shade, np.uint8) for shade in shades), 10, crf=10)
    return path


SURE = np.exp(4) / (np.exp(4) + 2)


def test_a_long_video_is_windows(watcher, long_video, capsys) -> None:
    code, document, _ = predicted(capsys, "--student=x", long_video, "--window=2", "--stride=1")
    assert code == 0
    (video,) = document["videos"]
    assert (video["frames"], video["fps"], video["seconds"]) == (120, 10, 12)
    clips = video["clips"]
    assert [(clip["start"], clip["end"]) for clip in clips] == [(n, n + 2) for n in range(11)]
    assert {clip["frames"] for clip in clips} == {20}
    labels = [clip["classes"][0]["label"] for clip in clips]
    # The window from 5 to 7 s is half dark, half bright: 125 on average.
    assert labels == ["dark"] * 6 + ["bright"] * 5
    assert clips[0]["classes"][0]["probability"] == pytest.approx(SURE)
    # It is one clip where clips may be that long.
    _, document, _ = predicted(capsys, "--student=x", long_video, "--longest_clip=12")
    assert len(document["videos"][0]["clips"]) == 1
    predict.main(["--student=x", str(long_video), "--window=6", "--stride=6"])
    assert "    6.0 -   12.0 s  bright  96.5%" in capsys.readouterr().out


def test_a_stream_is_told_window_by_window(watcher, long_video, capsys) -> None:
    arguments = ["--student=x", str(long_video), "--stream", "--window=2", "--stride=2", "--topk=1"]
    assert predict.main([*arguments, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    *clips, end = lines
    assert [clip["start"] for clip in clips] == [0, 2, 4, 6, 8, 10]
    assert [clip["classes"][0]["label"] for clip in clips] == ["dark"] * 3 + ["bright"] * 3
    assert (end["finished"], end["frames"]) == (True, 120)
    assert predict.main(arguments) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
    # The result is there with the window's last frame.
    result = VideoResult("long")
    stream = stream_video(watcher, Input(str(long_video)), Windows(2, 1, 0), result)
    first = next(stream)
    assert (first.start, first.end, first.num_frames) == (0, 2, 20)
    stream.close()
    assert result.num_frames == 20


def test_the_first_result_does_not_wait_for_other_videos(watcher, long_video) -> None:
    taken = []

    def inputs():
        for _ in range(3):
            taken.append(1)
            yield Input(str(long_video))

    results = predict_videos(watcher, inputs(), Windows(longest_clip=20))
    assert len(next(results).clips) == 1
    assert len(taken) == 1
    assert [len(result.clips) for result in results] == [1, 1]


def test_a_video_that_breaks_off_late_has_its_windows(
    watcher, long_video, tmp_path, capsys
) -> None:
    whole, cut = tmp_path / "whole.avi", tmp_path / "cut.avi"
    rng = np.random.default_rng(0)
    write_video(whole, (rng.integers(0, 256, (48, 64, 1), np.uint8) for _ in range(300)), 10)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    code, document, err = predicted(capsys, "--student=x", cut, long_video)
    assert code == 1
    broken, good = document["videos"]
    assert "breaks off after" in broken["error"]
    assert len(broken["clips"]) > 10
    assert "error" not in good
    assert err.count("error: ") == 1


def grey_frames(path):
    with open_video(path) as (info, frames):
        return info, np.stack([frame.to_ndarray(format="gray") for frame in frames])


@pytest.mark.parametrize("stream", [False, True])
def test_the_annotated_copy_shows_the_running_label(
    watcher, long_video, tmp_path, capsys, stream
) -> None:
    out = tmp_path / "copies" / "out.mp4"
    arguments = ["--student=x", str(long_video), f"--annotate={out}", "--window=2", "--stride=2"]
    assert predict.main([*arguments, *["--stream"] * stream]) == 0
    capsys.readouterr()
    info, frames = grey_frames(out)
    assert (len(frames), info.fps, info.height) == (120, 10, 240)
    # Above the caption the pictures are the video's own.
    np.testing.assert_allclose(frames[:, :150].mean(axis=(1, 2)), [30] * 60 + [220] * 60, atol=4)
    captions = frames[:, 200:].astype(int)
    # The caption changes where the label does: in a stream when the window is over.
    change = 80 if stream else 60
    within = np.abs(captions[change - 15] - captions[change - 10])
    # Both of them on bright pictures, or both on dark ones.
    other = (captions[100], captions[75]) if stream else (captions[50], captions[110])
    assert (within > 60).sum() < 20
    assert (np.abs(other[0] - other[1]) > 60).sum() > 100


def test_a_camera_is_streamed_until_it_ends(watcher, monkeypatch, capsys) -> None:
    """FFmpeg's own test pattern stands for a camera: a colourful one."""
    pattern = "testsrc=duration=5:size=64x48:rate=10:decimals={}"
    monkeypatch.setattr(inputs_module, "_CAMERA_FORMAT", "lavfi")
    monkeypatch.setattr(inputs_module, "_CAMERA_DEVICE", pattern)
    code = predict.main(["--student=x", "0", "--window=2", "--stride=1", "--json"])
    out, err = capsys.readouterr()
    *clips, end = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [clip["start"] for clip in clips] == [0, 1, 2, 3]
    assert {clip["video"] for clip in clips} == {"0"}
    assert end["frames"] == 50
    assert "warning: 0 is a colour video" in err
    with pytest.raises(SystemExit):
        predict.main(["--student=x", "0", "video.avi"])
    assert "name it alone" in capsys.readouterr().err


def test_a_camera_that_is_not_there_is_told(watcher, capsys) -> None:
    assert predict.main(["--student=x", "97"]) == 1
    assert "error: camera 97: " in capsys.readouterr().err


def test_a_stopped_camera_ends_with_its_results(watcher, monkeypatch, capsys, long_video) -> None:
    def stopped(*_):
        yield from ()
        raise KeyboardInterrupt

    monkeypatch.setattr("rgb2ir_jax.prediction.predictor.stream_video", stopped)
    assert predict.main(["--student=x", "0"]) == 0
    assert predict.main(["--student=x", str(long_video), "--stream"]) == 130


def test_grey_video_for_a_network_of_colour_is_warned_of(long_video) -> None:
    footage = Footage(Input(str(long_video)), 3)
    assert {picture.pixels.shape for picture in footage} == {(48, 64, 3)}
    assert "is grey, but the network has learned from colour" in footage.warnings(4)[0]
    assert Footage(Input(str(long_video)), 1).warnings(4) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.avi"], "either --run=DIR or --student=FILE"),
        (["--run=a", "--student=b", "a.avi"], "either --run=DIR or --student=FILE"),
        (["--run=a"], "VIDEO"),
        (["--run=a", "a.avi", "--topk=0"], "--topk is 0"),
        (["--run=nowhere", "a.avi"], "there is no folder nowhere"),
        (["--student=nowhere.onnx", "a.avi"], "there is no file nowhere.onnx"),
        (["--run=a", "a.avi", "--window=0"], "seconds is 0"),
        (["--run=a", "a.avi", "b.avi", "--annotate=o.mp4"], "one file for 2 videos"),
    ],
)
def test_a_users_mistake_is_told(arguments, message, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        predict.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_the_frames_of_a_clip_are_those_of_the_records(student) -> None:
    frames = [np.full((40, 40, 1), n, np.uint8) for n in range(17)]
    chosen = frame_indices(center_positions(SEGMENTS), 17)
    np.testing.assert_array_equal(student.clip(frames)[:, 0, 0, 0], chosen)
