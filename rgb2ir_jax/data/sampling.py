"""Which frames of a clip are read: one of each segment, a few of each, or a dense run of them.

"segments": Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.1: a clip is cut into T equal
segments and each gives one frame, a random one in training and the middle one in testing.

"dense": Tran et al., "A closer look at spatiotemporal convolutions for action recognition", CVPR 2018,
section 4.1: T consecutive frames, or every s-th of them, from a random start in training and from the
middle of the video in testing.

"snippets": of each segment n frames in a row, as TSN reads its stacks of flow and of differences (its
published code, `dataset.py`). Not asked for by name: it is what a network's stream needs
(`models.streams`).

Positions are relative, so that two videos of one action that differ in their count of frames are read
at the same moments. Dense runs go on at each video's own pace; those of training begin at the same
moment where the choice is told how short the shortest of the videos is.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

SAMPLINGS = ("segments", "dense")
"""What a config may ask for."""
SNIPPETS = "snippets"


class Sampling(NamedTuple):
    """How the frames of a clip are chosen.

    Attributes:
        segments: frames of a clip in training, T; of snippets their number.
        kind: "segments", "dense" or "snippets".
        frame_stride: of dense clips: 1 reads consecutive frames, 2 every second one.
        snippet: frames of each segment, in a row; 1 but for snippets.
    """

    segments: int
    kind: str = "segments"
    frame_stride: int = 1
    snippet: int = 1

    @classmethod
    def from_config(cls, data: Any) -> "Sampling":
        """Reads `config.data`; runs of earlier versions have segments alone."""
        return cls(
            data["segments"],
            data.get("sampling", "segments"),
            data.get("frame_stride", 1),
            data.get("snippet", 1),
        )

    def frames(self, segments: int | None = None) -> int:
        """Frames that are read of a clip, for so many segments; None: for as many as in training."""
        return (self.segments if segments is None else segments) * self.snippet

    @property
    def span(self) -> int:
        """Frames that a video must have so that a clip shows none of them twice.

        Of dense clips those from the first one to the last, of segments one each, of snippets all.
        """
        if self.kind == SNIPPETS:
            return self.frames()
        stride = self.frame_stride if self.kind == "dense" else 1
        return (self.segments - 1) * stride + 1

    def draw(self, rng: np.random.Generator) -> "FrameChoice":
        """Training's choice: the k-th frame anywhere in the k-th segment, or a run from anywhere.

        Dense clips draw one number, segments and snippets one each.
        """
        if self.kind == "dense":
            return FrameChoice(self, np.array([rng.random()]), shared=True)
        return FrameChoice(self, random_positions(rng, self.segments))

    def centre(self, segments: int | None = None) -> "FrameChoice":
        """Testing's choice: the middle of each segment, or the middle one of all dense runs.

        Args:
            segments: frames, or snippets, to read; None reads as many as in training. Of dense sampling a multiple k
                of these: k runs, whose starts are the middles of k equal parts of all possible ones.
                Every k-th frame is then one run's, which is how a test deals them out to clips
                (`evaluation.protocol.Protocol.sub_clips`).

        Raises:
            ValueError: dense runs cannot be made of so many frames.
        """
        frames = self.segments if segments is None else segments
        if self.kind == "dense":
            if frames % self.segments:
                raise ValueError(
                    f"{frames} frames were asked for; dense clips have {self.segments}, so that a multiple "
                    f"of {self.segments} is expected"
                )
            frames //= self.segments
        return FrameChoice(self, center_positions(frames))

    def __str__(self) -> str:
        """Returns for instance "the middle frames of 8 equal parts of the clip"."""
        if self.kind == "dense":
            apart = f", {self.frame_stride} apart," * (self.frame_stride > 1)
            return f"{self.segments} frames in a row{apart} from the middle of the clip"
        if self.kind == SNIPPETS:
            parts = f"each of {self.segments} equal parts of the clip"
            return f"{self.snippet} frames in a row from the middle of {parts}"
        return f"the middle frames of {self.segments} equal parts of the clip"


class FrameChoice(NamedTuple):
    """From a video's number of frames to the indices of those that are read.

    Attributes:
        sampling: how they are chosen.
        positions: of segments the moments that are read, of others where the runs begin.
        shared: whether dense runs of videos that are read together begin at the same moment.
    """

    sampling: Sampling
    positions: Float64[np.ndarray, " position"]
    shared: bool = False

    def __call__(self, num_frames: int, shortest: int | None = None) -> Int64[np.ndarray, " frame"]:
        """Returns the indices, each in [0, num_frames).

        Args:
            num_frames: Number of frames of the video, at least 1.
            shortest: The least number of frames of the videos that are read together; None: it is read
                alone. Dense clips in training alone depend on it.

        Raises:
            ValueError: the video has no frame.
        """
        kind, frames, stride = (
            self.sampling.kind,
            self.sampling.segments,
            self.sampling.frame_stride,
        )
        if kind == SNIPPETS:
            return snippet_indices(self.positions, num_frames, self.sampling.snippet)
        if kind == "dense":
            least = shortest if self.shared else None
            return dense_indices(self.positions, num_frames, frames, stride, least)
        return frame_indices(self.positions, num_frames)


def random_positions(rng: np.random.Generator, segments: int) -> Float64[np.ndarray, " segment"]:
    """Draws one moment in each of `segments` equal parts of a clip.

    Args:
        rng: Source of randomness; `segments` numbers are drawn from it.
        segments: Number of parts, at least 1.

    Returns:
        Moments in [0, 1), rising; the k-th lies in [k / segments, (k + 1) / segments).
    """
    positions = (np.arange(segments) + rng.random(segments)) / segments
    # Rounding may lift a moment to the next segment's first.
    return np.minimum(positions, np.nextafter(np.arange(1, segments + 1) / segments, 0))


def center_positions(segments: int) -> Float64[np.ndarray, " segment"]:
    """Returns the middle of each of `segments` equal parts of a clip.

    Args:
        segments: Number of parts, at least 1.

    Returns:
        Moments in (0, 1), rising.
    """
    return (np.arange(segments) + 0.5) / segments


def frame_indices(
    positions: Float64[np.ndarray, " segment"], num_frames: int
) -> Int64[np.ndarray, " segment"]:
    """Returns the frames that are shown at some moments: `floor(position * num_frames)`.

    A video of fewer frames than moments shows some of its frames more than once.

    Args:
        positions: Moments in [0, 1).
        num_frames: Number of frames of the video, at least 1.

    Returns:
        Indices in [0, num_frames).

    Raises:
        ValueError: the video has no frame.
    """
    if num_frames < 1:
        raise ValueError(f"a video of {num_frames} frames; expected at least 1")
    return np.minimum(np.floor(positions * num_frames).astype(np.int64), num_frames - 1)


def dense_indices(
    starts: Float64[np.ndarray, " run"],
    num_frames: int,
    frames: int,
    stride: int = 1,
    shortest: int | None = None,
) -> Int64[np.ndarray, " frame"]:
    """Returns the frames of runs of `frames` frames, `stride` apart.

    A run begins at `floor(start * count)` of the `count` places where it fits into the video, or, of
    videos that are read together, into the shortest one; in the others at the frame that is shown at the
    same moment. In a video that is shorter than a run there is one place, the first frame, and the video
    is read in a loop: a repeated last frame would stand still, which a network that sees motion takes for
    what the person does.

    Args:
        starts: Where the runs begin, each in [0, 1).
        num_frames: Number of frames of the video, at least 1.
        frames: Of a run.
        stride: From one frame of a run to the next.
        shortest: Number of frames of the shortest video, at most `num_frames`; None: of this one.

    Returns:
        Indices in [0, num_frames): the first frames of all runs, then their second ones, and so on.

    Raises:
        ValueError: the video has no frame.
    """
    if num_frames < 1:
        raise ValueError(f"a video of {num_frames} frames; expected at least 1")
    least = num_frames if shortest is None else max(shortest, 1)
    places = max(least - (frames - 1) * stride, 1)
    first = np.minimum(np.floor(starts * places).astype(np.int64), places - 1)
    first = first * num_frames // least
    runs = first[None, :] + stride * np.arange(frames, dtype=np.int64)[:, None]
    return (runs % num_frames).ravel()


def snippet_indices(
    starts: Float64[np.ndarray, " snippet"], num_frames: int, frames: int
) -> Int64[np.ndarray, " frame"]:
    """Returns the frames of snippets: `frames` in a row from each start.

    A snippet begins at `floor(start * count)` of the `count` places where it fits into the video. In a
    video that is shorter there is one place, the first frame, and the last frame is read again for what is
    missing, as TSN's code has it: nothing moves there, where a loop would make the person jump back.

    Args:
        starts: Where the snippets begin, each in [0, 1).
        num_frames: Number of frames of the video, at least 1.
        frames: Of a snippet.

    Returns:
        Indices in [0, num_frames): all frames of the first snippet, then those of the second, and so on.

    Raises:
        ValueError: the video has no frame.
    """
    if num_frames < 1:
        raise ValueError(f"a video of {num_frames} frames; expected at least 1")
    places = max(num_frames - frames + 1, 1)
    first = np.minimum(np.floor(starts * places).astype(np.int64), places - 1)
    runs = first[:, None] + np.arange(frames, dtype=np.int64)
    return np.minimum(runs, num_frames - 1).ravel()
