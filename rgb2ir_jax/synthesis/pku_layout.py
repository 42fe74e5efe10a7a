"""PKU-MMD's folders, names, label files and split files, and how one view of a video gets there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rgb2ir_jax.synthesis.camera import place_cameras
from rgb2ir_jax.synthesis.choreography import Mark, choreograph
from rgb2ir_jax.synthesis.film import draw_quality, ir_frames, rgb_frames, write_video
from rgb2ir_jax.synthesis.filming import write_text
from rgb2ir_jax.synthesis.long_videos import CLASS_NUMBERS, VIEWS, LongVideo
from rgb2ir_jax.synthesis.motion import play_takes
from rgb2ir_jax.synthesis.naming import random_stream
from rgb2ir_jax.synthesis.scene import Scene, compose_scene, sides_at

TEST_VIEW = "L"
"""Cross-view trains on the other two."""


class ViewPaths(NamedTuple):
    """The files of one view of a video."""

    rgb: Path
    ir: Path
    label: Path


def view_paths(out: Path, name: str) -> ViewPaths:
    """Where PKU-MMD's layout has the files of a view such as "0002-L"."""
    return ViewPaths(
        out / "Data" / "RGB_VIDEO" / f"{name}.avi",
        out / "Data" / "IR_VIDEO" / f"{name}-infrared.avi",
        out / "Label" / f"{name}.txt",
    )


def label_text(marks: Sequence[Mark]) -> str:
    """The rows "class,start,end,confidence" of a label file: frames from 0, the end inclusive."""
    return "".join(
        f"{CLASS_NUMBERS[mark.action - 1]},{mark.start},{mark.stop - 1},{mark.confidence}\n"
        for mark in marks
    )


def split_text(training: Sequence[str], validation: Sequence[str]) -> str:
    """A split file as the owners write it: their spelling, a space after colons, a comma after the last name."""
    lists = ("".join(f"{name}, " for name in names) for names in (training, validation))
    return "Training videos: \n{}\nValidataion videos: \n{}\n".format(*lists)


def write_splits(out: Path, videos: Sequence[LongVideo]) -> None:
    """Writes `Split/cross-subject.txt` and `Split/cross-view.txt` for all views of the videos."""
    views = [(video, view) for video in videos for view in VIEWS]
    for protocol, rule in (
        ("cross-subject", lambda video, _: video.in_cross_subject_training),
        ("cross-view", lambda _, view: view != TEST_VIEW),
    ):
        parts = [
            [video.name(view) for video, view in views if rule(video, view) == wanted]
            for wanted in (True, False)
        ]
        write_text(out / "Split" / f"{protocol}.txt", split_text(*parts))


def stage_video(video: LongVideo, seed: int, height: int) -> tuple[Scene, list[Mark]]:
    """The scene of a long video, the same for its three views, and when its actions happen."""
    plan = choreograph(video, seed, sides_at(height))
    played = play_takes(plan.takes, plan.things, plan.rng)
    session = (video.setup, video.performer)
    scene = compose_scene(session, plan.who, plan.stage, played, plan.things, seed, height)
    return scene, plan.marks


def film_view(out: Path, video: LongVideo, view: str, seed: int, height: int) -> int:
    """Films one view of a long video; returns the bytes of its two video files.

    Pictures go to the encoder one by one. Each file is written under a temporary name and renamed
    when whole; the infrared one, written last, says that the view is there.

    Args:
        out: The data set's folder.
        video: What is done by whom.
        view: "L", "M" or "R".
        seed: Seed of the world.
        height: Lines of the colour picture.
    """
    scene, marks = stage_video(video, seed, height)
    rgb_camera, ir_camera = place_cameras(video.session(view), seed, height)
    key = (video.number, VIEWS[view])
    quality = draw_quality(random_stream(seed, "long codec", *key))
    streams = [random_stream(seed, "long sensor", *key, modality) for modality in range(2)]
    paths = view_paths(out, video.name(view))
    size = write_video(paths.rgb, rgb_frames(scene, rgb_camera, streams[0]), quality)
    write_text(paths.label, label_text(marks))
    return size + write_video(paths.ir, ir_frames(scene, ir_camera, streams[1]), quality)
