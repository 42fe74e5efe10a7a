"""Clips cut from pairs of videos: spans, strides, limits, and reasons for what cannot be read."""

import pathlib
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.jpeg import decode_jpeg, encode_jpeg
from rgb2ir_jax.video.recode import (
    ClipSpans,
    RecodeLimits,
    RecodeTask,
    Span,
    recode_task,
)
from rgb2ir_jax.video.source import VideoSource

RGB_FRAMES, IR_FRAMES = 20, 15


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2))


def picture(t, channels):
    """Smooth, other in each frame, over nearly the whole range."""
    y, x = np.mgrid[:48, :64]
    waves = [np.sin(x / 9 + t), np.cos(y / 7 + t), np.sin((x + y) / 11 + t)]
    return (127 + 120 * np.stack(waves[:channels], axis=-1)).astype(np.uint8)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    write_video(folder / "a_rgb.avi", (picture(t, 3) for t in range(RGB_FRAMES)), fps=20, crf=8)
    write_video(folder / "a_ir.avi", (picture(t, 1) for t in range(IR_FRAMES)), fps=15, crf=8)
    return VideoSource(str(folder / "a_rgb.avi")), VideoSource(str(folder / "a_ir.avi"))


def task(pair, *clips, **more):
    return RecodeTask("a", *pair, clips or (ClipSpans("a"),), 256, 95, **more)


@pytest.fixture(scope="module")
def whole(pair):
    (result,) = recode_task(task(pair))
    assert result.problem is None
    return result


def test_pictures_change_little_and_rates_are_kept(whole):
    assert (whole.rgb.fps, whole.ir.fps) == (20, 15)
    assert (whole.rgb.source_frames, whole.ir.source_frames) == (RGB_FRAMES, IR_FRAMES)
    assert (len(whole.rgb.frames), len(whole.ir.frames)) == (RGB_FRAMES, IR_FRAMES)
    for t, jpeg in enumerate(whole.rgb.frames):
        assert psnr(decode_jpeg(jpeg, 3), picture(t, 3)) > 33
    for t, jpeg in enumerate(whole.ir.frames):
        assert psnr(decode_jpeg(jpeg, 1), picture(t, 1)) > 33


spans = st.tuples(st.integers(0, 11), st.integers(1, 12)).map(lambda s: Span(s[0], s[0] + s[1]))


@given(clips=st.lists(st.tuples(spans, spans), min_size=1, max_size=4), stride=st.integers(1, 5))
def test_overlapping_clips_are_slices_of_the_whole(pair, whole, clips, stride):
    named = [ClipSpans(f"clip{i}", *both) for i, both in enumerate(clips)]
    results = recode_task(task(pair, *named, frame_stride=stride))
    for clip, result in zip(named, results, strict=True):
        assert result.name == clip.name
        short = IR_FRAMES - clip.ir.start < (clip.ir.stop - clip.ir.start) / 2
        assert (result.problem is not None) == short
        if short:
            assert "a_ir.avi: has 15 frames" in result.problem
            continue
        for span, part, all_frames in (
            (clip.rgb, result.rgb, whole.rgb.frames),
            (clip.ir, result.ir, whole.ir.frames),
        ):
            expected = all_frames[span.start : span.stop]
            assert part.source_frames == len(expected)
            assert part.frames == expected[::stride]


@pytest.mark.parametrize("ending", ["avi", "mp4", "mkv"])
def test_seconds_are_the_frames_times(tmp_path, ending):
    """x264 codes these frames out of order, and AVI files hold no times."""
    for modality, channels, frames, fps in (("rgb", 3, 20, 20), ("ir", 1, 15, 15)):
        write_video(
            tmp_path / f"b_{modality}.{ending}", (picture(t, channels) for t in range(frames)), fps
        )
    pair = [VideoSource(str(tmp_path / f"b_{modality}.{ending}")) for modality in ("rgb", "ir")]
    (whole,) = recode_task(task(pair))
    clip = ClipSpans("part", Span(0.25, 0.5, "seconds"), Span(0.2, 1.0, "seconds"))
    (result,) = recode_task(task(pair, clip))
    assert result.rgb.frames == whole.rgb.frames[5:10]
    assert result.ir.frames == whole.ir.frames[3:15]


def test_a_clip_behind_the_end_is_a_problem_of_its_own(pair, whole):
    inside, behind = ClipSpans("in", Span(0, 5), Span(0, 5)), ClipSpans("out", Span(30, 40), None)
    good, bad = recode_task(task(pair, inside, behind))
    assert good.rgb.frames == whole.rgb.frames[:5]
    assert bad.rgb is bad.ir is None
    assert "20 frames; of 30 to 40 frames it holds 0" in bad.problem


