"""What the records of a data set say: counts, lengths, sizes, and fingerprints of every frame.

Frames stay encoded but for one of each video, which is decoded at an eighth of its size to tell
black, flat and colourless pictures.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import Int64

from rgb2ir_jax.data.source import MODALITIES, ClipSource

# Differences of brightness that JPEG's and a codec's rounding leave in a flat picture.
_FLAT = 8
_BLACK = 16
_MOST_THREADS = 16

FieldValue = int | str


class VideoFacts(NamedTuple):
    """One modality of one clip.

    Attributes:
        frames: Number of stored frames.
        rate: Frames per second; None where the record does not tell.
        seconds: Duration; None where the record does not tell.
        size: Height and width of the middle frame in pixels; None where it cannot be decoded.
        jpeg_bytes: Size of all frames.
        fingerprints: A 64-bit hash of each frame's JPEG, comparable within this process.
        look: "black" or "flat" (one brightness everywhere) for the middle frame, "grey" for an RGB
            one without colour, "" for a usual one, or why it cannot be decoded ("unreadable: ...").
    """

    frames: int
    rate: float | None
    seconds: float | None
    size: tuple[int, int] | None
    jpeg_bytes: int
    fingerprints: Int64[np.ndarray, " frame"]
    look: str


class ClipFacts(NamedTuple):
    """One record.

    Attributes:
        split: Name of its split.
        number: Its place in the split, from 0, as `ClipSource` counts.
        sample_id: Its name.
        label: Its class.
        fields: What else the record tells in whole numbers and words (performer, camera, ...); "" where
            the builder did not know it and wrote "" or a number below 0.
        videos: The facts of each modality.
    """

    split: str
    number: int
    sample_id: str
    label: int
    fields: dict[str, FieldValue]
    videos: dict[str, VideoFacts]


@dataclasses.dataclass(frozen=True)
class DataStatistics:
    """All records that were looked at.

    Attributes:
        class_names: In the order of the labels.
        split_sizes: Number of clips of each split, looked at or not.
        clips: The records, split by split, in their order.
    """

    class_names: tuple[str, ...]
    split_sizes: dict[str, int]
    clips: list[ClipFacts]

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.split_sizes)

    @property
    def complete(self) -> bool:
        """Whether every clip was looked at."""
        return len(self.clips) == sum(self.split_sizes.values())

    @functools.cached_property
    def modalities(self) -> tuple[str, ...]:
        """What the records show, the paper's pair first."""
        return tuple(self.clips[0].videos) if self.clips else MODALITIES

    @functools.cached_property
    def class_counts(self) -> Int64[np.ndarray, "split classes"]:
        """The clips of each split and class."""
        counts = np.zeros((len(self.splits), len(self.class_names)), np.int64)
        row = {split: number for number, split in enumerate(self.splits)}
        for clip in self.clips:
            counts[row[clip.split], clip.label] += 1
        return counts

    @functools.cached_property
    def clips_of_class(self) -> tuple[tuple[ClipFacts, ...], ...]:
        """The clips of each class, in their order."""
        grouped: list[list[ClipFacts]] = [[] for _ in self.class_names]
        for clip in self.clips:
            grouped[clip.label].append(clip)
        return tuple(map(tuple, grouped))

    @functools.cached_property
    def field_names(self) -> tuple[str, ...]:
        """The fields that some record fills, people and cameras first."""
        filled = dict.fromkeys(
            name for clip in self.clips for name, value in clip.fields.items() if value != ""
        )
        usual = ("performer", "camera", "view", "setup", "replication", "video")
        rank = {name: place for place, name in enumerate(usual)}
        return tuple(sorted(filled, key=lambda name: (rank.get(name, len(usual)), name)))

    def field_counts(self, name: str) -> dict[FieldValue, tuple[int, ...]]:
        """The clips of each value of a field, by split; records without a value are left out."""
        row = {split: number for number, split in enumerate(self.splits)}
        counts: dict[FieldValue, list[int]] = {}
        for clip in self.clips:
            value = clip.fields.get(name, "")
            if value != "":
                counts.setdefault(value, [0] * len(row))[row[clip.split]] += 1
        ordered = sorted(counts, key=lambda value: (isinstance(value, str), value))
        return {value: tuple(counts[value]) for value in ordered}


