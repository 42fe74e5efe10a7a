"""Reading `pairs.csv`: its text, its columns, its rows; the videos are not looked at here."""

import csv
import dataclasses
import difflib
import io
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from data_builders.recording.report import FootageError

from .text import read_utf8

LISTING_FILE = "pairs.csv"
PAIR_COLUMNS = ("rgb", "ir")
FURTHER_COLUMNS = ("depth", "flow")
VIDEO_COLUMNS = PAIR_COLUMNS + FURTHER_COLUMNS
"""At least one of them must be there, and each that is there has a video in every row."""
NEEDED_COLUMNS = ("label", "split")
REQUIRED_COLUMNS = PAIR_COLUMNS + NEEDED_COLUMNS
OPTIONAL_COLUMNS = ("start", "end", "performer", "camera")
COLUMNS = REQUIRED_COLUMNS + OPTIONAL_COLUMNS
EXAMPLE = (
    "rgb,ir,label,split,start,end\n"
    "day1/color.mp4,day1/thermal.mp4,wave,train,2.5,4\n"
    "day2/color.mp4,day2/thermal.mp4,wave,test,,"
)

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SECONDS = re.compile(r"-?(\d{1,9}(\.\d*)?|\.\d+)", re.ASCII)
_SPLIT = re.compile(r"\w+", re.ASCII)
# A pair whose one column is called so would be built of the other one alone.
_OTHER_NAMES = {
    "color": "rgb", "colour": "rgb", "infrared": "ir", "thermal": "ir", "nir": "ir",
    "optical_flow": "flow",
}  # fmt: skip


class Row(NamedTuple):
    """A usable row; paths are as written, but with forward slashes.

    Attributes:
        line: The row's line number in the file, counted from 1.
        rgb: Path of the colour video, relative to the file's folder; "" where the file has no such
            column.
        ir: Path of the infrared video; likewise.
        label: Name of the class.
        split: Name of the split.
        start: Where the clip begins, in seconds; None: where the videos begin.
        end: Where it ends, in seconds; None: where the videos end.
        performer: Who is seen; "" if the file does not tell.
        camera: From where; "" if the file does not tell.
    """

    line: int
    rgb: str
    ir: str
    label: str
    split: str
    start: float | None = None
    end: float | None = None
    performer: str = ""
    camera: str = ""

    @property
    def clip_name(self) -> str:
        """The clip's `sample_id`, which leads back to the row: "pairs.csv:12:day1/color.mp4"."""
        return f"{LISTING_FILE}:{self.line}:{self.rgb or self.ir}".rstrip(":")


@dataclasses.dataclass
class Listing:
    """What a `pairs.csv` says.

    Attributes:
        path: The file.
        rows: The rows that can be read.
        labels: All labels of the file, also those of rows that cannot be used: which number a class
            has does not depend on a damaged file.
        problems: For each row that cannot be read, by its name, why.
        ignored_columns: Names of the columns that mean nothing here.
        modalities: Those that the file has a column of videos for.
        further: By the line of a row, the paths of its depth and flow videos, for the columns that are
            there.
    """

    path: Path
    rows: list[Row] = dataclasses.field(default_factory=list)
    labels: set[str] = dataclasses.field(default_factory=set)
    problems: dict[str, str] = dataclasses.field(default_factory=dict)
    ignored_columns: list[str] = dataclasses.field(default_factory=list)
    modalities: tuple[str, ...] = PAIR_COLUMNS
    further: dict[int, dict[str, str]] = dataclasses.field(default_factory=dict)


def read_listing(folder: Path) -> Listing:
    """Reads the `pairs.csv` of a folder.

    Args:
        folder: The folder that holds it.

    Returns:
        Its rows, and what is wrong with the rest.

    Raises:
        FootageError: the file is missing, no UTF-8 text, no CSV, empty, or lacks a column.
    """
    path = folder / LISTING_FILE
    text = _read_text(path)
    delimiter, names = _read_header(path, text)
    listing = Listing(
        path,
        ignored_columns=_ignored_columns(path, names),
        modalities=tuple(name for name in VIDEO_COLUMNS if name in names),
    )
    lines = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    header_seen = False
    line = 1
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells):
                if header_seen:
                    _add_row(listing, line, names, cells, comma_decimals=delimiter != ",")
                header_seen = True
            line = lines.line_num + 1  # of the next row: the reader counts the lines it has read
    except csv.Error as error:
        raise FootageError(
            f"{path}, line {line}: {error}. Perhaps a quotation mark is not closed; "
            'inside a quoted cell it is doubled ("").'
        ) from error
    if not listing.rows and not listing.problems:
        raise FootageError(
            f"{path} has a header, but no row below it. A file may look so:\n{EXAMPLE}"
        )
    return listing


def _read_text(path: Path) -> str:
    if not path.is_file():
        others = sorted(other.name for other in path.parent.glob("*.[ct]sv"))
        found = (
            f"there is {', '.join(others[:5])}; rename one" if others else "there is no CSV file"
        )
        raise FootageError(
            f"There is no {LISTING_FILE} in {path.parent} ({found}). The folder given as "
            f"--manual_dir holds the videos and a {LISTING_FILE} that lists them:\n{EXAMPLE}"
        )
    text = read_utf8(path)
    if not text.strip():
        raise FootageError(f"{path} is empty. A file may look so:\n{EXAMPLE}")
    return text


