"""What was found in a video, as text for a terminal and as JSON."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from rgb2ir_jax.prediction.student import Prediction, Student


@dataclasses.dataclass(frozen=True)
class Scored:
    """A clip of a video, and what the network says of it.

    Attributes:
        start: in seconds from the video's beginning.
        end: likewise.
        num_frames: of the clip, of which the network looks at some.
        prediction: names and probabilities.
    """

    start: float | int
    end: float | int
    num_frames: int
    prediction: Prediction

    def to_dict(self, topk: int) -> dict[str, Any]:
        """For JSON: the `topk` most probable classes."""
        return {
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "frames": self.num_frames,
            "classes": [
                {"label": label, "probability": float(probability)}
                for label, probability in self._top(topk)
            ],
        }

    def text(self, topk: int) -> str:
        """One line: when, and the `topk` most probable classes."""
        shares = ", ".join(f"{label} {_percent(p)}" for label, p in self._top(topk))
        return f"{self.start:7.1f} -{self.end:7.1f} s  {shares}"

    def _top(self, topk: int) -> list[tuple[str, float]]:
        labels, probabilities = self.prediction
        return list(zip(labels[:topk], probabilities[:topk], strict=True))


@dataclasses.dataclass
class VideoResult:
    """What was found in a video.

    Attributes:
        name: the file, or a camera's number.
        clips: in order; of a short video one.
        num_frames: of the video.
        fps: as the file says, 0 where it does not.
        seconds: length.
        warnings: what is doubtful about it.
        error: why it, or its end, could not be looked at.
    """

    name: str
    clips: list[Scored] = dataclasses.field(default_factory=list)
    num_frames: int = 0
    fps: float = 0.0
    seconds: float = 0.0
    warnings: list[str] = dataclasses.field(default_factory=list)
    error: str | None = None

    def to_dict(self, topk: int) -> dict[str, Any]:
        """For JSON; `clips` is empty where there is only an error."""
        found: dict[str, Any] = {
            "video": self.name,
            "frames": self.num_frames,
            "fps": self.fps,
            "seconds": round(self.seconds, 3),
            "clips": [clip.to_dict(topk) for clip in self.clips],
            "warnings": self.warnings,
        }
        return found if self.error is None else {**found, "error": self.error}

    def text(self, topk: int) -> str:
        """A heading, then a line a class for one clip, a line a clip for several."""
        heading = f"{self.name}: {self.num_frames} frames, {self.seconds:.1f} s"
        if len(self.clips) == 1:
            labels, probabilities = self.clips[0].prediction
            lines = [
                f"  {_percent(probability)}  {label}"
                for label, probability in zip(labels[:topk], probabilities[:topk], strict=True)
            ]
        else:
            lines = [f"  {clip.text(min(topk, 3))}" for clip in self.clips]
        return "\n".join([heading, *lines])

    def at(self, seconds: float) -> Scored:
        """The clip whose middle is nearest to a moment."""
        return min(self.clips, key=lambda clip: abs((clip.start + clip.end) / 2 - seconds))


def document(
    student: Student,
    results: Sequence[VideoResult],
    empty: Sequence[tuple[str, str]],
    topk: int,
) -> dict[str, Any]:
    """All results as one JSON object.

    Args:
        student: who looked.
        results: of the videos.
        empty: name and reason of what held no video.
        topk: classes to show.
    """
    told = student.description
    return {
        "network": str(student.path),
        "modality": told.modality,
        "class_names": list(told.class_names),
        "segments": told.segments,
        "crops": told.crops,
        "videos": [
            *(result.to_dict(topk) for result in results),
            *({"video": name, "error": reason} for name, reason in empty),
        ],
    }


def _percent(probability: float) -> str:
    return f"{100 * probability:5.1f}%"
