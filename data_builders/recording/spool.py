"""Results of long videos, handed from worker to builder in a file instead of through a pipe.

The clips of one long video come to hundreds of megabytes. Sent through a pipe each of them would be
in memory several times: encoded, pickled, received and unpickled.
"""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from rgb2ir_jax.video.recode import ClipResult, JpegVideo, RecodeTask, recode_task


class SpoolTask(NamedTuple):
    """A task, and the folder in which its file is made; None is the system's for such files."""

    task: RecodeTask
    folder: str | None


class Spooled(NamedTuple):
    """The results of a task; frames are places, (offset, size), in a file."""

    path: str
    clips: list[ClipResult]


def recode_to_file(job: SpoolTask) -> Spooled:
    """Recodes a task like `recode_task`, the JPEGs of its clips going into a new file."""
    with tempfile.NamedTemporaryFile(dir=job.folder, suffix=".frames", delete=False) as file:

        def keep(jpeg: bytes) -> tuple[int, int]:
            return file.tell(), file.write(jpeg)

        return Spooled(file.name, recode_task(job.task, keep))


def read_back(spooled: Spooled) -> Iterator[ClipResult]:
    """Yields the results one after the other with their JPEGs, and removes the file."""
    path = Path(spooled.path)
    try:
        with path.open("rb") as file:
            for clip in spooled.clips:
                videos: dict[str, Any] = {
                    name: _load(video, file) for name, video in clip.videos.items()
                }
                yield clip._replace(**videos)
    finally:
        path.unlink(missing_ok=True)


def _load(video: JpegVideo, file: IO[bytes]) -> JpegVideo:
    frames = []
    for offset, size in video.frames:
        file.seek(offset)
        frames.append(file.read(size))
    return dataclasses.replace(video, frames=frames)
