"""A video seen once: small pictures for the network, and what there is to say of the whole."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import av
import numpy as np
from jaxtyping import UInt8

from rgb2ir_jax.prediction.colour import ColourWatch
from rgb2ir_jax.prediction.inputs import Input
from rgb2ir_jax.video.decode import FrameScaler

# The builders store pictures of at most this short side; what is trained on has gone through it.
_STORED_SHORT_SIDE = 256
# Of files that do not tell: what most cameras of the data sets have.
USUAL_FPS = 30.0
# Of more damaged pictures the builders take no clip.
_MOST_DAMAGED = 0.1


class Picture(NamedTuple):
    """A frame, small.

    Attributes:
        start: when it is shown, in seconds from the first one.
        end: when the next one is due.
        pixels: at most 256 on the short side, one channel for infrared, three for colour.
    """

    start: float | int
    end: float | int
    pixels: UInt8[np.ndarray, "height width channel"]


class Footage:
    """One pass over a video; memory holds one frame.

    Args:
        source: the file or camera.
        channels: 1 for an infrared network, 3 for one of colour.
        on_frame: is called with each frame, in full size, and its time, before its picture is given.

    Attributes:
        num_frames: so far.
        fps: as the file says, 0 where it does not; from the first frame on.
        seconds: length so far.
    """

    def __init__(
        self,
        source: Input,
        channels: int,
        on_frame: Callable[[av.VideoFrame, float], None] | None = None,
    ):
        self._source, self._channels, self._on_frame = source, channels, on_frame
        self._colour = ColourWatch()
        self._damaged = 0
        self.num_frames = 0
        self.fps = 0.0
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Picture]:
        """Decodes the video and yields its pictures in order.

        Raises:
            VideoDecodeError: it cannot be opened, holds no frame, or breaks off.
        """
        scale = FrameScaler(_STORED_SHORT_SIDE, "rgb24" if self._channels == 3 else "gray")
        with self._source.opened() as (info, frames):
            self.fps = info.fps
            duration, first = 1 / (info.fps or USUAL_FPS), None
            for frame in frames:
                start = self.num_frames * duration
                if info.has_times and frame.time is not None:
                    first = frame.time if first is None else first
                    # A clock that is set back must not send the windows back.
                    start = max(frame.time - first, self.seconds - duration)
                if self._on_frame is not None:
                    self._on_frame(frame, start)
                self._colour.look(frame, self.num_frames)
                self._damaged += bool(frame.is_corrupt)
                self.num_frames += 1
                self.seconds = start + duration
                array: Any = scale(frame).to_ndarray()
                pixels = array.reshape(*array.shape[:2], self._channels)
                yield Picture(start, self.seconds, pixels)

    def colour_warning(self) -> str | None:
        """Whether the pictures so far are those of the other kind of camera."""
        return self._colour.warning("ir" if self._channels == 1 else "rgb")

    def warnings(self, needed: int) -> list[str]:
        """What is doubtful about the video.

        Args:
            needed: frames from the first to the last that the network looks at, where none is shown
                more than once.
        """
        found = [self.colour_warning()]
        if 0 < self.num_frames < needed:
            found.append(
                f"has {self.num_frames} frame{'s' * (self.num_frames > 1)}, fewer than the {needed} "
                "that the network looks at; some are shown more than once, and motion is missing"
            )
        if self._damaged > _MOST_DAMAGED * self.num_frames:
            found.append(f"{self._damaged} of {self.num_frames} pictures are damaged")
        if self.num_frames and not self.fps:
            found.append(f"does not tell its frame rate; {USUAL_FPS:g} a second are assumed")
        return [warning for warning in found if warning]
