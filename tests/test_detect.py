"""Detection in long videos: a network that is known exactly, and the command on PKU-MMD's layout."""

import dataclasses
import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from configs import ntu
from data_builders.pku_mmd_ir.protocol import CLASS_NAMES
from rgb2ir_jax.data.long_video import LongVideo
from rgb2ir_jax.data.sampling import Sampling
from rgb2ir_jax.detect import THRESHOLDS, main
from rgb2ir_jax.evaluation.pku_detection import evaluate
from rgb2ir_jax.evaluation.proposal_files import read_proposals
from rgb2ir_jax.launch.pku_footage import class_numbers
from rgb2ir_jax.launch.trained_network import TrainedNetwork
from rgb2ir_jax.launch.video_detection import Detector, Windows
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.synthesis.long_videos import choose_videos
from rgb2ir_jax.synthesis.naming import CLASS_NAMES as NTU_NAMES
from rgb2ir_jax.synthesis.pku_layout import TEST_VIEW, film_view, write_splits
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.state import Split, merge
from rgb2ir_jax.video.decode import VideoDecodeError
from rgb2ir_jax.video.encode import write_video


def config_of(variant="student"):
    config = ntu.get_config(variant)
    with config.unlocked():
        config.student.depth, config.student.width = 10, 4
        config.data.segments, config.data.resize, config.data.crop = 4, 36, 32
    return config


def by_brightness(variables, frames):
    """Dark is class 0, bright class 1, and of all between the network knows nothing.

    Where half of the frames are dark, class 0 has a probability of 0.53; of a quarter, 0.43.
    """
    brightness = frames.astype(jnp.float32).mean(axis=(2, 3, 4)) + variables
    logits = jnp.stack([brightness < 60, brightness > 200, brightness < 0], axis=-1)
    return 1.6 * logits.astype(jnp.float32).mean(axis=1)


def watcher(*, temporal_shift=False):
    config = config_of()
    with config.unlocked():
        config.student["temporal_shift"] = temporal_shift
    spec = NetworkSpec.from_config(config.student, 3)
    return TrainedNetwork(
        "student", pathlib.Path(), spec, config, {}, jnp.float32(0), by_brightness, make_mesh()
    )


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """480 frames: grey, dark from 80 to 159, grey, bright from 280 to 399, grey."""
    path = tmp_path_factory.mktemp("video") / "long.avi"
    shades = [128] * 80 + [20] * 80 + [128] * 120 + [235] * 120 + [128] * 80
    write_video(path, (np.full((40, 56, 1), shade, np.uint8) for shade in shades), crf=12)
    return path


@pytest.mark.parametrize("lengths", [(32,), (32, 64)])
def test_known_actions_are_found_where_they_are(video, lengths):
    found = Detector(watcher(), Windows(8, lengths, segments=4))(video)
    assert (found.num_frames, found.fps) == (480, 30)
    assert [proposal.label for proposal in found.proposals] == [0, 1]
    rows = [[p.label + 1, p.start, p.end, p.confidence] for p in found.proposals]
    truth = [[1, 80, 159, 1], [2, 280, 399, 1]]
    # At its ends an action fills half of a window: at most a stride is what that costs.
    assert evaluate([rows], [truth], threshold=0.8)["mAP_video"] == 1.0
    for proposal, (_, start, end, _) in zip(found.proposals, truth, strict=True):
        assert abs(proposal.start - start) <= 8
        assert abs(proposal.end - end) <= 8


def test_a_network_that_mixes_segments_sees_whole_windows(video):
    """By brightness alone, mixing changes nothing: both ways must find the same."""
    windows = Windows(8, (32, 64), segments=4, background=0.55)
    alone = Detector(watcher(), windows)(video)
    mixing = Detector(watcher(temporal_shift=True), windows)(video)
    assert [p[:3] for p in alone.proposals] == [p[:3] for p in mixing.proposals]
    np.testing.assert_allclose(
        [p.confidence for p in alone.proposals], [p.confidence for p in mixing.proposals], rtol=1e-5
    )


def test_videos_shorter_than_a_window(tmp_path):
    for frames in (1, 3, 11):
        path = tmp_path / f"{frames}.avi"
        write_video(path, (np.full((40, 56, 1), 20, np.uint8) for _ in range(frames)), crf=12)
        (proposal,) = Detector(watcher(), Windows(segments=4))(path).proposals
        assert proposal[:3] == (0, 0, frames - 1)


