"""What a build's summary says beyond counts: what is missing, what was put right."""

from typing import Any

from .clips import Cuts
from .footage import Footage
from .protocol import PHASES, SPLITS

_SHOWN = 5


def build_notes(footage: Footage, cuts: Cuts, phase: int, protocol: str) -> dict[str, Any]:
    """Returns the notes of the report; those with nothing to say are empty.

    Args:
        footage: What was found.
        cuts: What is cut from it.
        phase: 1 or 2.
        protocol: "xsub" or "xview".
    """
    listed = {video for videos in footage.lists for video in videos}
    unlisted = sorted(video.name for video in footage.videos if video not in listed)
    unfilmed = sorted(video.name for video in footage.labels if video not in footage.videos)
    return {
        "split_file": str(footage.split_file),
        "whole_set": _whole_set(cuts, phase, protocol),
        "videos_not_found": {
            split: f"{_some(cuts.absent[split])} of {len(videos)}"
            for split, videos in zip(SPLITS, footage.lists, strict=True)
            if cuts.absent[split]
        },
        "videos_in_no_split": _some(unlisted),
        "labels_without_video": _some(unfilmed),
        "label_quirks": dict(sorted((+cuts.quirks).items())),
        "unreadable_archives": list(footage.search.unreadable.values()),
        "archives_in_archives": footage.search.nested,
    }


def _some(names: list[str]) -> str:
    """Returns how many there are and the first of them; nothing where there is none."""
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names)} ({', '.join(names[:_SHOWN])}{more})" if names else ""


def _whole_set(cuts: Cuts, phase: int, protocol: str) -> str:
    """Compares what is there with the counts of the whole set."""
    expected = PHASES[phase]
    found = sum(cuts.present.values())
    wanted: list[tuple[str, int, int]] = [("videos", found, expected.videos)]
    if expected.instances is not None:
        wanted.append(("labelled instances", cuts.rows, expected.instances))
    if protocol in expected.split_videos:
        train, test = expected.split_videos[protocol]
        wanted.append(("training videos", cuts.present["train"], train))
        wanted.append(("validation videos", cuts.present["test"], test))
    parts = [f"{there:,} of {all_:,} {what}" for what, there, all_ in wanted]
    if all(there == all_ for _, there, all_ in wanted):
        return f"complete, {', '.join(parts)}"
    complete = found >= expected.videos
    return f"{'all videos, but other counts' if complete else 'a part'}: {', '.join(parts)}"