def _read_header(path: Path, text: str) -> tuple[str, list[str]]:
    """The delimiter is the one by which the first line has the required columns."""
    first = next(line for line in io.StringIO(text, newline=None) if line.strip())
    best: list[str] = []
    for delimiter in _DELIMITERS:
        reader = csv.reader([first], delimiter=delimiter, skipinitialspace=True)
        names = [name.strip().lower() for name in next(reader)]
        if set(NEEDED_COLUMNS) <= set(names) and set(VIDEO_COLUMNS) & set(names):
            known = {*COLUMNS, *FURTHER_COLUMNS}
            twice = sorted({name for name in names if name in known and names.count(name) > 1})
            if twice:
                raise FootageError(f"{path}: the header has the column {', '.join(twice)} twice")
            return delimiter, names
        best = max(best, names, key=lambda found: len(set(REQUIRED_COLUMNS) & set(found)))
    missing = [name for name in REQUIRED_COLUMNS if name not in best]
    if set(VIDEO_COLUMNS) & set(best):
        missing = [name for name in missing if name in NEEDED_COLUMNS]
    raise FootageError(
        f"{path}: the header lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}. Its "
        f"first line is {first.strip()[:200]!r}; expected {', '.join(REQUIRED_COLUMNS)} and, if "
        f"wanted, {', '.join(OPTIONAL_COLUMNS)}, separated by {', '.join(_DELIMITERS.values())} (of "
        f"{', '.join(VIDEO_COLUMNS)} any one or more will do):\n"
        f"{EXAMPLE}"
    )


def _ignored_columns(path: Path, names: list[str]) -> list[str]:
    """Columns for the user alone; one that looks like a misspelt optional column is refused."""
    ignored = [name for name in names if name and name not in (*COLUMNS, *FURTHER_COLUMNS)]
    absent = [name for name in OPTIONAL_COLUMNS if name not in names]
    for name in ignored:
        meant = difflib.get_close_matches(name, absent, n=1, cutoff=0.75) or [
            known for known in absent if name.startswith(known)
        ]
        if (other := _OTHER_NAMES.get(name)) and other not in names:
            meant = [other]
        if meant:
            raise FootageError(
                f"{path} has a column {name!r}. If it is the {meant[0]}, call it {meant[0]!r}; if it "
                "is not, give it a name that does not look so"
            )
    return ignored


def _add_row(
    listing: Listing, line: int, names: list[str], cells: list[str], *, comma_decimals: bool
) -> None:
    values = _values(names, cells)
    if values is None:
        listing.problems[f"{LISTING_FILE}:{line}"] = (
            f"has {len(cells)} cells, the header has {len(names)}"
        )
        return
    # The same letters can be typed as different code points.
    label = values["label"] = unicodedata.normalize("NFC", values["label"])
    if label and label.isprintable():
        listing.labels.add(label)
    try:
        listing.rows.append(
            _parse_row(line, values, listing.modalities, comma_decimals=comma_decimals)
        )
        further = {name: _path(values[name]) for name in FURTHER_COLUMNS if name in values}
        if further:
            listing.further[line] = further
    except ValueError as error:
        video = values.get("rgb") or values.get("ir") or ""
        name = f"{LISTING_FILE}:{line}:{video if video.isprintable() else ''}".rstrip(":")
        listing.problems[name] = str(error)


def _values(names: list[str], cells: list[str]) -> dict[str, str] | None:
    """Returns the cells of the known columns, or None if there are too many or too few cells."""
    while len(cells) > len(names) and not cells[-1].strip():
        cells = cells[:-1]  # spreadsheets may end rows with empty cells
    if len(cells) != len(names):
        return None
    known = {*COLUMNS, *FURTHER_COLUMNS}
    return {name: cell.strip() for name, cell in zip(names, cells, strict=True) if name in known}


def _path(text: str) -> str:
    return text.replace("\\", "/")


def _parse_row(
    line: int, values: dict[str, str], modalities: tuple[str, ...], *, comma_decimals: bool
) -> Row:
    """Raises ValueError with the reason why the row cannot be used."""
    for name, value in values.items():
        if not value.isprintable():
            raise ValueError(
                f"the {name} {value[:80]!r} holds a line break or another control character"
            )
    empty = [name for name in (*modalities, *NEEDED_COLUMNS) if not values[name]]
    if empty:
        raise ValueError(f"has no {' and no '.join(empty)}")
    if not _SPLIT.fullmatch(values["split"]) or values["split"] == "all":
        raise ValueError(
            f"the split is {values['split']!r}; expected a name of letters, digits and underscores, "
            'such as "train" (and "all" means all splits)'
        )
    start, end = (
        _seconds(name, values.get(name, ""), comma_decimals=comma_decimals)
        for name in ("start", "end")
    )
    if end is not None and end <= (start or 0):
        raise ValueError(f"ends at {end:g} s, but begins at {start or 0:g} s")
    return Row(
        line,
        _path(values.get("rgb", "")),
        _path(values.get("ir", "")),
        values["label"],
        values["split"],
        start,
        end,
        values.get("performer", ""),
        values.get("camera", ""),
    )


def _seconds(name: str, text: str, *, comma_decimals: bool) -> float | None:
    if not text:
        return None
    number = text.replace(",", ".") if comma_decimals else text
    if not _SECONDS.fullmatch(number):
        raise ValueError(f"the {name} is {text!r}; expected seconds, such as 2.5")
    if float(number) < 0:
        raise ValueError(f"the {name} is {text}; expected 0 or more seconds")
    return float(number)
