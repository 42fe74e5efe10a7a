"""Writing of video files (H.264 or any codec FFmpeg has, through PyAV)."""

from collections.abc import Iterable
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from jaxtyping import UInt8

# With its macroblock tree x264 codes equal pictures in different bytes: of small ones 37 of 60 times.
X264_REPEATABLE = "mbtree=0"


def write_video(
    path: str | PathLike[str],
    frames: Iterable[UInt8[np.ndarray, "height width *channel"]],
    fps: float | int = 30,
    *,
    codec: str = "libx264",
    crf: int = 20,
    preset: str = "veryfast",
) -> int:
    """Writes pictures as a 4:2:0 video; the file's ending (.avi, .mp4) chooses the container.

    Args:
        path: The file to write; its folder must exist.
        frames: Pictures 0-255, all of one even size: (H, W, 3) RGB, or (H, W, 1) or (H, W) gray.
        fps: Frames a second.
        codec: FFmpeg's name of the encoder.
        crf: Quality of x264 and x265, 0 (lossless) to 51; others ignore it.
        preset: x264's trade of time against size.

    Returns:
        The number of frames written.

    Raises:
        ValueError: there is no frame, sizes differ, or a side is odd.
    """
    size: tuple[int, int] | None = None
    count = 0
    reformatter = VideoReformatter()
    with av.open(str(Path(path)), "w") as container:
        options = {"crf": str(crf), "preset": preset} if codec in ("libx264", "libx265") else {}
        if codec == "libx264":
            options["x264-params"] = X264_REPEATABLE
        stream: Any = container.add_stream(
            codec, rate=Fraction(fps).limit_denominator(1001), options=options
        )
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in frames:
            height, width = picture.shape[:2]
            if size is None:
                if height % 2 or width % 2:
                    raise ValueError(
                        f"{path}: pictures of {width}x{height}; 4:2:0 video needs even sides"
                    )
                size = (height, width)
                stream.width, stream.height = width, height
            if size != (height, width):
                raise ValueError(
                    f"{path}: picture {count} is {width}x{height}, the first {size[1]}x{size[0]}"
                )
            color = picture.ndim == 3 and picture.shape[2] == 3
            plane = picture if color else picture.reshape(height, width)
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(plane), format="rgb24" if color else "gray"
            )
            frame = reformatter.reformat(
                frame,
                format="yuv420p",
                dst_colorspace=Colorspace.ITU601,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
            container.mux(stream.encode(frame))
            count += 1
        if not count:
            raise ValueError(f"{path}: no frame to write")
        container.mux(stream.encode(None))
    return count
