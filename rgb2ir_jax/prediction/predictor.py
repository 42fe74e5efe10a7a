"""From inputs to results: clips of several videos in one batch, or each as soon as it is there."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import av
import numpy as np

from rgb2ir_jax.prediction.annotation import AnnotatedCopy
from rgb2ir_jax.prediction.footage import Footage
from rgb2ir_jax.prediction.inputs import Input
from rgb2ir_jax.prediction.results import Scored, VideoResult
from rgb2ir_jax.prediction.scoring import LARGE_BATCH
from rgb2ir_jax.prediction.student import Student
from rgb2ir_jax.prediction.windows import Windows
from rgb2ir_jax.video.decode import VideoDecodeError

_NOTHING_YET = "..."


class _Waiting(NamedTuple):
    """A clip that is not scored yet."""

    result: VideoResult
    start: float | int
    end: float | int
    num_frames: int
    clip: np.ndarray


def predict_videos(
    student: Student, inputs: Iterable[Input], windows: Windows
) -> Iterator[VideoResult]:
    """Looks at videos and gives what was found in each, in their order.

    The first video's result does not wait for others; the clips of the following ones are scored
    together. Memory holds the pictures of one window or short video, and the clips of one batch.

    Args:
        student: who looks.
        inputs: the videos.
        windows: how long ones are cut.
    """
    batch: list[_Waiting] = []
    read: list[VideoResult] = []

    def score() -> Iterator[VideoResult]:
        """Scores what waits; gives the videos that are complete."""
        if batch:
            scores = student.logits([waiting.clip for waiting in batch])
            for (result, start, end, frames, _), logits in zip(batch, scores, strict=True):
                result.clips.append(Scored(start, end, frames, student.prediction(logits)))
            batch.clear()
        yield from read
        read.clear()

    for number, source in enumerate(inputs):
        result = VideoResult(source.name)
        footage = Footage(source, student.description.channels)
        try:
            for start, end, pictures in windows.cut(footage):
                clip = student.clip(pictures)
                batch.append(_Waiting(result, start, end, len(pictures), clip))
                if len(batch) >= LARGE_BATCH:
                    yield from score()
        except VideoDecodeError as error:
            result.error = str(error)
        _note(result, footage, student)
        read.append(result)
        if number == 0 or not batch:
            yield from score()
    yield from score()


def stream_video(
    student: Student,
    source: Input,
    windows: Windows,
    result: VideoResult,
    copy: AnnotatedCopy | None = None,
) -> Iterator[Scored]:
    """Looks at a video or camera while it is read, and gives what is found in each window.

    Args:
        student: who looks.
        source: the video or camera.
        windows: how it is cut.
        result: gets all but the clips; its warnings are complete at the end, and the one about
            colour is there from the first clip on.
        copy: gets the frames, each with what the last window showed.
    """
    latest: tuple[str, float | None] = (_NOTHING_YET, None)

    def show(frame: av.VideoFrame, _: float) -> None:
        if copy is not None:
            copy.add(frame, footage.fps, *latest)

    footage = Footage(source, student.description.channels, show)
    try:
        for start, end, pictures in windows.cut(footage):
            logits = student.logits([student.clip(pictures)])[0]
            prediction = student.prediction(logits)
            latest = (prediction.labels[0], float(prediction.probabilities[0]))
            if not result.warnings and (warning := footage.colour_warning()):
                result.warnings.append(warning)
            yield Scored(start, end, len(pictures), prediction)
    except VideoDecodeError as error:
        result.error = str(error)
    finally:
        _note(result, footage, student)


def annotate(source: Input, result: VideoResult, copy: AnnotatedCopy) -> None:
    """Reads a video once more and writes the copy, each frame with what was found around it.

    Args:
        source: the file.
        result: with at least one clip.
        copy: where to.

    Raises:
        VideoDecodeError: the file cannot be read any more, or breaks off.
    """

    def show(frame: av.VideoFrame, seconds: float) -> None:
        labels, probabilities = result.at(seconds).prediction
        copy.add(frame, footage.fps, labels[0], float(probabilities[0]))

    footage = Footage(source, 1, show)
    for _ in footage:
        pass


def _note(result: VideoResult, footage: Footage, student: Student) -> None:
    result.num_frames, result.fps = footage.num_frames, footage.fps
    result.seconds = footage.seconds
    result.warnings = footage.warnings(student.description.needed_frames)