def read_statistics(
    class_names: Sequence[str],
    sources: Mapping[str, ClipSource],
    *,
    max_clips: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> DataStatistics:
    """Reads the records of some splits, in threads.

    Args:
        class_names: In the order of the labels.
        sources: The splits by name.
        max_clips: Looks at so many clips of each split, evenly spread; 0: at all.
        advance: Called once a clip.

    Returns:
        The statistics; a clip costs its reading and about 8 bytes a frame of memory.

    Raises:
        ValueError: a record cannot be read, has no frame, or a label that no class has.
    """
    clips: list[ClipFacts] = []
    pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1))
    try:
        for split, source in sources.items():
            chosen = spread(len(source), max_clips)
            read = functools.partial(_read, source, split, len(class_names))
            for facts in pool.map(read, chosen):
                clips.append(facts)
                advance()
    finally:
        pool.shutdown(cancel_futures=True)
    sizes = {split: len(source) for split, source in sources.items()}
    return DataStatistics(tuple(class_names), sizes, clips)


def spread(total: int, most: int) -> list[int]:
    """Chooses at most so many of `total` things (0: all of them), evenly spread, first and last included."""
    if not most or total <= most:
        return list(range(total))
    if most == 1:
        return [total // 2]
    return np.linspace(0, total - 1, most).round().astype(int).tolist()


def _read(source: ClipSource, split: str, classes: int, index: int) -> ClipFacts:
    try:
        record = source[index]
    except RuntimeError as error:  # array_record's, for whatever is wrong with its files.
        raise ValueError(
            f"the clip {index} of the split {split!r} cannot be read ({error}). The files of records are "
            "damaged or incomplete: build the data set again."
        ) from error
    label = int(record["label"])
    sample_id = _plain(record.get("sample_id", f"{split} {index}"))
    if not 0 <= label < classes:
        raise ValueError(
            f"the clip {sample_id!r} of the split {split!r} has the label {label}; expected 0 to "
            f"{classes - 1}. Build the data set again."
        )
    # What the clip's videos tell is counted by itself.
    counted = {"sample_id", "label", *source.modalities}
    counted |= {f"{m}_{what}" for m in source.modalities for what in ("frames", "fps")}
    fields = {
        name: "" if isinstance(value, int) and value < 0 else value
        for name, given in sorted(record.items())
        if name not in counted and isinstance(value := _plain(given), int | str)
    }
    videos = {}
    for modality in source.modalities:
        if not len(record[modality]):
            raise ValueError(
                f"the clip {sample_id!r} of the split {split!r} has no {modality} frame. Build the "
                "data set again."
            )
        videos[modality] = _video_facts(record, modality)
    return ClipFacts(split, index, str(sample_id), label, fields, videos)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _video_facts(record: Mapping[str, Any], modality: str) -> VideoFacts:
    jpegs = record[modality]
    rate = float(record.get(f"{modality}_fps", 0.0))
    known = rate if np.isfinite(rate) and rate > 0 else None
    # Where not every frame was stored, the record's count and rate are those of the source.
    frames = int(record.get(f"{modality}_frames", len(jpegs)))
    size, look = look_at(jpegs[len(jpegs) // 2], colour=modality == "rgb")
    return VideoFacts(
        frames=len(jpegs),
        rate=known,
        seconds=frames / known if known else None,
        size=size,
        jpeg_bytes=sum(map(len, jpegs)),
        fingerprints=np.fromiter(map(hash, jpegs), np.int64, len(jpegs)),
        look=look,
    )


def look_at(jpeg: bytes, *, colour: bool) -> tuple[tuple[int, int] | None, str]:
    """Tells the size of a picture and whether it shows anything.

    Args:
        jpeg: The file.
        colour: Whether colours are expected.

    Returns:
        (height, width) and "black", "flat", "grey" or ""; None and "unreadable: why" for a file
        that is no JPEG.
    """
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
        # An eighth is what JPEG's own blocks give without the inverse transform.
        small = simplejpeg.decode_jpeg(
            jpeg, "RGB" if colour else "GRAY", min_height=1, min_width=1, min_factor=8
        ).astype(np.int16)
    except ValueError as error:
        return None, f"unreadable: {error}"
    if int(np.ptp(small.max(axis=2))) <= _FLAT:
        return (height, width), "black" if small.mean() < _BLACK else "flat"
    if colour and int(np.ptp(small, axis=2).max()) <= _FLAT:
        return (height, width), "grey"
    return (height, width), ""


def size_on_disk(directory: Path) -> tuple[int, int]:
    """Returns the number of files below a folder and their bytes."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files)
