"""Lists of labelled videos, one line a video, as the owners of action data sets write them.

0   3   Pour/Pour_10_1.avi         ARID's: running index, label, path
Pour/clip_7.mp4 120 3              TSN's: path, number of frames, label
Pour/clip_7.mp4 3                  mmaction's: path, label

Nothing is opened by what a list says: its paths are only compared with those of files that a search
has found.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from data_builders.recording.report import FootageError
from data_builders.recording.text import read_text
from rgb2ir_jax.video.source import VideoSource

VIDEO_ENDINGS = (
    ".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv",
)  # fmt: skip
_MAX_LINE = 1000
_SHOWN = 5
_DRIVE = re.compile(r"[A-Za-z]:")


def without_ending(path: str) -> str:
    """Returns a path without the ending of a video file; others keep what stands behind their dot."""
    for ending in VIDEO_ENDINGS:
        if path.lower().endswith(ending):
            return path[: -len(ending)]
    return path


class Row(NamedTuple):
    """A line of a list.

    Attributes:
        line: Its number in the file, from 1.
        label: The class number as the list counts.
        path: As written, but with forward slashes.
    """

    line: int
    label: int
    path: str

    @property
    def name(self) -> str:
        """The path without a video's ending: what the clip is called here."""
        return without_ending(self.path)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the path, outermost first."""
        return tuple(self.path.split("/")[:-1])

    @property
    def class_folder(self) -> str:
        """The folder in which the video lies; "" where the list names none."""
        return self.folders[-1] if self.folders else ""

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return self.name.rpartition("/")[2]


@dataclasses.dataclass
class VideoList:
    """A list that can be used.

    Attributes:
        source: Where it was read.
        rows: Each video's line, by `Row.name`, in the file's order.
        repeated: Number of lines that only repeat an earlier one.
    """

    source: VideoSource
    rows: dict[str, Row]
    repeated: int = 0

    def refuse(self, row: Row, reason: str) -> FootageError:
        """Returns the error that names a line of this list."""
        return FootageError(f"{self.source}, line {row.line} ({row.path}): {reason}")

    @property
    def labels(self) -> dict[str, int]:
        """What the list says, whatever its order and its videos' endings."""
        return {name: row.label for name, row in self.rows.items()}


def read_list(source: VideoSource, *, may_be_empty: bool = False) -> VideoList:
    """Reads a list; empty lines, a byte order mark and Windows line ends are fine.

    Args:
        source: A text file or a member of a zip archive.
        may_be_empty: Whether it may name no video.

    Returns:
        Its videos, each once.

    Raises:
        FootageError: it cannot be read, is empty, has a line of another form than the rest, a path
            that is none below a folder, or gives a video two labels.
    """
    found = VideoList(source, {})
    text = read_text(source)
    if may_be_empty and not text.strip():
        return found
    for row in _rows(source, text):
        try:
            row = row._replace(path=_checked_path(row.path))
        except ValueError as error:
            raise FootageError(f"{source}, line {row.line}: {error}") from error
        first = found.rows.setdefault(row.name, row)
        if first is row:
            continue
        if first.label != row.label:
            raise found.refuse(
                row, f"has the label {row.label} here and {first.label} in line {first.line}"
            )
        found.repeated += 1
    return found


def read_copies(
    sources: Sequence[VideoSource], to_do: str, *, may_be_empty: bool = False
) -> VideoList:
    """Reads a list of which there may be copies.

    Args:
        sources: The copies, at least one; they may differ in order and in their videos' endings.
        to_do: What to do about copies that say different things.
        may_be_empty: Whether they may name no video.

    Raises:
        FootageError: one cannot be used, or they disagree.
    """
    first, *others = (read_list(source, may_be_empty=may_be_empty) for source in sources)
    unlike = [other for other in others if other.labels != first.labels]
    if unlike:
        told = "\n".join(f"  {one.source}: {len(one.rows)} videos" for one in (first, *unlike))
        raise FootageError(f"Several lists could be meant, and they disagree:\n{told}\n{to_do}")
    return first


