"""What a build did: counts and reasons, kept as `build_report.json` beside the records."""

import dataclasses
import json
from pathlib import Path
from typing import Any

_SHOWN_PROBLEMS = 100
# Left in its folder by what films made-up footage.
_SYNTHESIS_MANIFEST = "synthesis.json"


class FootageError(ValueError):
    """The footage cannot be built from; the message says what was found and what was expected."""


class TooManyBadClipsError(ValueError):
    """More clips than allowed cannot be used; the message names them, with reasons."""


@dataclasses.dataclass
class BuildReport:
    """Counts the clips of a build and stops it when too many are bad.

    Attributes:
        samples: Number of wanted clips that were found, usable or not.
        max_bad_fraction: Share of them that may be skipped.
        skipped: Why each skipped clip was skipped, by its name.
        written: Number of records written, by split.
        differing_lengths: Number of records whose two videos differ in their count of frames.
        differing_rates: Number of records whose two videos differ in their frames a second.
        synthetic: Whether the footage says of itself that it was made up.
        notes: What else the reader of the report should know: text, numbers, lists, dictionaries
            that JSON can hold; printed below the counts.
    """

    samples: int
    max_bad_fraction: float
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    written: dict[str, int] = dataclasses.field(default_factory=dict)
    differing_lengths: int = 0
    differing_rates: int = 0
    synthetic: bool = False
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def skip(self, name: str, reason: str) -> None:
        """Counts a clip as skipped.

        Raises:
            TooManyBadClipsError: with this one, more clips are bad than allowed.
        """
        self.skipped[name] = reason
        self.check()

    def check(self) -> None:
        """Raises TooManyBadClipsError if more clips were skipped than allowed."""
        # 0.29 * 100 is 28.999...: a share that is meant exactly must not lose a clip to rounding.
        allowed = int(self.max_bad_fraction * self.samples + 1e-9)
        if len(self.skipped) <= allowed:
            return
        shown = [f"  {name}: {reason}" for name, reason in self.skipped.items()]
        if len(shown) > _SHOWN_PROBLEMS:
            shown[_SHOWN_PROBLEMS:] = [f"  ... and {len(shown) - _SHOWN_PROBLEMS} more"]
        raise TooManyBadClipsError(
            f"{len(self.skipped)} of {self.samples} clips cannot be used; at most {allowed} "
            f"({self.max_bad_fraction:.1%}) may be skipped:\n"
            + "\n".join(shown)
            + "\nRestore these files, or leave the named clips out (both files, or their rows), or allow more "
            "(RGB2IR_BUILD_MAX_BAD_FRACTION=0.05 allows 5 %), and build again."
        )

    def wrote(
        self,
        split: str,
        rgb_frames: int,
        ir_frames: int,
        rgb_fps: float = 0.0,
        ir_fps: float = 0.0,
    ) -> None:
        """Counts a record.

        Args:
            split: Its split.
            rgb_frames: Number of frames of the colour clip in its source.
            ir_frames: Number of frames of the infrared clip in its source.
            rgb_fps: Frames a second of the colour video.
            ir_fps: Frames a second of the infrared video.
        """
        self.written[split] = self.written.get(split, 0) + 1
        self.differing_lengths += rgb_frames != ir_frames
        self.differing_rates += abs(rgb_fps - ir_fps) > 0.01

    def summary(self, videos: int = 2) -> str:
        """Returns the build in a few lines for the person who started it.

        Args:
            videos: Number of videos of a clip.
        """
        written = ", ".join(f"{count} {split}" for split, count in self.written.items())
        first = f"Wrote {written or 'nothing'}; skipped {len(self.skipped)}"
        if videos > 1:
            first += (
                f"; the two videos differ in length in {self.differing_lengths} pairs, in frame "
                f"rate in {self.differing_rates}"
            )
        lines = [f"{first}.", *["  The footage is synthetic."] * self.synthetic]
        lines += [f"  skipped {name}: {reason}" for name, reason in self.skipped.items()]
        for title, note in self.notes.items():
            if note or note == 0:
                lines.append(f"  {title.replace('_', ' ')}: {_in_words(note)}")
        return "\n".join(lines)

    def to_json(self, **more: Any) -> str:
        """Returns the report, and what else the caller adds, as JSON text."""
        return json.dumps({**more, **dataclasses.asdict(self)}, indent=2, sort_keys=True) + "\n"


def is_synthetic(manual_dir: Path) -> bool:
    """Tells whether a folder, or one directly in it, holds footage that was made up, not recorded."""
    return any(
        next(manual_dir.glob(pattern), None) is not None
        for pattern in (_SYNTHESIS_MANIFEST, f"*/{_SYNTHESIS_MANIFEST}")
    )


def _in_words(note: Any) -> str:
    if isinstance(note, dict):
        return "; ".join(f"{key}: {_in_words(value)}" for key, value in note.items())
    if isinstance(note, list | tuple):
        return ", ".join(map(_in_words, note))
    return str(note)
