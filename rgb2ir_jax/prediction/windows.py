"""Which pictures of a video make a clip: all of a short one, sliding windows of a long one."""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from rgb2ir_jax.prediction.footage import Picture
from rgb2ir_jax.video.decode import VideoDecodeError

# Of 256 x 455 pixels in grey: 175 MB.
MOST_PICTURES = 1500
# Sums of 1/30 are not exact.
_EPSILON = 1e-4


class Span(NamedTuple):
    """A clip of a video.

    Attributes:
        start: in seconds from the video's beginning.
        end: likewise.
        pictures: all of its pictures.
    """

    start: float | int
    end: float | int
    pictures: list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Windows:
    """How videos are cut into clips.

    Attributes:
        seconds: length of a window.
        stride: from one window's start to the next one's, in seconds.
        longest_clip: a video of at most so many seconds is one clip; 0 cuts every video, without
            waiting for its end.

    Raises:
        ValueError: a length is out of range.
    """

    seconds: float | int = 3.0
    stride: float | int = 1.0
    longest_clip: float | int = 10.0

    def __post_init__(self) -> None:
        for name, least in (("seconds", 0.01), ("stride", 0.01), ("longest_clip", 0.0)):
            value = getattr(self, name)
            if not least <= value <= 3600:
                raise ValueError(f"{name} is {value} s, expected {least:g} to 3600")

    def cut(self, pictures: Iterable[Picture]) -> Iterator[Span]:
        """Cuts a video while it is read; holds the pictures of one window, or of one short video.

        A window is given as soon as its last picture is there. The last one ends with the video,
        and overlaps more with the one before it where the stride does not fit.

        Raises:
            VideoDecodeError: a window has more than 1500 pictures.
        """
        held: deque[Picture] = deque()
        start, done = 0.0, 0.0
        whole = self.longest_clip > 0
        for picture in pictures:
            held.append(picture)
            if whole and len(held) <= MOST_PICTURES and picture.end <= self.longest_clip + _EPSILON:
                continue
            whole = False
            while picture.end >= start + self.seconds - _EPSILON:
                if span := _span(held, start, start + self.seconds):
                    yield span
                    done = span.end
                start += self.stride
                if not span:
                    # A camera that paused: go on with the last window that begins before its
                    # next picture.
                    following = next(p.start for p in held if p.start >= start - self.stride)
                    start += max(0.0, (following - start) // self.stride) * self.stride
            self._forget(held, start)
        if not held:
            return
        end = held[-1].end
        if whole:
            yield Span(held[0].start, end, [picture.pixels for picture in held])
        elif end > done + _EPSILON and (span := _span(held, max(0.0, end - self.seconds), end)):
            yield span

    def _forget(self, held: deque[Picture], start: float) -> None:
        """Drops what neither the next window nor a last one can hold."""
        needed = min(start, held[-1].end - self.seconds) - _EPSILON
        while held and held[0].start < needed:
            held.popleft()
        if len(held) > MOST_PICTURES:
            raise VideoDecodeError(
                f"more than {MOST_PICTURES} pictures lie in a window of {self.seconds:g} s; choose "
                "shorter windows, or store the video at fewer frames a second"
            )


def _span(held: deque[Picture], start: float | int, end: float | int) -> Span | None:
    pictures = [p.pixels for p in held if start - _EPSILON <= p.start < end - _EPSILON]
    return Span(start, end, pictures) if pictures else None
