"""Decoding of video files, frame by frame and scaled at once: memory stays bounded."""

import contextlib
import dataclasses
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from jaxtyping import UInt8

# FFmpeg's AVCOL_SPC_UNSPECIFIED and AVCOL_RANGE_UNSPECIFIED: what most surveillance-style AVI files
# carry.
_COLORSPACE_UNSPECIFIED = 2
_RANGE_UNSPECIFIED = 0


class VideoDecodeError(ValueError):
    """A file is no video, holds no picture, or breaks off; the message names it and the reason."""


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        width: Width of the source's pictures in pixels.
        height: Height of the source's pictures in pixels.
        fps: Frames a second (0 where the file does not say).
    """

    width: int
    height: int
    fps: float


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
def open_video(path: str | PathLike[str]) -> Iterator[tuple[VideoInfo, Iterator[av.VideoFrame]]]:
    """Opens a video file for one pass over its frames.

    Args:
        path: The video file.

    Yields:
        What the file says of itself, and an iterator over its decoded frames in order of display.

    Raises:
        VideoDecodeError: the file cannot be opened, has no video stream, no frame, or breaks off.
    """
    path = Path(path)
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise VideoDecodeError(f"{path}: cannot be opened as a video ({error})") from error
    with container:
        if not container.streams.video:
            raise VideoDecodeError(f"{path}: holds no video stream")
        stream = container.streams.video[0]
        # Files are decoded in parallel, one process a file: threads inside each would only fight.
        stream.codec_context.thread_count = 1
        info = VideoInfo(
            stream.codec_context.width, stream.codec_context.height, float(stream.average_rate or 0)
        )
        yield info, _frames(container, path)


def _frames(container: av.container.InputContainer, path: Path) -> Iterator[av.VideoFrame]:
    count = 0
    try:
        for frame in container.decode(video=0):
            yield frame
            count += 1
    except av.FFmpegError as error:
        raise VideoDecodeError(f"{path}: breaks off after {count} frames ({error})") from error
    if not count:
        raise VideoDecodeError(f"{path}: holds no frame")


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


def read_frames(
    path: str | PathLike[str], *, channels: int = 3, short_side: int | None = None
) -> Iterator[UInt8[np.ndarray, "height width channel"]]:
    """Decodes a video as RGB or gray pictures, one after the other.

    Args:
        path: The video file.
        channels: 3 for RGB, 1 for gray (luma).
        short_side: Shorter side of the pictures in pixels; None, or more than the source's, keeps
            its size.

    Yields:
        Pictures, full range 0-255.

    Raises:
        VideoDecodeError: the file is no readable video.
        ValueError: `channels` is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels is {channels}; expected 3 (RGB) or 1 (gray)")
    scaler = FrameScaler(short_side, "rgb24" if channels == 3 else "gray")
    with open_video(path) as (_, frames):
        for frame in frames:
            picture = scaler(frame).to_ndarray()
            yield picture if channels == 3 else picture[:, :, None]
