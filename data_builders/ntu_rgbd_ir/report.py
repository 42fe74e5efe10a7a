"""What a build did: counts and reasons, kept as `build_report.json` beside the records."""

import dataclasses
import json
from typing import Any


class TooManyBadClipsError(ValueError):
    """More samples than allowed cannot be used; the message names some, with reasons."""


@dataclasses.dataclass
class BuildReport:
    """Counts the samples of a build and stops it when too many are bad.

    Attributes:
        samples: Number of samples of the wanted actions that were found, usable or not.
        max_bad_fraction: Share of them that may be skipped.
        skipped: Why each skipped sample was skipped, by its id.
        written: Number of records written, by split.
        differing_lengths: Number of records whose two videos differ in their count of frames.
    """

    samples: int
    max_bad_fraction: float
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    written: dict[str, int] = dataclasses.field(default_factory=dict)
    differing_lengths: int = 0

    def skip(self, sample_id: str, reason: str) -> None:
        """Counts a sample as skipped.

        Raises:
            TooManyBadClipsError: with this one, more samples are bad than allowed.
        """
        self.skipped[sample_id] = reason
        self.check()

    def check(self) -> None:
        """Raises TooManyBadClipsError if more samples were skipped than allowed."""
        allowed = int(self.max_bad_fraction * self.samples)
        if len(self.skipped) <= allowed:
            return
        shown = list(self.skipped.items())[:10]
        raise TooManyBadClipsError(
            f"{len(self.skipped)} of {self.samples} samples cannot be used; at most {allowed} "
            f"({self.max_bad_fraction:.1%}) may be skipped. The first of them:\n"
            + "\n".join(f"  {sample_id}: {reason}" for sample_id, reason in shown)
            + "\nRestore these files, or remove both files of each named sample, and build again."
        )

    def wrote(self, split: str, rgb_frames: int, ir_frames: int) -> None:
        """Counts a record."""
        self.written[split] = self.written.get(split, 0) + 1
        self.differing_lengths += rgb_frames != ir_frames

    def summary(self) -> str:
        """Returns the build in a few lines for the log."""
        written = ", ".join(f"{count} {split}" for split, count in self.written.items())
        first = (
            f"Wrote {written}; skipped {len(self.skipped)}; "
            f"the two videos differ in length in {self.differing_lengths} pairs."
        )
        reasons = [f"  skipped {sample_id}: {reason}" for sample_id, reason in self.skipped.items()]
        return "\n".join([first, *reasons])

    def to_json(self, **more: Any) -> str:
        """Returns the report, and what else the caller adds, as JSON text."""
        return json.dumps({**more, **dataclasses.asdict(self)}, indent=2, sort_keys=True) + "\n"