def keep_apart(lists: dict[str, VideoList]) -> dict[str, int]:
    """Makes sure that no video is in two splits.

    A video of "train" and "test" is taken out of the further lists, if they name it too.

    Args:
        lists: The lists by split, "train" and "test" among them; changed in place.

    Returns:
        How many videos were taken out of which further list; lists that lost none are left out.

    Raises:
        FootageError: train and test share a video.
    """
    train, test = lists["train"], lists["test"]
    both = [name for name in train.rows if name in test.rows]
    if both:
        raise FootageError(
            f"{len(both)} videos are listed for training and for testing, "
            f"{', '.join(both[:_SHOWN])} among them; a test on them would tell nothing. Restore the "
            f"owners' lists:\n  {train.source}\n  {test.source}"
        )
    taken = dict(train.rows) | test.rows
    counts: dict[str, int] = {}
    for split, further in lists.items():
        if split in ("train", "test"):
            continue
        kept = {name: row for name, row in further.rows.items() if name not in taken}
        if len(kept) < len(further.rows):
            counts[split] = len(further.rows) - len(kept)
        further.rows = kept
        taken |= kept
    return counts


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _indexed(line: str) -> tuple[int, str] | None:
    match line.split(None, 2):
        case [index, label, path] if (
            _number(index) is not None
            and (number := _number(label)) is not None
            and _number(path) is None
        ):
            return number, path
    return None


def _with_frames(line: str) -> tuple[int, str] | None:
    match line.rsplit(None, 2):
        case [path, frames, label] if (
            _number(frames) is not None and (number := _number(label)) is not None
        ):
            return number, path
    return None


def _plain(line: str) -> tuple[int, str] | None:
    match line.rsplit(None, 1):
        case [path, label] if (number := _number(label)) is not None:
            return number, path
    return None


# In this order: a path may end in a number ("run/clip 12 3"), so that a line alone may not tell.
_FORMS: dict[str, Callable[[str], tuple[int, str] | None]] = {
    "index, label, path": _indexed,
    "path, number of frames, label": _with_frames,
    "path, label": _plain,
}


def _rows(source: VideoSource, text: str) -> list[Row]:
    """Reads the lines in the one form that fits all of them."""
    lines = {n: line.strip() for n, line in enumerate(text.splitlines(), start=1) if line.strip()}
    expected = f"expected one line a video, {' or '.join(f'({form})' for form in _FORMS)}"
    if not lines:
        raise FootageError(f"{source} is empty; {expected}")
    long = next((number for number, line in lines.items() if len(line) > _MAX_LINE), None)
    if long is not None:
        raise FootageError(
            f"{source}, line {long} has {len(lines[long])} characters; {expected}, of {_MAX_LINE} "
            "characters at most"
        )
    best, fitting = "", -1
    for form, parse in _FORMS.items():
        rows = [Row(n, *parsed) for n, line in lines.items() if (parsed := parse(line))]
        if len(rows) == len(lines):
            return rows
        if len(rows) > fitting:
            best, fitting = form, len(rows)
    odd = next(number for number, line in lines.items() if _FORMS[best](line) is None)
    others = f" as {fitting} of {len(lines)} lines are ({best})" if fitting else ""
    raise FootageError(f"{source}, line {odd} is {lines[odd][:80]!r}; {expected}{others}")


def _checked_path(text: str) -> str:
    """Returns the path with forward slashes; raises ValueError if it could lead out of a folder."""
    shown = repr(text[:80])
    if not text.isprintable():
        raise ValueError(f"the path {shown} holds a control character")
    path = text.replace("\\", "/").removeprefix("./")
    if path.startswith(("/", "~")) or _DRIVE.match(path):
        raise ValueError(f"{shown} is an absolute path; expected one below the folder of videos")
    parts = path.split("/")
    if ".." in parts:
        raise ValueError(f'{shown} has ".."; expected a path below the folder of videos')
    if not all(parts) or not without_ending(parts[-1]):
        raise ValueError(f"{shown} is no path of a file; expected one such as Pour/Pour_10_1.avi")
    return path
