"""Which classes a listing has, and in which order they are numbered."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from data_builders.recording.report import FootageError

from .text import read_utf8

CLASSES_FILE = "classes.txt"


def class_names(folder: Path, labels: Iterable[str]) -> list[str]:
    """Returns the classes in the order of their numbers.

    That is the order of `classes.txt`, one name a line, where the folder holds such a file;
    otherwise the labels are sorted: as numbers if all of them are, by code point if not.

    Args:
        folder: The folder of the listing.
        labels: The labels that occur.

    Raises:
        FootageError: there are fewer than two classes, or `classes.txt` names one twice.
    """
    path = folder / CLASSES_FILE
    if path.is_file():
        lines = (
            unicodedata.normalize("NFC", line.strip()) for line in read_utf8(path).splitlines()
        )
        names = [line for line in lines if line]
        if len(set(names)) < len(names):
            (twice, _), *_ = Counter(names).most_common(1)
            raise FootageError(f"{path} names the class {twice!r} twice; each has one number")
        where = str(path)
    else:
        names = sorted(set(labels))
        if all(name.isascii() and name.isdigit() for name in names):
            names.sort(key=lambda name: (int(name), name))
        where = "the column label"
    if len(names) < 2:
        raise FootageError(
            f"{where} names {len(names)} class{'es' * (not names)} ({', '.join(names) or 'none'}); "
            "expected two or more for a network to tell apart"
        )
    return names
