"""Finds actions in long videos with a network that was trained on trimmed clips."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, UInt8

from rgb2ir_jax.data.long_video import LongVideo
from rgb2ir_jax.data.sampling import Sampling, center_positions, frame_indices
from rgb2ir_jax.evaluation.detection import (
    Grouping,
    Proposal,
    probabilities,
    sliding_windows,
    suppress,
)
from rgb2ir_jax.launch.trained_network import TrainedNetwork
from rgb2ir_jax.training.sharding import replicated, split_batch
from rgb2ir_jax.video.source import VideoSource

_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Windows:
    """How a long video is looked at.

    Attributes:
        stride: frames between two windows. Each stretch of so many frames gets a class.
        lengths: of the windows that are tried, in frames, multiples of the stride.
        segments: frames that are looked at in a window, the middles of equal parts.
        background: a window whose largest probability is below it shows no action.
        most_overlap: of two detections of one class that overlap more, the surer one stays.

    Raises:
        ValueError: a number is out of range.
    """

    stride: int = 8
    lengths: tuple[int, ...] = (64, 128)
    segments: int = 8
    background: float = 0.5
    most_overlap: float = 0.4

    def __post_init__(self) -> None:
        for name, holds, expected in (
            ("stride", self.stride >= 1, "at least 1 frame"),
            (
                "lengths",
                bool(self.lengths)
                and all(n > 0 and n % max(1, self.stride) == 0 for n in self.lengths),
                f"multiples of the stride, {self.stride} frames",
            ),
            ("segments", self.segments >= 1, "at least 1"),
            ("background", 0 <= self.background <= 1, "a probability, 0 to 1"),
            ("most_overlap", 0 <= self.most_overlap <= 1, "a share, 0 to 1"),
        ):
            if not holds:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected {expected}")


class Detection(NamedTuple):
    """What was found in a video.

    Attributes:
        proposals: the actions by time.
        num_frames: frames of the video.
        fps: frames a second as the file says, 0 where it does not.
    """

    proposals: list[Proposal]
    num_frames: int
    fps: float


class Detector:
    """Looks at long videos through sliding windows.

    Each stretch of `windows.stride` frames is classified by the window around it, whose frames are
    chosen, cropped and averaged as a test clip's are; at the video's ends the first and last frames
    stand in for what is missing. Memory holds the frames of one batch and of one window.

    Args:
        network: who looks.
        windows: how.

    Raises:
        ValueError: the network was trained on frames in a row, and the windows show it other ones.
    """

    def __init__(self, network: TrainedNetwork, windows: Windows):
        _check_dense(Sampling.from_config(network.config.data), windows)
        self._network, self._windows = network, windows
        mesh = network.mesh
        self._batch = -(-_BATCH // mesh.devices.size) * mesh.devices.size
        self._score = jax.jit(
            network.logits_of,
            in_shardings=(replicated(mesh), split_batch(mesh)),
            out_shardings=replicated(mesh),
        )

    def __call__(self, source: VideoSource | str | PathLike[str]) -> Detection:
        """Finds the actions of a video in one pass.

        Raises:
            VideoDecodeError: the file is no video, holds no frame or breaks off.
        """
        windows, modality = self._windows, self._network.spec.modality
        video = LongVideo(source, windows.stride, modality, self._network.config.data)
        groupings = [Grouping(windows.stride, windows.background) for _ in windows.lengths]
        for moment in zip(*self._tracks(video), strict=True):
            for grouping, scores in zip(groupings, moment, strict=True):
                grouping.push(scores)
        found = itertools.chain.from_iterable(
            grouping.finish(video.num_frames) for grouping in groupings
        )
        return Detection(suppress(found, windows.most_overlap), video.num_frames, video.fps)

    def _tracks(self, video: LongVideo) -> list[Iterator[np.ndarray]]:
        """For each length of window the class probabilities of every moment, to be read in step."""
        if self._network.spec.mixes_time:
            pictures = itertools.tee(video, len(self._windows.lengths))
            return [
                self._windowed_clips(copy, length)
                for copy, length in zip(pictures, self._windows.lengths, strict=True)
            ]
        # Each frame's logits do not depend on its neighbours: they are computed once, and a
        # window's are their mean, which is the network's own consensus.
        logits = itertools.tee(
            self._logits(picture[None] for picture in video), len(self._windows.lengths)
        )
        return [
            self._windowed_logits(copy, length)
            for copy, length in zip(logits, self._windows.lengths, strict=True)
        ]

    def _picks(self, length: int) -> tuple[int, list[int]]:
        moments = length // self._windows.stride
        return moments, frame_indices(center_positions(self._windows.segments), moments).tolist()

    def _windowed_logits(
        self, logits: Iterable[np.ndarray], length: int
    ) -> Iterator[Float[np.ndarray, " classes"]]:
        for window in sliding_windows(logits, *self._picks(length)):
            yield probabilities(np.stack(window))

    def _windowed_clips(
        self, pictures: Iterable[np.ndarray], length: int
    ) -> Iterator[Float[np.ndarray, " classes"]]:
        windows = sliding_windows(pictures, *self._picks(length))
        for logits in self._logits(np.stack(window) for window in windows):
            yield probabilities(logits[None])

    def _logits(
        self, clips: Iterable[UInt8[np.ndarray, "time height width channel"]]
    ) -> Iterator[Float[np.ndarray, " classes"]]:
        """The logits of each clip; the last batch is filled up, so that one program does for all."""
        rest = iter(clips)
        while chosen := list(itertools.islice(rest, self._batch)):
            batch = np.zeros((self._batch, *chosen[0].shape), np.uint8)
            batch[: len(chosen)] = chosen
            yield from np.asarray(self._score(self._network.variables, batch))[: len(chosen)]


def _check_dense(sampling: Sampling, windows: Windows) -> None:
    length = sampling.segments * sampling.frame_stride
    shown = (windows.stride, windows.segments, *windows.lengths)
    wanted = (sampling.frame_stride, sampling.segments, *(length for _ in windows.lengths))
    if sampling.kind == "dense" and shown != wanted:
        raise ValueError(
            f"this network was trained on {sampling.segments} frames in a row, {sampling.frame_stride} apart, "
            f"and windows of {', '.join(map(str, windows.lengths))} frames with {windows.segments} segments "
            f"and a stride of {windows.stride} show it others; expected a stride of {sampling.frame_stride}, "
            f"windows of {length} and {sampling.segments} segments"
        )