def dense(network, segments=4, stride=2):
    data = network.config.data
    with network.config.unlocked():
        data.segments, data.sampling, data.frame_stride = segments, "dense", stride
    return network


@pytest.mark.parametrize(
    ("segments", "apart", "stride"),
    [(16, 1, 8), (16, 2, 8), (4, 1, 4), (6, 1, 6), (7, 3, 3), (2, 9, 9)],
)
def test_a_dense_run_has_windows_that_suit_it(segments, apart, stride):
    sampling = Sampling(segments, "dense", apart)
    windows = Windows.for_sampling(sampling)
    assert windows == Windows(stride, (segments * apart,), segments)
    Detector(dense(watcher(), segments, apart), windows)


@pytest.mark.parametrize("temporal_shift", [False, True])
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_a_network_of_dense_clips_sees_frames_in_a_row(tmp_path, temporal_shift, stride):
    """Each frame is as bright as its number: the windows tell which were seen."""
    path = tmp_path / "ramp.avi"
    write_video(path, (np.full((40, 56, 1), 20 + 3 * t, np.uint8) for t in range(64)), crf=5)
    network = dense(watcher(temporal_shift=temporal_shift))
    detector = Detector(network, Windows.for_sampling(Sampling(4, "dense", 2), stride=stride))
    seen = [
        [round((float(picture.mean()) - 20) / 3) for picture in window]
        for window in detector._windows_of(detector_pictures(detector, path), 8)
    ]
    # One window for each stretch, around its middle; 2 frames apart but for the ends.
    assert len(seen) == 64 // stride
    for number, frames in enumerate(seen[2:-2], 2):
        assert np.diff(frames).tolist() == [2, 2, 2]
        assert frames[0] <= number * stride + stride // 2 <= frames[-1] + 1
    assert detector(path).num_frames == 64


def detector_pictures(detector, path):
    return LongVideo(path, detector._apart, detector._channels, detector._network.config.data)


def test_dense_windows_of_a_short_video(tmp_path):
    path = tmp_path / "short.avi"
    write_video(path, (np.full((40, 56, 1), 20, np.uint8) for _ in range(2)), crf=12)
    (proposal,) = Detector(dense(watcher()), Windows.for_sampling(Sampling(4, "dense", 2)))(path)[0]
    assert proposal[:3] == (0, 0, 1)


@pytest.mark.parametrize("settings", [{"stride": 1}, {"lengths": (16,)}, {"segments": 8}])
def test_windows_that_show_a_dense_network_other_frames_are_refused(settings):
    windows = Windows.for_sampling(Sampling(4, "dense", 2), **settings)
    with pytest.raises(ValueError, match=r"expected windows of 8, 4 segments and a stride that is"):
        Detector(dense(watcher()), windows)


def test_pictures_have_the_channels_that_the_run_was_trained_on(video):
    """Own records of one channel for a network of three."""
    network = watcher()
    spec = dataclasses.replace(network.spec, modality="thermal", in_channels=3)
    for told, channels in (({"frame_channels": 1}, 1), ({}, 3)):
        detector = Detector(network._replace(spec=spec, result=told), Windows(segments=4))
        assert next(iter(detector_pictures(detector, video))).shape == (32, 32, channels)


