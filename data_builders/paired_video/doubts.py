"""What a listing may say but hardly anyone means: leaks between splits, lonely labels."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence

from .footage import Files
from .listing import Row

_NAMED = 20  # A note names so many and counts the rest.


def doubts(found: dict[Row, Files], classes: Sequence[str]) -> dict[str, list[str]]:
    """Returns what is doubtful about a listing: under a title for each kind, whom it concerns.

    Args:
        found: The usable rows and their files.
        classes: All classes.
    """
    kinds = {
        "performers in more than one split": _shared_performers(found),
        "the same moments of a video in more than one split": _overlaps(found),
        "classes without a clip": _absent_classes(found, classes),
        "labels that differ in case or spaces alone": _alike(classes),
    }
    return {f"warning: {title}": _shortened(names) for title, names in kinds.items() if names}


def _shortened(names: list[str]) -> list[str]:
    more = len(names) - _NAMED
    return [*names[:_NAMED], f"and {more} more"] if more > 0 else names


def _shared_performers(rows: Iterable[Row]) -> list[str]:
    splits = defaultdict(set)
    for row in rows:
        if row.performer:
            splits[row.performer].add(row.split)
    return [
        f"{who} ({', '.join(sorted(names))})"
        for who, names in sorted(splits.items())
        if len(names) > 1
    ]


def _overlaps(found: dict[Row, Files]) -> list[str]:
    """For each row that shows what an earlier one of another split shows, the two lines."""
    rows_of_file = defaultdict(list)
    for row, files in found.items():
        for file in {*files} - {None}:
            rows_of_file[file].append(row)
    overlaps: dict[int, str] = {}
    for rows in rows_of_file.values():
        rows.sort(key=lambda row: (row.start or 0.0, row.line))
        # Of the clips so far the one that ends last, in each split, tells whether there is any.
        last: dict[str, Row] = {}
        for row in rows:
            for split, other in last.items():
                if split != row.split and (row.start or 0.0) < _end(other):
                    overlaps.setdefault(row.line, f"lines {other.line} and {row.line}")
            if row.split not in last or _end(row) > _end(last[row.split]):
                last[row.split] = row
    return [overlaps[line] for line in sorted(overlaps)]


def _end(row: Row) -> float:
    return float("inf") if row.end is None else row.end


def _absent_classes(found: dict[Row, Files], classes: Sequence[str]) -> list[str]:
    labels = defaultdict(set)
    for row in found:
        labels[row.split].add(row.label)
    return [
        f"{name!r} (in {split})"
        for split, present in labels.items()
        for name in classes
        if name not in present
    ]


def _alike(classes: Sequence[str]) -> list[str]:
    plain = sorted((" ".join(name.casefold().split()), name) for name in classes)
    groups = [
        [name for _, name in group] for _, group in itertools.groupby(plain, lambda pair: pair[0])
    ]
    return [" and ".join(map(repr, names)) for names in groups if len(names) > 1]
