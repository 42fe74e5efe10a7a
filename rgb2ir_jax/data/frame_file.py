"""A file of decoded pictures, memory-mapped: each frame of each clip is read where it lies.

Layout: a magic word, the length of a JSON header (8 bytes, little-endian), the header, the index
(int32: labels, frame counts, heights, widths), zeros up to a page, then all pixels, frame by frame.
"""

import contextlib
import hashlib
import itertools
import json
import mmap
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from jaxtyping import Int32, UInt8

_MAGIC = b"RGB2IRF1"
_PAGE = 4096
_MAX_HEADER = 64 * 2**20


class FrameFileError(ValueError):
    """A file is no whole file of pictures; the message says what is wrong with it."""


class FrameIndex(NamedTuple):
    """What is in a file of pictures.

    Attributes:
        labels: Class of each clip.
        counts: Number of frames of each clip.
        heights: Height of each frame in pixels, clip after clip.
        widths: Width of each frame in pixels.
    """

    labels: Int32[np.ndarray, " clip"]
    counts: Int32[np.ndarray, " clip"]
    heights: Int32[np.ndarray, " frame"]
    widths: Int32[np.ndarray, " frame"]

    def starts(self, channels: int) -> np.ndarray:
        """Returns where each frame's pixels begin, in bytes from the first's; at last their end."""
        sizes = self.heights.astype(np.int64) * self.widths * channels
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])

    def to_bytes(self) -> bytes:
        """Returns the four arrays one after the other."""
        return b"".join(array.astype("<i4").tobytes() for array in self)

    @classmethod
    def from_bytes(cls, data: bytes, clips: int, frames: int) -> "FrameIndex":
        """Reads what `to_bytes` made."""
        flat = np.frombuffer(data, "<i4").astype(np.int32)
        return cls(*np.split(flat, list(itertools.accumulate((clips, clips, frames)))))


