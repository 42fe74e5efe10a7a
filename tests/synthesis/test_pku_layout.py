"""Footage in PKU-MMD's layout: files, labels, splits, reruns, and what the command refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from rgb2ir_jax.synthesis import filming
from rgb2ir_jax.synthesis.camera import place_cameras
from rgb2ir_jax.synthesis.film import ir_frames, rgb_frames
from rgb2ir_jax.synthesis.filming import SynthesisError
from rgb2ir_jax.synthesis.long_videos import LongVideo, choose_videos
from rgb2ir_jax.synthesis.naming import TRAIN_PERFORMERS, random_stream
from rgb2ir_jax.synthesis.pku_dataset import film_long_videos
from rgb2ir_jax.synthesis.pku_layout import film_view, split_text, stage_video, view_paths
from rgb2ir_jax.synthesize import main

HEIGHT, SEED = 36, 6
NAMES = [f"{number:04d}-{view}" for number in (2, 3) for view in "LMR"]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pku") / "footage"
    options = [f"--out={out}", "--videos=2", "--actions-per-video=2", f"--height={HEIGHT}"]
    assert main(["--layout=pku_mmd", *options, f"--seed={SEED}", "--workers=2", "--quiet"]) == 0
    return out


def _rows(path: Path) -> list[list[int]]:
    text = path.read_text()
    assert text.endswith("\n")
    return [[int(field) for field in line.split(",")] for line in text.splitlines()]


def _parse_split(text: str) -> tuple[list[str], list[str]]:
    """As a public loader of the owners' files does it."""
    training, validation = text.split("Training videos: \n")[1].split("Validataion videos: \n")
    assert all(part.endswith(", \n") for part in (training, validation))
    return training.split(", ")[:-1], validation.split(", ")[:-1]


def test_files_are_where_the_owners_have_them(footage: Path) -> None:
    found = {str(path.relative_to(footage)) for path in footage.rglob("*") if path.is_file()}
    wanted = {"synthesis.json", "Split/cross-subject.txt", "Split/cross-view.txt"}
    for name in NAMES:
        wanted |= {
            f"Data/RGB_VIDEO/{name}.avi",
            f"Data/IR_VIDEO/{name}-infrared.avi",
            f"Label/{name}.txt",
        }
    assert found == wanted
    manifest = json.loads((footage / "synthesis.json").read_text())
    assert manifest["layout"] == "pku_mmd"
    assert manifest["actions_per_video"] == 2


def test_rows_lie_in_order_within_videos_of_the_planned_length(
    footage: Path, h264_pictures: Callable[[Path], np.ndarray]
) -> None:
    for video in choose_videos(2, 2, SEED):
        scene, marks = stage_video(video, SEED, HEIGHT)
        texts = set()
        for view in "LMR":
            paths = view_paths(footage, video.name(view))
            (rgb, *rgb_shape), (ir, *ir_shape) = (
                h264_pictures(path).shape for path in (paths.rgb, paths.ir)
            )
            assert (rgb_shape, ir_shape) == ([36, 64, 3], [36, 44, 3])
            assert (rgb, ir) == (scene.stage.rgb_frames, scene.stage.ir_frames)
            assert abs(rgb - ir) <= 2
            rows = _rows(paths.label)
            assert len(rows) == 2
            last = -1
            for (number, start, end, confidence), mark in zip(rows, marks, strict=True):
                assert number in {2, 3, 6, 8, 9, 10, 22, 33, 34, 41}
                assert last + 60 < start < end < min(rgb, ir) - 60
                assert end - start + 1 == mark.stop - mark.start
                assert confidence in (1, 2)
                last = end
            texts.add(paths.label.read_text())
        assert len(texts) == 1


