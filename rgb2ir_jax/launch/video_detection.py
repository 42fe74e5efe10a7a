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
    Item,
    Proposal,
    probabilities,
    sliding_windows,
    suppress,
)
from rgb2ir_jax.launch.trained_network import TrainedNetwork
from rgb2ir_jax.models.streams import check_sees_frames
from rgb2ir_jax.prediction.description import frame_channels
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

    @classmethod
    def for_sampling(
        cls,
        sampling: Sampling,
        *,
        stride: int | None = None,
        lengths: tuple[int, ...] | None = None,
        segments: int | None = None,
        background: float = 0.5,
        most_overlap: float = 0.4,
    ) -> "Windows":
        """Windows that show a network what it was trained on, where they are not told.

        Of dense clips windows are as long as a clip, and at most the usual stride apart.

        Raises:
            ValueError: a number is out of range.
        """
        usual, usual_lengths = cls.stride, cls.lengths
        if sampling.kind == "dense":
            apart = sampling.frame_stride
            parts = (n for n in range(1, sampling.segments + 1) if sampling.segments % n == 0)
            usual = apart * max(n for n in parts if n == 1 or n * apart <= cls.stride)
            usual_lengths = (sampling.segments * apart,)
        return cls(
            usual if stride is None else stride,
            usual_lengths if lengths is None else lengths,
            sampling.segments if segments is None else segments,
            background,
            most_overlap,
        )


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
    stand in for what is missing. A network that was trained on frames in a row sees them in a row,
    `data.frame_stride` apart; others see one frame of each stretch. Memory holds the frames of one batch
    and of one window.

    Args:
        network: who looks.
        windows: how.

    Raises:
        ValueError: the network was trained on frames in a row, and the windows show it other ones; or it
            sees no frames but a stream.
    """

    def __init__(self, network: TrainedNetwork, windows: Windows):
        check_sees_frames(network.spec.stream, "detection in long videos")
        sampling = Sampling.from_config(network.config.data)
        _check_dense(sampling, windows)
        self._network, self._windows = network, windows
        self._apart = sampling.frame_stride if sampling.kind == "dense" else windows.stride
        self._channels = frame_channels(network.spec, network.result)
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
        windows = self._windows
        video = LongVideo(source, self._apart, self._channels, self._network.config.data)
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
        pictures = length // self._apart
        return pictures, frame_indices(center_positions(self._windows.segments), pictures).tolist()

    def _windows_of(self, items: Iterable[Item], length: int) -> Iterator[tuple[Item, ...]]:
        """The window around the middle of each stretch; of a video of no whole stretch its last one.

        Args:
            items: one a picture, which are `self._apart` frames apart.
            length: in frames.
        """
        stretch = self._windows.stride // self._apart
        last: tuple[Item, ...] | None = None
        for number, last in enumerate(sliding_windows(items, *self._picks(length))):
            if number % stretch == stretch // 2:
                yield last
        if last is not None and number < stretch // 2:
            yield last

    def _windowed_logits(
        self, logits: Iterable[np.ndarray], length: int
    ) -> Iterator[Float[np.ndarray, " classes"]]:
        for window in self._windows_of(logits, length):
            yield probabilities(np.stack(window))

    def _windowed_clips(
        self, pictures: Iterable[np.ndarray], length: int
    ) -> Iterator[Float[np.ndarray, " classes"]]:
        windows = self._windows_of(pictures, length)
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
    suits = set(windows.lengths) == {length} and windows.segments == sampling.segments
    if sampling.kind == "dense" and not (suits and windows.stride % sampling.frame_stride == 0):
        raise ValueError(
            f"this network was trained on {sampling.segments} frames in a row, {sampling.frame_stride} apart, "
            f"and windows of {', '.join(map(str, windows.lengths))} frames with {windows.segments} segments "
            f"and a stride of {windows.stride} show it others; expected windows of {length}, "
            f"{sampling.segments} segments and a stride that is a multiple of {sampling.frame_stride}"
        )
