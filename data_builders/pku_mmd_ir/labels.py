"""The owners' label files: one row an instance, `class,start,end,confidence`.

Frames count from 0 and both ends are part of the instance, as most loaders of PKU-MMD read them.
"""

import collections
import dataclasses
import re
from collections.abc import Container
from typing import NamedTuple

from .protocol import CLASS_NAMES

# More digits would not fit into the records' 32 bits, and no video has a billion frames.
_NUMBER = re.compile(r"([+-]?\d{1,9})(?:\.0*)?")
_FORMAT = "class,start,end,confidence"


class Instance(NamedTuple):
    """One labelled action.

    Attributes:
        row: Line of the label file, from 1.
        class_number: The owners' number of the class, from 1.
        start: First frame, from 0.
        end: Last frame, itself part of the action.
    """

    row: int
    class_number: int
    start: int
    end: int


@dataclasses.dataclass
class LabelFile:
    """What a label file says.

    Attributes:
        instances: The usable rows in the file's order.
        problems: Why a row cannot be used, by its line.
        quirks: How often something was put right: "swapped_rows" (start after end),
            "negative_starts" (set to 0), "duplicate_rows" (dropped), "empty_lines" (skipped),
            "other_class_rows" (of classes that are not wanted, dropped), "overlapping_instances"
            (kept).
    """

    instances: list[Instance] = dataclasses.field(default_factory=list)
    problems: dict[int, str] = dataclasses.field(default_factory=dict)
    quirks: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    @property
    def num_rows(self) -> int:
        """Number of rows, usable or not, empty lines aside."""
        dropped = self.quirks["duplicate_rows"] + self.quirks["other_class_rows"]
        return len(self.instances) + len(self.problems) + dropped


def is_label_text(head: str) -> bool:
    """Tells a label file from a skeleton file of the same name by its first characters.

    A row of a skeleton file holds 150 numbers between spaces and no comma.
    """
    first = next((line for line in head.splitlines() if line.strip()), "")
    return "," in first or len(first.split()) < 20


def parse_labels(text: str, classes: Container[int]) -> LabelFile:
    """Reads a label file, its oddities included.

    Args:
        text: The file's contents.
        classes: The wanted class numbers; rows of the owners' other classes are left out.

    Returns:
        Its instances, and what was wrong with other rows; nothing raises.
    """
    labels = LabelFile()
    seen: set[tuple[int, int, int]] = set()
    for row, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not line.strip():
            labels.quirks["empty_lines"] += 1
            continue
        numbers = _numbers(line)
        if numbers is None:
            labels.problems[row] = f"row {row} is {line.strip()[:60]!r}, expected {_FORMAT}"
            continue
        class_number, start, end = numbers
        if not 1 <= class_number <= len(CLASS_NAMES):
            labels.problems[row] = (
                f"row {row} is of class {class_number}; the classes are 1 to {len(CLASS_NAMES)}"
            )
            continue
        if class_number not in classes:
            labels.quirks["other_class_rows"] += 1
            continue
        if start > end:
            start, end = end, start
            labels.quirks["swapped_rows"] += 1
        if end < 0:
            labels.problems[row] = f"row {row} ends at frame {end}, before the video's first, 0"
            continue
        if start < 0:
            start = 0
            labels.quirks["negative_starts"] += 1
        if (class_number, start, end) in seen:
            labels.quirks["duplicate_rows"] += 1
            continue
        seen.add((class_number, start, end))
        labels.instances.append(Instance(row, class_number, start, end))
    labels.quirks["overlapping_instances"] += _overlapping(labels.instances)
    labels.quirks = +labels.quirks  # Without those that did not occur.
    return labels


def fit(instance: Instance, frames: int) -> Instance | None:
    """Returns an instance without the frames that a video of so many frames lacks.

    None where less than half is left: labels may reach a little past the end, but half an action is
    another one.
    """
    last = min(instance.end, frames - 1)
    wanted, left = instance.end - instance.start + 1, last - instance.start + 1
    return instance._replace(end=last) if 2 * left >= wanted else None


def _numbers(line: str) -> tuple[int, int, int] | None:
    fields = line.strip().rstrip(",").split(",")
    if len(fields) not in (3, 4):  # Confidence is not used, so that it may be missing.
        return None
    matches = [_NUMBER.fullmatch(field.strip()) for field in fields[:3]]
    if not all(matches):
        return None
    class_number, start, end = (int(match[1]) for match in matches if match)
    return class_number, start, end


def _overlapping(instances: list[Instance]) -> int:
    """Returns how many instances begin before an earlier one has ended."""
    count, last = 0, -1
    for instance in sorted(instances, key=lambda instance: instance.start):
        count += instance.start <= last
        last = max(last, instance.end)
    return count
