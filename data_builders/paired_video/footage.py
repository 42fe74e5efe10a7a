"""From rows to files that lie within the listing's folder, grouped for one pass over each pair."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from .listing import FURTHER_COLUMNS, LISTING_FILE, Row

# All clips of a pass are in memory until it ends: at 60 frames a second and 40 kB for the two JPEGs
# of a moment, this much is 430 MB.
MAX_SECONDS_A_PASS = 180.0

_DRIVE = re.compile(r"[A-Za-z]:")

Files = tuple[Path | None, ...]
"""The colour and the infrared video, then, if any row has one, those of depth and flow."""


class Folder:
    """Opens nothing; turns the listing's paths into files that lie within its folder.

    Args:
        root: The folder of the listing.
    """

    def __init__(self, root: Path):
        self._root = root.resolve()
        self._known: dict[str, Path | str] = {}

    def files(self, row: Row, further: Mapping[str, str] | None = None) -> Files:
        """Returns a row's files; None where the listing has no such column.

        Args:
            row: The row.
            further: The paths of its depth and flow videos.

        Raises:
            ValueError: one is not there or not within the folder; the message says which.
        """
        texts = {"rgb": row.rgb, "ir": row.ir}
        if further:
            texts |= {name: further.get(name, "") for name in FURTHER_COLUMNS}
        found = {name: self._file(name, text) if text else None for name, text in texts.items()}
        first: dict[Path, str] = {}
        for name, file in found.items():
            if file is not None and (other := first.setdefault(file, name)) != name:
                raise ValueError(f"{other} and {name} are the same file, {texts[name]}")
        return tuple(found.values())

    def _file(self, column: str, text: str) -> Path:
        if text not in self._known:
            try:
                self._known[text] = self._resolve(text)
            except (ValueError, OSError, RuntimeError) as error:
                self._known[text] = str(error)
        found = self._known[text]
        if isinstance(found, str):
            raise ValueError(f"{column} is {text}: {found}")
        return found

    def _resolve(self, text: str) -> Path:
        rule = f"expected a path below the folder of {LISTING_FILE}"
        if text.startswith(("/", "~")) or _DRIVE.match(text):
            raise ValueError(f"an absolute path; {rule}")
        if ".." in text.split("/"):
            raise ValueError(f'a path with ".."; {rule}')
        path = (self._root / text).resolve()
        if not path.is_relative_to(self._root):
            raise ValueError(f"a link that leads out of the folder, to {path}; {rule}")
        if not path.exists():
            raise ValueError("there is no such file")
        if not path.is_file():
            raise ValueError("a folder, not a video" if path.is_dir() else "not a regular file")
        return path


def find_files(
    folder: Path, rows: Iterable[Row], further: Mapping[int, Mapping[str, str]] | None = None
) -> tuple[dict[Row, Files], dict[str, str]]:
    """Finds the files of rows, and the rows that repeat another.

    Args:
        folder: The folder of the listing.
        rows: Its rows.
        further: By the line of a row, the paths of its depth and flow videos.

    Returns:
        The files of each usable row, see `Files`, and for each of the others, by its name,
        why it is not.
    """
    within = Folder(folder)
    found: dict[Row, Files] = {}
    problems: dict[str, str] = {}
    clips: dict[tuple[Files, float, float | None], Row] = {}
    for row in rows:
        try:
            files = within.files(row, (further or {}).get(row.line))
        except ValueError as error:
            problems[row.clip_name] = str(error)
            continue
        first = clips.setdefault((files, row.start or 0.0, row.end), row)
        if first is not row:
            other = [
                f"there with the {field} {getattr(first, field)!r}, here {getattr(row, field)!r}"
                for field in ("label", "split")
                if getattr(first, field) != getattr(row, field)
            ]
            problems[row.clip_name] = "; ".join([f"repeats line {first.line}", *other])
            continue
        found[row] = files
    return found, problems


def group_by_files(found: dict[Row, Files]) -> dict[str, list[tuple[Files, list[Row]]]]:
    """Groups rows by split and pair of files: each group is read in one pass over its two videos.

    The groups of a split stand in the order in which their files occur first, the rows of a group in
    the order of time. Where more is cut from a pair of videos than memory should hold at once, it
    has several groups; a clip whose end is not told has one of its own.
    """
    pairs: dict[tuple[str, Files], list[Row]] = {}
    for row, files in found.items():
        pairs.setdefault((row.split, files), []).append(row)
    splits: dict[str, list[tuple[Files, list[Row]]]] = {}
    for (split, files), rows in pairs.items():
        rows.sort(key=lambda row: (row.start or 0.0, row.line))
        splits.setdefault(split, []).extend((files, group) for group in _passes(rows))
    return splits


def _passes(rows: list[Row]) -> list[list[Row]]:
    groups: list[list[Row]] = []
    seconds = MAX_SECONDS_A_PASS
    for row in rows:
        length = MAX_SECONDS_A_PASS if row.end is None else row.end - (row.start or 0.0)
        if seconds + length > MAX_SECONDS_A_PASS:
            groups.append([])
            seconds = 0.0
        groups[-1].append(row)
        seconds += length
    return groups
