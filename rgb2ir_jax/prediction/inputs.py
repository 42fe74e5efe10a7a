"""What the command line names: video files, folders of them, cameras."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av

from rgb2ir_jax.video.decode import VideoDecodeError, VideoInfo, open_video

VIDEO_SUFFIXES = frozenset(
    (
        ".asf", ".avi", ".flv", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
        ".mxf", ".ogv", ".ts", ".webm", ".wmv", ".y4m",
    )
)  # fmt: skip
_MAX_PIXELS = 4096 * 4096
# What FFmpeg calls the cameras of Linux, and how their devices are named.
_CAMERA_FORMAT, _CAMERA_DEVICE = "v4l2", "/dev/video{}"


@dataclasses.dataclass(frozen=True)
class Input:
    """A video file or a camera.

    Attributes:
        name: as the person named it, or the file found in the folder.
        is_camera: whether the name is a camera's number.
    """

    name: str
    is_camera: bool = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[VideoInfo, Iterator[av.VideoFrame]]]:
        """One pass over its frames, see `video.decode.open_video`.

        Raises:
            VideoDecodeError: it cannot be opened, holds no frame, or breaks off.
        """
        if self.is_camera:
            with _camera(self.name) as opened:
                yield opened
            return
        if not Path(self.name).is_file():
            raise VideoDecodeError(f"{self.name}: there is no such file")
        with open_video(self.name, max_pixels=_MAX_PIXELS) as opened:
            yield opened


def find_inputs(names: Sequence[str]) -> tuple[list[Input], list[tuple[str, str]]]:
    """The videos that names stand for, in their order.

    Args:
        names: files, folders (their video files by name, not those of folders in them), and numbers
            of cameras where no file is called so.

    Returns:
        The videos, and (name, reason) of folders without any.
    """
    found: list[Input] = []
    failed = []
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            videos = sorted(
                file
                for file in path.iterdir()
                if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file()
            )
            found += [Input(str(video)) for video in videos]
            if not videos:
                known = ", ".join(sorted(VIDEO_SUFFIXES))
                failed.append((name, f"{name}: the folder holds no video file ({known})"))
        elif name.isdecimal() and not path.exists():
            found.append(Input(name, is_camera=True))
        else:
            found.append(Input(str(path)))
    return found, failed


@contextlib.contextmanager
def _camera(number: str) -> Iterator[tuple[VideoInfo, Iterator[av.VideoFrame]]]:
    name = _CAMERA_DEVICE.format(number)
    try:
        container: Any = av.open(name, "r", format=_CAMERA_FORMAT)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoDecodeError(
            f"camera {number}: {name} cannot be opened ({error}); is it plugged in, and free?"
        ) from error
    with container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        if codec.width * codec.height > _MAX_PIXELS:
            raise VideoDecodeError(f"camera {number}: pictures of {codec.width}x{codec.height}")
        info = VideoInfo(codec.width, codec.height, float(stream.average_rate or 0))
        yield info, _camera_frames(container, number)


def _camera_frames(container: Any, number: str) -> Iterator[av.VideoFrame]:
    try:
        yield from container.decode(video=0)
    except (av.FFmpegError, OSError) as error:
        raise VideoDecodeError(f"camera {number}: breaks off ({error})") from error
