"""Videos of one scene turned into JPEG frames, clip by clip, in one pass over each file."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import av

from rgb2ir_jax.video.decode import FrameScaler, VideoDecodeError, VideoInfo, open_video
from rgb2ir_jax.video.jpeg import encode_jpeg, encode_jpeg_yuv420
from rgb2ir_jax.video.modalities import CHANNELS
from rgb2ir_jax.video.source import VideoSource

_UNITS = ("frames", "seconds")


@dataclasses.dataclass(frozen=True)
class JpegVideo:
    """A clip of a video as JPEG frames, each of which can be decoded without the others.

    Attributes:
        frames: One JFIF file a stored frame, in order (or what `recode_task` was told to keep of
            it).
        fps: The source's frames a second (0 where the file does not say).
        source_frames: Number of frames of the clip in the source; more than are stored where only
            every n-th is.
    """

    frames: list[Any]
    fps: float
    source_frames: int


class Span(NamedTuple):
    """A part of a video, half open: [start, stop), from 0.

    Attributes:
        start: First moment.
        stop: First moment after it; `math.inf` is the video's end.
        unit: "frames" (whole numbers) or "seconds" (by the frames' time stamps; in AVI files, which
            have none, by their rate).
    """

    start: float
    stop: float
    unit: str = "frames"


class ClipSpans(NamedTuple):
    """One clip of a task: its name and where it lies in each video; None is the whole video."""

    name: str
    rgb: Span | None = None
    ir: Span | None = None
    depth: Span | None = None
    flow: Span | None = None


class RecodeLimits(NamedTuple):
    """What one task may take, so that no video can fill the memory.

    Attributes:
        max_frames: Stored frames of one clip in one modality.
        max_bytes: JPEG bytes of a whole task, all modalities together.
        max_pixels: Width times height of the source's pictures.
        min_side: Shorter side of the source's pictures, in pixels.
    """

    max_frames: int = 5000
    max_bytes: int = 512 * 2**20
    max_pixels: int = 4096 * 4096
    min_side: int = 16


class RecodeTask(NamedTuple):
    """A pair of video files, or one, or more, and the clips to take from it.

    Attributes:
        name: Name of the pair, for messages.
        rgb: The colour video; None where there is none.
        ir: The infrared video; likewise.
        clips: The clips; they may overlap. A frame that several share is stored once in memory.
        short_side: Shorter side of the JPEGs in pixels; never enlarged.
        quality: JPEG quality, 1-100.
        frame_stride: Of each clip every so-manieth frame is stored, its first one included.
        limits: Bounds of memory.
        depth: A video of distances, grey; None where there is none.
        flow: A video of optical flow, as a colour picture; likewise.
    """

    name: str
    rgb: VideoSource | None
    ir: VideoSource | None
    clips: tuple[ClipSpans, ...]
    short_side: int
    quality: int
    frame_stride: int = 1
    limits: RecodeLimits = RecodeLimits()
    depth: VideoSource | None = None
    flow: VideoSource | None = None


class ClipResult(NamedTuple):
    """A recoded clip, or the reason why there is none; modalities that are not there are None."""

    name: str
    rgb: JpegVideo | None
    ir: JpegVideo | None
    problem: str | None
    depth: JpegVideo | None = None
    flow: JpegVideo | None = None

    @property
    def videos(self) -> dict[str, JpegVideo]:
        """What is there, by modality."""
        found = {modality: getattr(self, modality) for modality in CHANNELS}
        return {modality: video for modality, video in found.items() if video is not None}


@dataclasses.dataclass
class _Clip:
    """A clip while its video is read."""

    span: Span | None
    frames: list[Any] = dataclasses.field(default_factory=list)
    seen: int = 0
    problem: str | None = None

    def fail(self, problem: str) -> None:
        self.problem, self.frames = problem, []

    def shows(self, index: int, seconds: float) -> bool:
        if self.span is None:
            return True
        moment = seconds if self.span.unit == "seconds" else index
        return self.span.start <= moment < self.span.stop

    def is_over(self, index: int, seconds: float) -> bool:
        if self.problem is not None:
            return True
        if self.span is None:
            return False
        return (seconds if self.span.unit == "seconds" else index) >= self.span.stop


def recode_task(task: RecodeTask, keep: Callable[[bytes], Any] = bytes) -> list[ClipResult]:
    """Decodes the videos of a task once each and gives its clips as JPEG frames.

    Memory holds one decoded frame beside the JPEGs, and of those at most what the task's limits
    allow. A file that cannot be read gives problems, not exceptions; the clips that lie before the
    place where a file breaks off are kept.

    Args:
        task: The pair and its clips.
        keep: Takes each JPEG and gives what stands for it in the results; default: the JPEG itself.

    Returns:
        One result a clip, in the task's order.

    Raises:
        ValueError: the task itself is wrong (no video, stride, empty or negative span, unknown unit).
    """
    _check(task)
    left = task.limits.max_bytes
    problems: dict[int, str] = {}
    videos: dict[str, list[Any]] = {}
    for modality, channels in CHANNELS.items():
        source = getattr(task, modality)
        if source is None:
            continue
        clips = [_Clip(getattr(clip, modality)) for clip in task.clips]
        for index, problem in problems.items():
            clips[index].fail(problem)
        fps, left = _recode_video(task, source, channels, clips, left, keep)
        problems = {i: clip.problem for i, clip in enumerate(clips) if clip.problem is not None}
        videos[modality] = [JpegVideo(clip.frames, fps, clip.seen) for clip in clips]
    return [
        ClipResult(clip.name, None, None, problems[i])
        if i in problems
        else ClipResult(clip.name, None, None, None)._replace(
            **{modality: of[i] for modality, of in videos.items()}
        )
        for i, clip in enumerate(task.clips)
    ]


def _check(task: RecodeTask) -> None:
    if task.frame_stride < 1:
        raise ValueError(f"{task.name}: frame_stride is {task.frame_stride}; expected at least 1")
    if all(getattr(task, modality) is None for modality in CHANNELS):
        raise ValueError(f"{task.name}: no video; expected one of {', '.join(CHANNELS)}")
    for clip in task.clips:
        for span in (getattr(clip, modality) for modality in CHANNELS):
            if span is None:
                continue
            if span.unit not in _UNITS:
                raise ValueError(f"{clip.name}: a span in {span.unit!r}; expected {_UNITS}")
            if not 0 <= span.start < span.stop:
                raise ValueError(
                    f"{clip.name}: a span from {span.start} to {span.stop} {span.unit}; "
                    "expected 0 <= start < stop"
                )


def _recode_video(
    task: RecodeTask,
    source: VideoSource,
    channels: int,
    clips: list[_Clip],
    left: int,
    keep: Callable[[bytes], Any],
) -> tuple[float, int]:
    """Fills the clips from one pass over a video; returns its frame rate and the bytes left."""
    if all(clip.problem is not None for clip in clips):
        return 0.0, left
    size: tuple[int, int] | None = None
    fps, index, seconds, damaged = 0.0, 0, 0.0, 0
    encode = _Encoder(channels, task.short_side, task.quality)
    try:
        with open_video(source, max_pixels=task.limits.max_pixels) as (info, frames):
            fps, clock = info.fps, _Clock(info)
            for frame in frames:
                seconds = clock(frame, index)
                if all(clip.is_over(index, seconds) for clip in clips):
                    return fps, left
                size = _checked_size(source, frame, size, index, task.limits)
                damaged += frame.is_corrupt
                kept: Any = None
                for clip in clips:
                    if clip.problem is not None or not clip.shows(index, seconds):
                        continue
                    clip.seen += 1
                    if (clip.seen - 1) % task.frame_stride:
                        continue
                    if kept is None:
                        jpeg = encode(frame)
                        left -= len(jpeg)
                        kept = keep(jpeg)
                    clip.frames.append(kept)
                    if len(clip.frames) > task.limits.max_frames:
                        clip.fail(
                            f"{source}: more than {task.limits.max_frames} frames in one clip "
                            "(limit max_frames): cut it into clips, or store fewer with frame_stride"
                        )
                    elif left < 0:
                        clip.fail(
                            f"{source}: more than {task.limits.max_bytes} bytes of JPEG in one pair "
                            "of videos (limit max_bytes)"
                        )
                index += 1
    except VideoDecodeError as error:
        for clip in clips:
            if not clip.is_over(index, seconds):
                clip.fail(str(error))
        return fps, left
    for clip in clips:
        _check_complete(source, clip, index, damaged, fps)
    return fps, left


def _check_complete(
    source: VideoSource, clip: _Clip, num_frames: int, damaged: int, fps: float
) -> None:
    """Judges a clip once its video has ended."""
    if clip.problem is not None:
        return
    if damaged > num_frames / 10:
        clip.fail(f"{source}: {damaged} of {num_frames} pictures are damaged")
    elif clip.span is not None:
        rate = 1.0 if clip.span.unit == "frames" else fps
        wanted = (clip.span.stop - clip.span.start) * rate
        # Labels may reach a few frames past the end; half a clip is another clip.
        if not clip.seen or (math.isfinite(wanted) and clip.seen < wanted / 2):
            clip.fail(
                f"{source}: has {num_frames} frames; of {clip.span.start:g} to "
                f"{clip.span.stop:g} {clip.span.unit} it holds {clip.seen} frames"
            )


class _Clock:
    """Tells when the frames of one video are shown, in seconds from the first."""

    def __init__(self, info: VideoInfo):
        self._info = info
        self._start: float | None = None

    def __call__(self, frame: av.VideoFrame, index: int) -> float:
        if self._info.has_times and frame.time is not None:
            if self._start is None:
                self._start = frame.time
            return frame.time - self._start
        return index / self._info.fps if self._info.fps else float(index)


def _checked_size(
    source: VideoSource,
    frame: av.VideoFrame,
    first: tuple[int, int] | None,
    index: int,
    limits: RecodeLimits,
) -> tuple[int, int]:
    size = (frame.width, frame.height)
    if first is None:
        if min(size) < limits.min_side:
            raise VideoDecodeError(
                f"{source}: pictures of {size[0]}x{size[1]}; the shorter side must be at least "
                f"{limits.min_side} (limit min_side)"
            )
    elif size != first:
        raise VideoDecodeError(
            f"{source}: the pictures change from {first[0]}x{first[1]} to {size[0]}x{size[1]} at "
            f"frame {index}"
        )
    return size


class _Encoder:
    """Scales, converts and packs the frames of one video."""

    def __init__(self, channels: int, short_side: int, quality: int):
        self._channels = channels
        self._quality = quality
        self._scaler = FrameScaler(short_side, "yuv420p" if channels == 3 else "gray")

    def __call__(self, frame: av.VideoFrame) -> bytes:
        scaled = self._scaler(frame)
        array: Any = scaled.to_ndarray()
        if self._channels == 3:
            return encode_jpeg_yuv420(array, scaled.height, scaled.width, self._quality)
        return encode_jpeg(array[:, :, None], self._quality)
