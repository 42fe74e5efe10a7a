"""A video file turned into JPEG frames, and a pair of files turned so by one worker process."""

import dataclasses
from os import PathLike
from typing import NamedTuple

from rgb2ir_jax.video.decode import FrameScaler, VideoDecodeError, open_video
from rgb2ir_jax.video.jpeg import encode_jpeg, encode_jpeg_yuv420


@dataclasses.dataclass(frozen=True)
class JpegVideo:
    """A video as JPEG frames, each of which can be decoded without the others.

    Attributes:
        frames: One JFIF file a frame, in order.
        fps: The source's frames a second.
    """

    frames: list[bytes]
    fps: float


class PairTask(NamedTuple):
    """One pair to recode: its name and its two files."""

    name: str
    rgb_path: str
    ir_path: str
    short_side: int
    quality: int


class PairResult(NamedTuple):
    """A recoded pair, or the reason why there is none (`rgb` and `ir` are None then)."""

    name: str
    rgb: JpegVideo | None
    ir: JpegVideo | None
    problem: str | None


def recode_video(
    path: str | PathLike[str], *, channels: int, short_side: int | None, quality: int = 90
) -> JpegVideo:
    """Decodes a video, scales each frame while converting it, and encodes it as JPEG.

    Memory holds one decoded frame at a time beside the JPEGs.

    Args:
        path: The video file.
        channels: 3 (colour, 4:2:0) or 1 (gray).
        short_side: Shorter side of the JPEGs in pixels; never enlarged.
        quality: JPEG quality, 1-100.

    Returns:
        The JPEG frames and the source's frame rate.

    Raises:
        VideoDecodeError: the file is no readable video.
    """
    scaler = FrameScaler(short_side, "yuv420p" if channels == 3 else "gray")
    jpegs: list[bytes] = []
    with open_video(path) as (info, frames):
        for frame in frames:
            scaled = scaler(frame)
            array = scaled.to_ndarray()
            if channels == 3:
                jpegs.append(encode_jpeg_yuv420(array, scaled.height, scaled.width, quality))
            else:
                jpegs.append(encode_jpeg(array[:, :, None], quality))
        return JpegVideo(jpegs, info.fps)


def recode_pair(task: PairTask) -> PairResult:
    """Recodes both videos of a pair; a broken file comes back as a reason, not as an exception.

    Args:
        task: The pair.

    Returns:
        Both videos as JPEG frames, or the reason why not.
    """
    try:
        rgb = recode_video(
            task.rgb_path, channels=3, short_side=task.short_side, quality=task.quality
        )
        ir = recode_video(
            task.ir_path, channels=1, short_side=task.short_side, quality=task.quality
        )
    except VideoDecodeError as error:
        return PairResult(task.name, None, None, str(error))
    return PairResult(task.name, rgb, ir, None)
