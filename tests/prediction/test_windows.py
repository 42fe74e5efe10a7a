"""How videos are cut into clips, counted by hand and over random frame times."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.prediction import windows as module
from rgb2ir_jax.prediction.footage import Picture
from rgb2ir_jax.prediction.windows import Windows
from rgb2ir_jax.video.decode import VideoDecodeError


def pictures(times, duration=0.1):
    """Pictures whose one pixel is their number."""
    for number, time in enumerate(times):
        pixels = np.full((1, 1, 1), number % 256, np.uint8)
        yield Picture(time, time + duration, pixels)


def regular(count, fps=10):
    return pictures((n / fps for n in range(count)), 1 / fps)


def spans(windows, video):
    return [
        (round(start, 3), round(end, 3), [int(picture[0, 0, 0]) for picture in held])
        for start, end, held in windows.cut(video)
    ]


def test_a_short_video_is_one_clip() -> None:
    assert spans(Windows(3, 1, 10), regular(100)) == [(0.0, 10.0, list(range(100)))]
    assert spans(Windows(3, 1, 10), regular(1)) == [(0.0, 0.1, [0])]
    assert spans(Windows(3, 1, 10), regular(0)) == []


def test_a_longer_one_is_windows_and_the_last_ends_with_it() -> None:
    found = spans(Windows(3, 1, 4), regular(45))
    assert [span[:2] for span in found] == [(0, 3), (1, 4), (1.5, 4.5)]
    assert [span[2] for span in found] == [
        list(range(30)),
        list(range(10, 40)),
        list(range(15, 45)),
    ]
    # Where the stride fits, the last one is one of the others.
    assert [span[:2] for span in spans(Windows(3, 1, 4), regular(50))] == [(0, 3), (1, 4), (2, 5)]


def test_streaming_gives_a_window_with_its_last_picture() -> None:
    taken = itertools.count()
    video = ((next(taken), picture)[1] for picture in regular(1000))
    first = next(Windows(2, 1, 0).cut(video))
    assert (first.start, first.end, len(first.pictures)) == (0, 2, 20)
    assert next(taken) == 20
    # A video shorter than a window is what there is.
    assert spans(Windows(2, 1, 0), regular(7)) == [(0.0, 0.7, list(range(7)))]


def test_windows_wider_apart_than_long() -> None:
    found = spans(Windows(1, 5, 0), regular(120))
    assert [span[:2] for span in found] == [(0, 1), (5, 6), (10, 11), (11, 12)]


def test_a_pause_of_the_camera_is_skipped() -> None:
    times = [n / 10 for n in range(20)] + [1000 + n / 10 for n in range(20)]
    found = spans(Windows(1, 1, 0), pictures(times))
    assert [span[:2] for span in found] == [(0, 1), (1, 2), (1000, 1001), (1001, 1002)]


def test_too_many_pictures_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_PICTURES", 50)
    # More than a short video may have: windows then.
    assert len(spans(Windows(3, 1, 10), regular(60))) == 4
    with pytest.raises(VideoDecodeError, match="more than 50 pictures lie in a window of 3 s"):
        spans(Windows(3, 1, 0), pictures([0.0] * 60, 0.001))


@given(
    gaps=st.lists(st.floats(0.01, 3), min_size=1, max_size=60),
    seconds=st.sampled_from([0.5, 1.0, 3.0]),
    stride=st.sampled_from([0.3, 1.0, 4.0]),
    longest=st.sampled_from([0.0, 2.0]),
)
def test_windows_hold_just_what_lies_in_them(gaps, seconds, stride, longest) -> None:
    times = list(itertools.accumulate(gaps, initial=0.0))
    found = list(Windows(seconds, stride, longest).cut(pictures(times, 0.1)))
    assert found
    starts = [span.start for span in found]
    assert starts == sorted(starts)
    if len(found) == 1 and longest:
        return
    for start, end, held in found:
        assert end - start <= seconds + 1e-6
        inside = [n for n, time in enumerate(times) if start - 1e-4 <= time < end - 1e-4]
        assert [int(picture[0, 0, 0]) for picture in held] == inside
    # Nothing is left out where the windows follow each other without gaps.
    if stride <= seconds:
        seen = {int(picture[0, 0, 0]) for span in found for picture in span.pictures}
        assert seen == set(range(len(times)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [((0, 1, 10), "seconds is 0"), ((3, -1, 10), "stride is -1"), ((3, 1, -1), "longest_clip is")],
)
def test_lengths_out_of_range_are_refused(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        Windows(*settings)