def test_the_person_moves_more_in_marked_frames_than_at_rest(footage: Path) -> None:
    """Seen in the colour pixels of every view, not in the script."""
    for name in NAMES:
        paths = view_paths(footage, name)
        with av.open(str(paths.rgb)) as container:
            clip = np.stack([f.to_ndarray(format="gray") for f in container.decode(video=0)])
        # Over a third of a second, so that the camera's noise counts little.
        smooth = clip[: len(clip) // 5 * 5].reshape(-1, 5, *clip.shape[1:]).mean(axis=1)
        change = (np.abs(smooth[2:] - smooth[:-2]) > 12).sum(axis=(1, 2))
        at = 5 * (np.arange(len(change)) + 1.5)
        inside = np.zeros(len(change), bool)
        for _, start, end, _ in _rows(paths.label):
            inside |= (at >= start) & (at <= end)
        assert change[inside].mean() > change[~inside].mean()


def test_splits_follow_performers_and_views(footage: Path) -> None:
    performer = {video.number: video.performer for video in choose_videos(2, 2, SEED)}
    training, validation = _parse_split((footage / "Split" / "cross-subject.txt").read_text())
    assert sorted(training + validation) == NAMES
    assert all(performer[int(name[:4])] in TRAIN_PERFORMERS for name in training)
    assert all(performer[int(name[:4])] not in TRAIN_PERFORMERS for name in validation)
    assert len(training) == len(validation) == 3
    training, validation = _parse_split((footage / "Split" / "cross-view.txt").read_text())
    assert training == ["0002-M", "0002-R", "0003-M", "0003-R"]
    assert validation == ["0002-L", "0003-L"]


def test_split_file_to_the_letter() -> None:
    assert split_text(["0002-L", "0002-M"], ["0003-L"]) == (
        "Training videos: \n0002-L, 0002-M, \nValidataion videos: \n0003-L, \n"
    )


def test_a_video_is_the_same_wherever_it_is_made(
    footage: Path, tmp_path: Path, same_film: Callable[[Path, Path], bool]
) -> None:
    video = choose_videos(2, 2, SEED)[1]
    film_view(tmp_path, video, "R", SEED, HEIGHT)
    made, alone = view_paths(footage, "0003-R"), view_paths(tmp_path, "0003-R")
    assert made.label.read_bytes() == alone.label.read_bytes()
    assert same_film(made.rgb, alone.rgb)
    assert same_film(made.ir, alone.ir)
    assert not list(tmp_path.rglob("*.partial*"))


def test_pictures_before_coding_are_the_same_bit_for_bit() -> None:
    video = LongVideo(4, 9, 6, (1, 10))
    films = []
    for other in (5, 3):
        stage_video(LongVideo(other, 8, 2, (2,)), 1, HEIGHT)  # must leave no trace
        scene, _ = stage_video(video, 1, HEIGHT)
        cameras = place_cameras(video.session("R"), 1, HEIGHT)
        streams = [random_stream(1, "long sensor", 4, 2, modality) for modality in range(2)]
        rgb = np.stack(list(rgb_frames(scene, cameras[0], streams[0])))
        films.append((rgb, np.stack(list(ir_frames(scene, cameras[1], streams[1])))))
    for once, again in zip(*films, strict=True):
        np.testing.assert_array_equal(once, again)


def test_a_lost_file_is_filmed_again_and_more_videos_join(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], same_film: Callable[[Path, Path], bool]
) -> None:
    common = ["--layout=pku_mmd", f"--out={tmp_path}", "--actions-per-video=1", "--quiet"]
    common += [f"--height={HEIGHT}", "--workers=2"]
    assert main([*common, "--videos=2"]) == 0
    assert "filmed 6 pairs" in capsys.readouterr().out
    lost = view_paths(tmp_path, "0002-M")
    kept = lost.ir.rename(tmp_path / "kept.avi")
    assert main([*common, "--videos=3"]) == 0
    said = capsys.readouterr().out
    assert "5 pairs were there already" in said
    assert "filmed 4 pairs" in said
    assert same_film(lost.ir, kept)
    listed = [*_parse_split((tmp_path / "Split" / "cross-subject.txt").read_text())[0]]
    assert "0004-L" in listed
    # Fewer videos than there are: nothing is filmed, and none is struck from the lists.
    report = film_long_videos(tmp_path, 2, 1, HEIGHT, 0, 1, progress=False)
    assert (report.filmed, report.reused) == (0, 6)
    assert "0004-L" in (tmp_path / "Split" / "cross-subject.txt").read_text()
    with pytest.raises(SynthesisError, match=r"actions_per_video=1 \(asked for 2\)"):
        film_long_videos(tmp_path, 2, 2, HEIGHT, 0, 1, progress=False)
    assert main([f"--out={tmp_path}", "--clips=2", f"--height={HEIGHT}", "--quiet"]) == 1
    assert "layout=pku_mmd (asked for ntu)" in capsys.readouterr().err


def test_a_stopped_worker_leaves_no_unfinished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr(filming, "_stop", stop)
    with pytest.raises(filming.FilmingStoppedError):
        film_view(tmp_path, choose_videos(2, 1, 0)[0], "L", 0, HEIGHT)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_long_videos_are_placed_a_few_seconds_at_a_time() -> None:
    scene, _ = stage_video(LongVideo(9, 7, 3, (1, 2, 3)), 0, HEIGHT)
    surfaces = list(scene.surfaces())
    assert sum(len(surface.vertices) for surface in surfaces) == scene.stage.frames
    assert max(len(surface.vertices) for surface in surfaces) == 150


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layout=pku_mmd", "--out=x"], "--layout=pku_mmd needs --out=DIR and --videos=N"),
        (["--layout=pku_mmd", "--videos=3"], "--layout=pku_mmd needs --out=DIR and --videos=N"),
        (["--layout=pku_mmd", "--out=x", "--clips=3"], "--clips belongs to --layout=ntu"),
        (["--layout=pku_mmd", "--out=x", "--videos=1"], "'1' is not a whole number from 2"),
        (["--out=x", "--videos=3"], "--videos belongs to --layout=pku_mmd"),
        (["--out=x", "--clips=3", "--actions-per-video=3"], "--actions-per-video belongs to"),
        (
            ["--layout=pku_mmd", "--out=x", "--videos=3", "--actions-per-video=61"],
            "'61' is not a whole number from 1 to 60",
        ),
        (
            ["--layout=pku_mmd", "--out=x", "--videos=3", "--contact-sheet=y.png"],
            "--contact-sheet draws clips of --layout=ntu",
        ),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str], message: str, refusal: Callable[[list[str]], str]
) -> None:
    assert message in refusal(arguments)