def test_clips_before_the_break_of_a_file_are_kept(pair, whole, tmp_path):
    cut = tmp_path / "cut.avi"
    content = pathlib.Path(pair[0].path).read_bytes()
    cut.write_bytes(content[: len(content) * 3 // 4])
    clips = ClipSpans("first", Span(0, 4), Span(0, 4)), ClipSpans("last", Span(0, 19), Span(0, 9))
    first, last = recode_task(task((VideoSource(str(cut)), pair[1]), *clips))
    assert first.rgb.frames == whole.rgb.frames[:4]
    assert "breaks off" in last.problem


@pytest.mark.parametrize("channels", [1, 3])
def test_infrared_of_one_and_of_three_channels_gives_one(tmp_path, channels):
    gray = picture(0, 1)
    path = tmp_path / "ir.avi"
    write_video(path, [gray.repeat(channels, axis=2)] * 3, crf=5)
    (result,) = recode_task(task((VideoSource(str(path)),) * 2))
    assert psnr(decode_jpeg(result.ir.frames[0], 1), gray) > 33


def test_a_long_video_stops_at_the_limit_of_frames(pair):
    (result,) = recode_task(task(pair, limits=RecodeLimits(max_frames=14)))
    assert "a_rgb.avi: more than 14 frames in one clip (limit max_frames)" in result.problem
    (result,) = recode_task(task(pair, limits=RecodeLimits(max_frames=10), frame_stride=2))
    assert result.problem is None


def test_a_rich_video_stops_at_the_limit_of_bytes(pair, whole):
    size = sum(map(len, whole.rgb.frames))
    (result,) = recode_task(task(pair, limits=RecodeLimits(max_bytes=size + 1)))
    assert "a_ir.avi" in result.problem
    assert "limit max_bytes" in result.problem


def test_too_large_and_too_small_pictures(pair):
    (result,) = recode_task(task(pair, limits=RecodeLimits(max_pixels=3000)))
    assert "64x48; at most 3000 pixels" in result.problem
    (result,) = recode_task(task(pair, limits=RecodeLimits(min_side=49)))
    assert "64x48; the shorter side must be at least 49" in result.problem


def write_motion_jpeg(path, sizes):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.height, stream.width = sizes[0]
        stream.pix_fmt = "yuvj420p"
        for t, size in enumerate(sizes):
            packet = av.Packet(encode_jpeg(np.full((*size, 3), 90, np.uint8)))
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, t, t, Fraction(1, 10)
            container.mux(packet)


def test_pictures_that_change_their_size(pair, tmp_path):
    write_motion_jpeg(tmp_path / "change.avi", [(48, 64)] * 3 + [(32, 64)] * 3)
    (result,) = recode_task(task((VideoSource(str(tmp_path / "change.avi")), pair[1])))
    assert "change from 64x48 to 64x32 at frame 3" in result.problem


def test_odd_sizes_are_made_even(tmp_path):
    write_motion_jpeg(tmp_path / "odd.avi", [(33, 47)] * 2)
    (result,) = recode_task(task((VideoSource(str(tmp_path / "odd.avi")),) * 2))
    shape = decode_jpeg(result.rgb.frames[0], 3).shape
    assert (shape[0] % 2, shape[1] % 2) == (0, 0)
    assert abs(shape[0] - 33) <= 1
    assert abs(shape[1] - 47) <= 1


def test_a_broken_half_gives_a_reason(pair, tmp_path):
    (tmp_path / "b_ir.avi").write_bytes(b"RIFF")
    (result,) = recode_task(task((pair[0], VideoSource(str(tmp_path / "b_ir.avi")))))
    assert result.rgb is result.ir is None
    assert "b_ir.avi" in result.problem


@pytest.mark.parametrize(
    ("clip", "more", "message"),
    [
        (ClipSpans("a", Span(5, 5)), {}, "expected 0 <= start < stop"),
        (ClipSpans("a", None, Span(0, 1, "minutes")), {}, "'minutes'"),
        (ClipSpans("a"), {"frame_stride": 0}, "frame_stride is 0"),
    ],
)
def test_wrong_tasks_are_refused(pair, clip, more, message):
    with pytest.raises(ValueError, match=message):
        recode_task(task(pair, clip, **more))


@given(
    ending=st.sampled_from(["avi", "mp4", "mkv"]),
    blows=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)),
        min_size=1,
        max_size=12,
    ),
    kept=st.floats(0.01, 1),
)
def test_no_damage_raises(pair, tmp_path_factory, ending, blows, kept):
    folder = tmp_path_factory.getbasetemp() / "damage"
    folder.mkdir(exist_ok=True)
    sound, broken = folder / f"sound.{ending}", folder / f"broken.{ending}"
    if not sound.exists():
        write_video(sound, (picture(t, 3) for t in range(8)))
    content = bytearray(sound.read_bytes())
    for place, blow in blows:
        # Half of the blows fall on the headers.
        at = int(place * 2 * 600) if place < 0.5 else int(place * len(content))
        content[at : at + len(blow)] = blow
    broken.write_bytes(content[: int(kept * len(content))])
    (result,) = recode_task(task((VideoSource(str(broken)), pair[1])))
    assert (result.problem is None) == (result.rgb is not None) == (result.ir is not None)
    assert result.problem is not None or result.rgb.frames
