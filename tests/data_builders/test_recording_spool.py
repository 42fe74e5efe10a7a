"""Clips handed over in a file are those that would have gone through the pipe."""

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