def test_doubt_is_background(video):
    assert Detector(watcher(), Windows(background=1.0))(video).proposals == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stride": 0}, "stride is 0"),
        ({"lengths": ()}, r"lengths is \(\)"),
        ({"lengths": (64, 60)}, "multiples of the stride, 8 frames"),
        ({"segments": 0}, "segments is 0"),
        ({"background": 1.5}, "background is 1.5"),
        ({"most_overlap": -0.1}, "most_overlap is -0.1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Windows(**settings)


def test_pku_numbers_go_by_name():
    assert class_numbers(CLASS_NAMES, required=True) == list(range(1, 52))
    ten = class_numbers(NTU_NAMES, required=True)
    assert ten == [8, 10, 3, 2, 9, 22, 41, 33, 34, 6]
    assert class_numbers(["flying", "drink water"], required=False) == [1, 2]
    with pytest.raises(ValueError, match="'flying'"):
        class_numbers(["flying", "drink water"], required=True)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A real network of the ten classes that has learnt nothing."""
    config, mesh = config_of(), make_mesh()
    spec = NetworkSpec.from_config(config.student, 10)
    network = Split.create(lambda: spec.build(0), replicated(mesh))

    def logits_of(variables, frames):
        return merge(network.graph, variables)(spec.normalise(frames), train=False).logits

    folder, result = tmp_path_factory.mktemp("student"), {"class_names": list(NTU_NAMES)}
    return TrainedNetwork(
        "student", folder, spec, config, result, network.variables, logits_of, mesh
    )


@pytest.fixture
def detect(untrained, monkeypatch):
    """The command, given that network for its run."""
    load = "rgb2ir_jax.launch.trained_network.load_run"
    monkeypatch.setattr(load, lambda run, name: untrained)
    return lambda *arguments: main(["--run=run", *map(str, arguments)])


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """The test videos of the cross-view split alone."""
    folder, cast = tmp_path_factory.mktemp("pku"), choose_videos(2, 2, seed=6)
    for video in cast:
        film_view(folder, video, TEST_VIEW, 6, 32)
    write_splits(folder, cast)
    (folder / "synthesis.json").write_text("{}")
    return folder


def test_pku_videos_are_judged_by_their_labels(detect, footage, tmp_path, capsys):
    out = tmp_path / "found"
    # The logits of an untrained network are nearly equal.
    settings = ["--background=0.1", "--stride=16", "--segments=2"]
    assert detect(f"--pku={footage}", "--split=cross-view", f"--out={out}", *settings) == 0

    summary = json.loads((out / "detection.json").read_text())
    names = list(summary["videos"])
    assert names == ["0002-L", "0003-L"]
    proposals = [read_proposals(out / f"{name}.txt") for name in names]
    assert all(proposals)
    labels = [
        [[int(field) for field in row.split(",")] for row in path.read_text().split()]
        for path in (footage / "Label" / f"{name}.txt" for name in names)
    ]
    assert set(summary["thresholds"]) == {str(threshold) for threshold in THRESHOLDS}
    for threshold in THRESHOLDS:
        found = summary["thresholds"][str(threshold)]
        expected = evaluate(proposals, labels, threshold=threshold)
        for name in ("F1", "AP", "mAP_action", "mAP_video", "AP2D"):
            assert found[name] == pytest.approx(expected[name], abs=1e-9)
    shown = capsys.readouterr().out
    assert "2 synthetic test videos, cross-view" in shown
    assert "0002-L:" in shown


def test_files_of_ones_own_and_broken_ones(detect, video, tmp_path, capsys):
    broken = tmp_path / "broken.avi"
    broken.write_text("no video")
    out = tmp_path / "found"
    assert detect(f"--out={out}", "--background=0.1", video, broken) == 1
    summary = json.loads((out / "detection.json").read_text())
    assert list(summary["videos"]) == ["long"]
    assert list(summary["failed"]) == ["broken"]
    assert "broken.avi: cannot be opened" in capsys.readouterr().err
    rows = read_proposals(out / "long.txt")
    assert {row[0] for row in rows} <= set(class_numbers(NTU_NAMES, required=True))
    assert not (out / "broken.txt").exists()


def test_the_defaults_suit_a_dense_run(untrained, video, tmp_path, monkeypatch):
    network = dense(untrained._replace(config=config_of()), segments=4, stride=3)
    load = "rgb2ir_jax.launch.trained_network.load_run"
    monkeypatch.setattr(load, lambda run, name: network)
    assert main(["--run=run", f"--out={tmp_path / 'found'}", str(video)]) == 0
    told = json.loads((tmp_path / "found" / "detection.json").read_text())["windows"]
    assert (told["stride"], told["lengths"], told["segments"]) == (6, [12], 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["a.avi", "--windows=8,x"], "'8,x' is no list"),
        (["a.avi", "--windows=12"], "multiples of the stride"),
        (["a.avi", "b/a.avi"], "both called 'a'"),
        ([], "either video files or --pku"),
        (["a.avi", "--pku=b"], "either video files or --pku"),
        (["--pku={empty}"], "No pair of RGB and infrared videos"),
    ],
)
def test_a_users_mistake_is_told(detect, options, message, tmp_path, capsys):
    filled = [option.format(empty=tmp_path) for option in options]
    with pytest.raises(SystemExit) as stopped:
        detect(*filled)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_video_that_breaks_off_is_no_detection(video, tmp_path):
    cut = tmp_path / "cut.avi"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    with pytest.raises(VideoDecodeError):
        Detector(watcher(), Windows(segments=4))(cut)