class ClipFrames(Sequence[np.ndarray]):
    """The frames of one clip: read-only views, (height, width, channel) uint8, of the mapped file."""

    def __init__(self, file: "FrameFile", first: int, count: int):
        self._file, self._first, self._count = file, first, count

    def __len__(self) -> int:
        """Returns the number of frames."""
        return self._count

    @overload
    def __getitem__(self, number: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, number: slice) -> list[np.ndarray]: ...
    def __getitem__(self, number: int | slice) -> np.ndarray | list[np.ndarray]:
        """Returns a frame, or several."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(self._count))]
        if not -self._count <= number < self._count:
            raise IndexError(f"frame {number} of {self._count}")
        return self._file.frame(self._first + number % self._count)


class FrameFile:
    """A whole file of pictures; can be sent to worker processes, which map it anew.

    Args:
        path: The file.

    Attributes:
        path: The file.
        meaning: What its writer said that it holds.
        index: Labels, counts and sizes.

    Raises:
        FrameFileError: it is no such file, or not whole.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path):
        self.path = path
        with path.open("rb") as file:
            header, self.index, start = _read_head(file)
            self.meaning: dict[str, Any] = header["meaning"]
            self._channels = int(header["channels"])
            self._starts = self.index.starts(self._channels)
            expected = start + int(self._starts[-1])
            size = os.fstat(file.fileno()).st_size
            if size != expected:
                raise FrameFileError(f"it has {size} bytes, and its index tells of {expected}")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._pixels = np.frombuffer(mapped, np.uint8, offset=start)
        self._first = np.concatenate([[0], np.cumsum(self.index.counts, dtype=np.int64)])

    @property
    def channels(self) -> int:
        """Of the pictures."""
        return self._channels

    def __len__(self) -> int:
        """Returns the number of clips."""
        return len(self.index.counts)

    def __getitem__(self, clip: int) -> ClipFrames:
        """Returns the frames of a clip."""
        return ClipFrames(self, int(self._first[clip]), int(self.index.counts[clip]))

    def first(self, clip: int) -> int:
        """Returns the number, over all clips, of a clip's first frame."""
        return int(self._first[clip])

    def together(self) -> UInt8[np.ndarray, "frame height width channel"]:
        """Returns the frames of all clips, a read-only view.

        Raises:
            ValueError: they differ in size; names the sizes.
        """
        sizes, counts = np.unique(
            np.stack([self.index.heights, self.index.widths], axis=1), axis=0, return_counts=True
        )
        if len(sizes) != 1:
            some = zip(sizes[:4].tolist(), counts[:4].tolist(), strict=True)
            named = ", ".join(f"{count} of {height}x{width}" for (height, width), count in some)
            raise ValueError(
                f"the frames in {self.path} differ in size ({len(sizes)} sizes: {named}"
                f"{', ...' * (len(sizes) > 4)}); expected one size"
            )
        return self._pixels.reshape(-1, *sizes[0].tolist(), self._channels)

    def frame(self, number: int) -> UInt8[np.ndarray, "height width channel"]:
        """Returns a frame by its number over all clips, a read-only view."""
        pixels = self._pixels[self._starts[number] : self._starts[number + 1]]
        return pixels.reshape(
            int(self.index.heights[number]), int(self.index.widths[number]), self._channels
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the mapped file behind."""
        return {"path": self.path, "meaning": self.meaning}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Maps the file anew."""
        FrameFile.__init__(self, state["path"])
        if self.meaning != state["meaning"]:
            raise FrameFileError(f"{self.path} was replaced while it was being opened")


def _read_head(file: Any) -> tuple[dict[str, Any], FrameIndex, int]:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise FrameFileError("it is no file of frames, or of another version")
    length = int.from_bytes(file.read(8), "little")
    if length > _MAX_HEADER:
        raise FrameFileError(f"its header is said to have {length} bytes")
    try:
        header = json.loads(file.read(length))
        clips, frames = int(header["clips"]), int(header["frames"])
        data = file.read(4 * (2 * clips + 2 * frames))
        whole = hashlib.sha256(data).hexdigest() == header["index_sha256"]
        index = FrameIndex.from_bytes(data, clips, frames)
    except (ValueError, TypeError, KeyError) as error:
        raise FrameFileError(f"its header is damaged ({error})") from error
    if not whole or index.counts.sum() != frames:
        raise FrameFileError("its index is damaged")
    return header, index, -(-file.tell() // _PAGE) * _PAGE


def _head(index: FrameIndex, channels: int, meaning: dict[str, Any]) -> bytes:
    data = index.to_bytes()
    header = {
        "meaning": meaning,
        "channels": channels,
        "clips": len(index.counts),
        "frames": len(index.heights),
        "index_sha256": hashlib.sha256(data).hexdigest(),
    }
    text = json.dumps(header).encode()
    head = _MAGIC + len(text).to_bytes(8, "little") + text + data
    return head + bytes(-len(head) % _PAGE)


def file_size(index: FrameIndex, channels: int, meaning: dict[str, Any]) -> int:
    """Returns the size in bytes that a file of these pictures has."""
    return len(_head(index, channels, meaning)) + int(index.starts(channels)[-1])


class FrameWriter:
    """Takes the frames of a file in any order, from any thread. Made by `write_frame_file`."""

    def __init__(self, descriptor: int, start: int, index: FrameIndex, channels: int):
        self._descriptor, self._start = descriptor, start
        self._index, self._channels = index, channels
        self._starts = index.starts(channels)
        self._first = np.concatenate([[0], np.cumsum(index.counts, dtype=np.int64)])

    def write(
        self, clip: int, number: int, picture: UInt8[np.ndarray, "height width channel"]
    ) -> None:
        """Writes one frame.

        Args:
            clip: Index of the clip.
            number: Index of the frame in the clip.
            picture: Its pixels.

        Raises:
            ValueError: the picture has not the size that the index tells.
            OSError: it cannot be written.
        """
        frame = int(self._first[clip]) + number
        expected = (
            int(self._index.heights[frame]),
            int(self._index.widths[frame]),
            self._channels,
        )
        if picture.shape != expected:
            raise ValueError(
                f"frame {number} of clip {clip} has the shape {picture.shape}, its header told "
                f"{expected}"
            )
        left = np.ascontiguousarray(picture).data.cast("B")
        place = self._start + int(self._starts[frame])
        while left:
            written = os.pwrite(self._descriptor, left, place)
            left, place = left[written:], place + written


@contextlib.contextmanager
def write_frame_file(
    path: Path, index: FrameIndex, channels: int, meaning: dict[str, Any]
) -> Iterator[FrameWriter]:
    """Writes a file of pictures that appears under its name whole or not at all.

    The disk space is taken before the first frame is written. On an exception nothing is left; a
    killed process leaves a file whose name ends in `.partial`.

    Args:
        path: The file; its folder must exist. One that is there is replaced.
        index: What the file will hold.
        channels: Channels of the pictures.
        meaning: What it holds, fit for JSON; given back by `FrameFile.meaning`.

    Yields:
        What takes the frames; all are to be written.

    Raises:
        OSError: it cannot be written.
    """
    head = _head(index, channels, meaning)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        try:
            os.posix_fallocate(descriptor, 0, len(head) + int(index.starts(channels)[-1]))
            os.pwrite(descriptor, head, 0)
            yield FrameWriter(descriptor, len(head), index, channels)
            # A name must not outlive its pixels where the power fails.
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
