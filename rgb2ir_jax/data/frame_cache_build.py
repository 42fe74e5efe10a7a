"""Making the files of the frame cache: pictures are measured, space is compared, then all decoded."""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import simplejpeg

from rgb2ir_jax.data.build_progress import BuildProgress
from rgb2ir_jax.data.frame_file import FrameIndex, FrameWriter, file_size, write_frame_file
from rgb2ir_jax.data.source import ClipSource
from rgb2ir_jax.video.jpeg import decode_jpeg

# Left free on the disk, for all else that a run writes.
_RESERVE = 2**28

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class FrameCacheError(ValueError):
    """The cache cannot be made; the message says why, and what to do."""


class Job(NamedTuple):
    """A split to be decoded.

    Attributes:
        split: Its name.
        source: Its records.
        paths: The file to make of each modality.
        meaning: What the files are to say of themselves.
    """

    split: str
    source: ClipSource
    paths: Mapping[str, Path]
    meaning: dict[str, Any]


def build(jobs: Sequence[Job]) -> None:
    """Makes the files of all jobs, after comparing the space they need with what is free.

    Args:
        jobs: The files are all on one disk; those that are there already get replaced.

    Raises:
        FrameCacheError: there is not enough space, or a record does not decode.
        OSError: a file cannot be written.
    """
    indices = []
    for job in jobs:
        for path in job.paths.values():
            # What is stale gives its space to what takes its place.
            path.unlink(missing_ok=True)
        indices.append(_measure(job))
    _check_space(jobs, indices)
    for job, index in zip(jobs, indices, strict=True):
        _decode(job, index)


def _measure(job: Job) -> dict[str, FrameIndex]:
    """Reads the sizes of all pictures from their headers."""

    def sizes(clip: int) -> tuple[int, dict[str, np.ndarray]]:
        record = job.source[clip]
        with _naming(job, clip, record):
            return int(record["label"]), {
                modality: np.array(
                    [simplejpeg.decode_jpeg_header(jpeg)[:2] for jpeg in record[modality]], np.int32
                ).reshape(-1, 2)
                for modality in job.paths
            }

    found = list(_over_clips(f"measuring {job.split}", sizes, len(job.source)))
    labels = np.array([label for label, _ in found], np.int32)
    indices = {}
    for modality in job.paths:
        frames = [by_modality[modality] for _, by_modality in found]
        heights, widths = np.concatenate(frames).T
        counts = np.array([len(one) for one in frames], np.int32)
        indices[modality] = FrameIndex(labels, counts, heights, widths)
    return indices


def _check_space(jobs: Sequence[Job], indices: Sequence[dict[str, FrameIndex]]) -> None:
    folder = next(iter(jobs[0].paths.values())).parent
    parts = {
        f"{job.split} {modality}": file_size(index, job.source.modalities[modality], job.meaning)
        for job, by_modality in zip(jobs, indices, strict=True)
        for modality, index in by_modality.items()
    }
    needed, free = sum(parts.values()), shutil.disk_usage(folder).free
    listed = ", ".join(f"{name} {size / 1e9:.4g}" for name, size in parts.items())
    if needed + _RESERVE > free:
        raise FrameCacheError(
            f"The frame cache needs {needed / 1e9:.4g} GB ({listed}), and {folder} has {free / 1e9:.4g} "
            "GB free. Give a folder on a larger disk (--config.data.cache=FOLDER), build the data "
            'set with a frame_stride of 2 or more, or go without: --config.data.cache=""'
        )
    _log.info(
        "Frame cache: %.4g GB in %s (%s GB); %.4g GB are free",
        needed / 1e9,
        folder,
        listed,
        free / 1e9,
    )


def _decode(job: Job, indices: dict[str, FrameIndex]) -> None:
    with contextlib.ExitStack() as stack:
        writers: dict[str, FrameWriter] = {
            modality: stack.enter_context(
                write_frame_file(
                    job.paths[modality], index, job.source.modalities[modality], job.meaning
                )
            )
            for modality, index in indices.items()
        }

        def decode(clip: int) -> None:
            record = job.source[clip]
            with _naming(job, clip, record):
                for modality, writer in writers.items():
                    for number, jpeg in enumerate(record[modality]):
                        picture = decode_jpeg(jpeg, job.source.modalities[modality])
                        writer.write(clip, number, picture)

        for _ in _over_clips(f"decoding {job.split}", decode, len(job.source)):
            pass


@contextlib.contextmanager
def _naming(job: Job, clip: int, record: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        name = record.get("sample_id", b"")
        name = name.decode(errors="replace") if isinstance(name, bytes) else name
        raise FrameCacheError(
            f"The frames of clip {clip} of {job.split} ({name}) in {job.source.directory} cannot be "
            f"decoded: {error}. Build the data set again"
        ) from error


def _over_clips(what: str, function: Callable[[int], Result], clips: int) -> Iterator[Result]:
    """Applies a function to every clip, one thread a core: the JPEG decoder runs beside Python."""
    threads = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    executor = ThreadPoolExecutor(threads)
    try:
        with BuildProgress(f"Frame cache, {what}", clips) as progress:
            for result in executor.map(function, range(clips)):
                progress.advance()
                yield result
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
