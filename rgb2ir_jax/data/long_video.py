"""A long video seen at regular moments: one pass, one picture in memory, cropped as test clips are."""

from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from rgb2ir_jax.data.transforms import crop_views
from rgb2ir_jax.video.decode import FrameScaler, open_video
from rgb2ir_jax.video.source import VideoSource

# The builders store pictures of at most this short side; what is trained on has gone through it.
_STORED_SHORT_SIDE = 256
_MAX_PIXELS = 4096 * 4096


class LongVideo:
    """The middle frame of each stretch of a video, ready for a network.

    Args:
        source: The file.
        stride: Frames of a stretch. The last, shorter one counts if it reaches its middle; a video
            of no whole stretch shows its last frame.
        channels: Of the pictures: 3 are colour, 1 is grey.
        data: `config.data`; read are `resize` and `crop`.

    Raises:
        ValueError: the stride is less than 1, or the pictures of no video have so many channels.

    Attributes:
        num_frames: Frames of the video, once it has been iterated over.
        fps: Frames a second as the file says, 0 where it does not; from the first frame on.
    """

    def __init__(
        self,
        source: VideoSource | str | PathLike[str],
        stride: int,
        channels: int,
        data: ConfigDict,
    ):
        if stride < 1:
            raise ValueError(f"the stride is {stride} frames, expected at least 1")
        if channels not in (1, 3):
            raise ValueError(f"pictures of {channels} channels; those of a video have 1 or 3")
        self._source, self._stride = source, stride
        self._channels = channels
        self._resize, self._crop = data.resize, data.crop
        self.num_frames = 0
        self.fps = 0.0

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "crop crop channel"]]:
        """Decodes the video once and yields its pictures in order.

        Raises:
            VideoDecodeError: the file is no video, holds no frame or breaks off.
        """
        scale = FrameScaler(_STORED_SHORT_SIDE, "rgb24" if self._channels == 3 else "gray")
        self.num_frames, shown = 0, 0
        with open_video(self._source, max_pixels=_MAX_PIXELS) as (info, frames):
            self.fps = info.fps
            for frame in frames:
                last = frame
                if self.num_frames % self._stride == self._stride // 2:
                    shown += 1
                    yield self._picture(scale, frame)
                self.num_frames += 1
            if not shown:
                yield self._picture(scale, last)

    def _picture(self, scale: FrameScaler, frame: Any) -> UInt8[np.ndarray, "crop crop channel"]:
        array: Any = scale(frame).to_ndarray()
        picture = array.reshape(*array.shape[:2], self._channels)
        return crop_views(picture, self._resize, self._crop, 1)[0]
