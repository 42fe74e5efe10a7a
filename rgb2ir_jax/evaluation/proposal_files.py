"""Detections as the owners of PKU-MMD want them: a text file a video, a row a detection."""

import re
from collections.abc import Iterable
from pathlib import Path

from rgb2ir_jax.evaluation.pku_detection import Row

# A file of one row a frame of a very long video has some megabytes.
_MOST_BYTES = 64 * 2**20
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def write_proposals(path: Path, rows: Iterable[Row]) -> None:
    """Writes `class,start,end,confidence` rows, whole or not at all; the class from 1.

    Args:
        path: The file, named as the video's label file, such as `0002-L.txt`.
        rows: [class, start, end, confidence] each.
    """
    draft = path.with_name(path.name + ".part")
    draft.write_text("".join(f"{c:.0f},{s:.10g},{e:.10g},{p:.9g}\n" for c, s, e, p in rows))
    draft.replace(path)


def read_proposals(path: Path) -> list[list[float]]:
    """Reads what `write_proposals` or another program of the same format wrote.

    Numbers may stand between commas or spaces, as in the owners' reader.

    Raises:
        ValueError: a row does not hold four numbers, or the file is larger than any such file.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(
            f"{path} is larger than {_MOST_BYTES} bytes; expected a list of detections"
        )
    rows = []
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.replace(",", " ").split()
        if not fields:
            continue
        if len(fields) != 4 or not all(_NUMBER.fullmatch(field) for field in fields):
            raise ValueError(
                f"{path}: line {number} is {line.strip()[:60]!r}, expected "
                "class,start,end,confidence"
            )
        rows.append([float(field) for field in fields])
    return rows
