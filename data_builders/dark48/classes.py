"""Which classes lists of videos have, by a class index if there is one, else by their folders."""

import dataclasses
import re
from collections.abc import Mapping

from data_builders.dark_video.lists import Row, VideoList
from data_builders.recording.report import FootageError
from data_builders.recording.text import read_text
from rgb2ir_jax.video.source import VideoSource

NUM_CLASSES = 48
_SHOWN = 5
_NUMBERED = re.compile(r"(\d{1,6})[\s,:]+(\S.*)", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Attributes:
        names: In the order of the labels.
        first: The label of the first one in the lists: 0 or 1.
    """

    names: tuple[str, ...]
    first: int

    def label_of(self, row: Row) -> int:
        """Returns a line's label, counted from 0."""
        return row.label - self.first


@dataclasses.dataclass(frozen=True)
class ClassIndex:
    """A class index: one class a line, "label name" or the name alone.

    Attributes:
        source: Where it was read.
        names: In the order of the labels.
        first: The label of the first one; None where the file has no numbers.
    """

    source: VideoSource
    names: tuple[str, ...]
    first: int | None


def read_class_index(source: VideoSource) -> ClassIndex:
    """Reads a class index.

    Raises:
        FootageError: it cannot be read, names a class twice, has other numbers than 0, 1, 2, ... or
            1, 2, 3, ..., or not as many classes as Dark-48.
    """
    lines = [line.strip() for line in read_text(source).splitlines() if line.strip()]
    if not all(line.isprintable() for line in lines):
        raise FootageError(f"{source} holds control characters; expected one class a line")
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    first: int | None = None
    names = lines
    if lines and all(numbered):
        by_number = sorted((int(match[1]), match[2]) for match in numbered if match)
        numbers = [number for number, _ in by_number]
        first = numbers[0]
        if first not in (0, 1) or numbers != list(range(first, first + len(numbers))):
            raise FootageError(
                f"{source} numbers its classes {_some(numbers)}; expected 0, 1, 2, ... or 1, 2, 3, "
                "..., each once"
            )
        names = [name for _, name in by_number]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FootageError(f"{source} names the class {twice!r} twice")
    _check_count(len(names), f"{source} names", names)
    return ClassIndex(source, tuple(names), first)


def classes_of(lists: Mapping[str, VideoList], index: ClassIndex | None) -> Classes:
    """Tells the classes of lists, and checks that labels and class folders agree.

    Args:
        lists: The list of each split.
        index: The class index, if there is one.

    Raises:
        FootageError: the labels are not those of 48 classes counted from 0 or 1, a label has videos
            in two class folders or a folder two labels, a folder has the name of another class, or
            neither an index nor a folder names a class.
    """
    rows: dict[int, tuple[VideoList, Row]] = {}
    folders: dict[str, tuple[VideoList, Row]] = {}
    for listed in lists.values():
        for row in listed.rows.values():
            first, known = rows.setdefault(row.label, (listed, row))
            if known.class_folder != row.class_folder:
                raise listed.refuse(
                    row,
                    f"the label {row.label} is of the folder {known.class_folder!r} in line "
                    f"{known.line} of {first.source}",
                )
            first, known = folders.setdefault(row.class_folder, (listed, row))
            if row.class_folder and known.label != row.label:
                raise listed.refuse(
                    row,
                    f"the folder {row.class_folder!r} has the label {row.label} here and "
                    f"{known.label} in line {known.line} of {first.source}",
                )
    labels = sorted(rows)
    _check_count(len(labels), "The lists have videos of", labels)
    first_label = labels[0]
    if index is not None and index.first not in (None, first_label):
        raise FootageError(
            f"{index.source} counts its classes from {index.first}, the lists from {first_label}"
        )
    if first_label not in (0, 1) or labels[-1] - first_label >= NUM_CLASSES:
        listed, row = rows[labels[-1]]
        raise listed.refuse(
            row,
            f"the labels run from {first_label} to {labels[-1]}; expected 0 to {NUM_CLASSES - 1} or 1 to "
            f"{NUM_CLASSES}",
        )
    if index is None:
        names = [rows[label][1].class_folder for label in labels]
        if not all(names):
            listed, row = rows[labels[names.index("")]]
            raise listed.refuse(
                row,
                "the path has no folder that names the class, and there is no class index (a text "
                "of lines such as '0 Run', called classInd.txt, say)",
            )
        return Classes(tuple(names), first_label)
    by_name = {_plain(name): first_label + n for n, name in enumerate(index.names)}
    for label in labels:
        listed, row = rows[label]
        meant = by_name.get(_plain(row.class_folder), label)
        if meant != label:
            raise listed.refuse(
                row,
                f"the label is {label}, and {index.source} gives {row.class_folder!r} the number {meant}",
            )
    return Classes(index.names, first_label)


def _plain(name: str) -> str:
    """A name without what people write in different ways: "Brush hair", "brush_hair", "BrushHair"."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _check_count(count: int, what: str, shown: list[str] | list[int]) -> None:
    if count != NUM_CLASSES:
        raise FootageError(f"{what} {count} classes ({_some(shown)}); Dark-48 has {NUM_CLASSES}")


def _some(things: list[str] | list[int]) -> str:
    more = ", ..." if len(things) > _SHOWN else ""
    return f"{', '.join(map(str, things[:_SHOWN])) or 'none'}{more}"
