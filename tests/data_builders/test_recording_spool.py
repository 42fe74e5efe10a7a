"""Clips handed over in a file are those that would have gone through the pipe, in little memory."""

import subprocess
import sys

import numpy as np
import pytest

from data_builders.recording.spool import SpoolTask, read_back, recode_to_file
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.recode import ClipSpans, RecodeTask, Span, recode_task
from rgb2ir_jax.video.source import VideoSource


@pytest.fixture
def task(tmp_path, footage):
    """Three clips, two of which overlap and one of which lies beyond the videos' end."""
    sources = {}
    for modality in ("rgb", "ir"):
        picture = getattr(footage, f"{modality}_picture")
        path = tmp_path / f"long_{modality}.avi"
        write_video(path, (picture("long", t) for t in range(10)))
        sources[modality] = VideoSource(str(path))
    spans = {"first": Span(0, 6), "overlapping": Span(4, 10), "beyond": Span(40, 60)}
    clips = tuple(ClipSpans(name, span, span) for name, span in spans.items())
    return RecodeTask("long", sources["rgb"], sources["ir"], clips, 256, 90)


def test_clips_come_back_as_they_were_and_the_file_goes(task, tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    spooled = recode_to_file(SpoolTask(task, str(folder)))
    (file,) = folder.iterdir()
    expected = recode_task(task)
    # The two frames that two clips share are in the file once.
    stored = {jpeg for clip in expected[:2] for v in (clip.rgb, clip.ir) for jpeg in v.frames}
    assert file.stat().st_size == sum(map(len, stored))

    assert list(read_back(spooled)) == expected
    assert [clip.problem is None for clip in expected] == [True, True, False]
    assert not list(folder.iterdir())


def test_the_file_goes_even_if_nobody_takes_all_clips(task, tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    clips = read_back(recode_to_file(SpoolTask(task, str(folder))))
    assert next(clips).name == "first"
    clips.close()
    assert not list(folder.iterdir())


_RECODE_AND_MEASURE = """
import resource, sys
from data_builders.recording.spool import SpoolTask, read_back, recode_to_file
from rgb2ir_jax.video.recode import ClipSpans, RecodeTask, Span
from rgb2ir_jax.video.source import VideoSource

folder, frames = sys.argv[1], int(sys.argv[2])
sources = [VideoSource(f"{folder}/{modality}.avi") for modality in ("rgb", "ir")]

def recode(stop):
    clips = tuple(
        ClipSpans(str(start), *2 * (Span(start, start + 20),)) for start in range(0, stop - 19, 10)
    )
    task = RecodeTask("long", *sources, clips, 256, 95)
    stored = 0
    for clip in read_back(recode_to_file(SpoolTask(task, folder))):
        assert clip.problem is None, clip.problem
        stored += sum(map(len, clip.rgb.frames)) + sum(map(len, clip.ir.frames))
    return stored

recode(40)  # Loads every library and fills every pool.
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
stored = recode(frames)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(stored, 1024 * grown)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (4, 256, 256, 3), np.uint8)
    frames = 480
    for modality in ("rgb", "ir"):
        pictures = (noise[t % 4] for t in range(frames))
        write_video(tmp_path / f"{modality}.avi", pictures, preset="ultrafast")
    done = subprocess.run(
        [sys.executable, "-c", _RECODE_AND_MEASURE, str(tmp_path), str(frames)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stored, grown = map(int, done.stdout.split())
    assert stored > 60e6
    # A clip at a time; what is held of all clips are places in a file.
    assert grown < stored / 6
