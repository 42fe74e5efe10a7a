"""Decoding of video files, frame by frame and scaled at once: memory stays bounded."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import IO, Any

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from rgb2ir_jax.video.source import SourceError, VideoSource, as_source, opened

# FFmpeg's AVCOL_SPC_UNSPECIFIED and AVCOL_RANGE_UNSPECIFIED: what most surveillance-style AVI files
# carry.
_COLORSPACE_UNSPECIFIED = 2
_RANGE_UNSPECIFIED = 0
# FFmpeg's names of the containers that are read: files that hold their video themselves.
_CONTAINERS = (
    "avi", "mov", "mp4", "matroska", "webm", "mpeg", "mpegts", "mpegvideo", "asf", "flv", "ogg",
    "wmv", "yuv4mpegpipe", "mxf", "h264", "hevc", "m4v", "mjpeg",
)  # fmt: skip


class VideoDecodeError(ValueError):
    """A file is no video, holds no picture, or breaks off; the message names it and the reason."""


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        width: Width of the source's pictures in pixels.
        height: Height of the source's pictures in pixels.
        fps: Frames a second (0 where the file does not say).
        has_times: Whether the frames' time stamps tell when they are shown.
    """

    width: int
    height: int
    fps: float
    has_times: bool = True


def scaled_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Returns (width, height) scaled so that the shorter one is `short_side`; never enlarges.

    Both come out even (4:2:0 chroma has half the rows and columns), the aspect kept to that
    rounding.

    Args:
        width: Source width in pixels.
        height: Source height in pixels.
        short_side: Wanted length of the shorter side in pixels; None keeps the source's size.

    Returns:
        The scaled width and height in pixels, both even and at least 2.
    """
    scale = min(1.0, short_side / min(width, height)) if short_side else 1.0
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


@contextlib.contextmanager
def open_video(
    source: VideoSource | str | PathLike[str], *, max_pixels: int | None = None
) -> Iterator[tuple[VideoInfo, Iterator[av.VideoFrame]]]:
    """Opens a video for one pass over its frames.

    Args:
        source: The video file, or a member of a zip archive.
        max_pixels: Largest width times height that is decoded; None sets no limit.

    Yields:
        What the file says of itself, and an iterator over its decoded frames in order of display.

    Raises:
        VideoDecodeError: the file cannot be opened, has no video stream, no frame, too large
            pictures, or breaks off.
    """
    source = as_source(source)
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(opened(source))
            # A playlist in a video's clothes could make FFmpeg open other files and addresses.
            path = f"file:{file}" if isinstance(file, str) else file
            container: Any = stack.enter_context(
                av.open(
                    path,
                    "r",
                    container_options={"format_whitelist": ",".join(_CONTAINERS)},
                    metadata_errors="replace",
                )
            )
        except SourceError as error:
            raise VideoDecodeError(str(error)) from error
        except (av.FFmpegError, OSError) as error:
            raise VideoDecodeError(f"{source}: cannot be opened as a video ({error})") from error
        if not container.streams.video:
            raise VideoDecodeError(f"{source}: holds no video stream")
        stream = container.streams.video[0]
        codec = stream.codec_context
        if codec is None:
            raise VideoDecodeError(f"{source}: is coded in a way that FFmpeg does not know")
        # Files are decoded in parallel, one process a file: threads inside each would only fight.
        codec.thread_count = 1
        if max_pixels is not None:
            if codec.width * codec.height > max_pixels:
                raise VideoDecodeError(
                    f"{source}: pictures of {codec.width}x{codec.height}; at most {max_pixels} "
                    "pixels are decoded (limit max_pixels)"
                )
            # The pictures may grow behind the header's back.
            codec.options = {"max_pixels": str(max_pixels)}
        yield (
            VideoInfo(
                codec.width,
                codec.height,
                float(stream.average_rate or 0),
                # AVI knows no times, only a rate; what FFmpeg makes of the order of coding jumps
                # back and forth where pictures are coded out of order.
                container.format.name != "avi",
            ),
            _frames(container, source, _announced_frames(container)),
        )


def _announced_frames(container: Any) -> int:
    """Returns how many frames the file says it holds, 0 where it does not say."""
    stream = container.streams.video[0]
    if stream.frames:
        return stream.frames
    duration = (container.duration or 0) / 1_000_000
    return int(duration * (stream.average_rate or 0))


def _frames(container: Any, source: VideoSource, announced: int) -> Iterator[av.VideoFrame]:
    count = 0
    try:
        for frame in container.decode(video=0):
            yield frame
            count += 1
    except (av.FFmpegError, OSError) as error:
        raise VideoDecodeError(f"{source}: breaks off after {count} frames ({error})") from error
    if not count:
        raise VideoDecodeError(f"{source}: holds no frame")
    # FFmpeg takes the end of a truncated file for the end of the video. Dropped frames are
    # announced too in some files, so that a smaller difference proves nothing by itself.
    if count < announced / 2 or (count < announced and _is_cut_off(source)):
        raise VideoDecodeError(f"{source}: breaks off after {count} of {announced} frames")


def _is_cut_off(source: VideoSource) -> bool:
    """Returns whether an AVI file ends before its outermost chunk does."""
    with opened(source) as file:
        if not isinstance(file, str):
            return _ends_early(file)
        with Path(file).open("rb") as plain:
            return _ends_early(plain)


def _ends_early(file: IO[bytes]) -> bool:
    header = file.read(8)
    if header[:4] != b"RIFF":
        return False
    return file.seek(0, os.SEEK_END) < 8 + int.from_bytes(header[4:8], "little")


class FrameScaler:
    """Scales and converts the frames of one video with libswscale.

    Args:
        short_side: Length of the shorter side in pixels (never enlarged); None keeps the size.
        pixel_format: FFmpeg's name of the wanted format: "yuv420p", "gray" or "rgb24".
    """

    def __init__(self, short_side: int | None, pixel_format: str):
        self._short_side = short_side
        self._format = pixel_format
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Returns the frame scaled and converted, with full range (0-255) and BT.601 colour.

        Those two are what JPEG means by YCbCr, so that "yuv420p" planes can be packed as they are.
        """
        width, height = scaled_size(frame.width, frame.height, self._short_side)
        full_range = frame.format.name.startswith(("yuvj", "gray", "rgb", "bgr", "gbr", "pal"))
        untagged_range = ColorRange.JPEG if full_range else ColorRange.MPEG
        untagged = frame.colorspace == _COLORSPACE_UNSPECIFIED
        return self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=self._format,
            src_colorspace=Colorspace.ITU601 if untagged else None,
            dst_colorspace=Colorspace.ITU601,
            src_color_range=untagged_range if frame.color_range == _RANGE_UNSPECIFIED else None,
            dst_color_range=ColorRange.JPEG,
            # Area averaging when shrinking: bilinear would alias at 1080 to 256 lines.
            interpolation=Interpolation.AREA if width < frame.width else Interpolation.BILINEAR,
            threads=1,
        )
