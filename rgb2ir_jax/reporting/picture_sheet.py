"""A sheet of small pictures in rows and columns, with names: PNG and TensorBoard show the same one."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from rgb2ir_jax.data.transforms import resize

SIDE = 112
"""Of a picture on a sheet, in pixels."""

_GAP, _BLOCK_GAP, _ROW_GAP, _MARGIN = 3, 26, 10, 14
_LINE, _CHARACTER = 17, 6.6  # Of the text, in pixels.
_NAME_WIDTH = 150
_DOTS_PER_INCH = 100
_TEXT_SIZE = 8.5  # In points: 12 pixels.


class Block(NamedTuple):
    """Columns of pictures under one heading, a row for each clip.

    Attributes:
        heading: above all of its columns.
        columns: a name for each.
        pictures: squares, on the sheet scaled to `SIDE`.
        notes: a line under each row; none: nothing is written there.
    """

    heading: str
    columns: Sequence[str]
    pictures: UInt8[np.ndarray, "row column side side 3"]
    notes: Sequence[str] = ()


def picture_sheet(
    blocks: Sequence[Block], rows: Sequence[str], *, title: str, caption: str
) -> UInt8[np.ndarray, "height width 3"]:
    """Draws blocks of pictures beside each other.

    Args:
        blocks: with as many rows each as there are names.
        rows: the rows' names, to the left of them.
        title: above all.
        caption: what is shown, under the title.

    Returns:
        RGB pixels.

    Raises:
        ValueError: numbers of rows, columns and names differ.
    """
    for block in blocks:
        found, columns = block.pictures.shape[:2]
        if found != len(rows) or columns != len(block.columns):
            raise ValueError(
                f"a block of {found} rows and {columns} columns of pictures came with {len(rows)} and "
                f"{len(block.columns)} names; expected as many"
            )
    widths = [len(block.columns) * (SIDE + _GAP) - _GAP for block in blocks]
    width = 2 * _MARGIN + _NAME_WIDTH + sum(widths) + _BLOCK_GAP * (len(blocks) - 1)
    described = _wrap(caption, width - 2 * _MARGIN)
    headings = [_wrap(block.heading, w) for block, w in zip(blocks, widths, strict=True)]
    heading_lines = max(len(heading) for heading in headings)
    row_height = SIDE + _ROW_GAP + (_LINE if any(block.notes for block in blocks) else 0)
    top = _MARGIN + 24 + _LINE * (len(described) + heading_lines + 1) + 12
    height = top + len(rows) * row_height + _MARGIN

    page = np.full((height, width, 3), 255, np.uint8)
    canvas = _Canvas(width, height)
    canvas.write(title, _MARGIN, _MARGIN + 8, size=_TEXT_SIZE + 2.5)
    for number, line in enumerate(described):
        canvas.write(line, _MARGIN, _MARGIN + 30 + _LINE * number, colour="0.35")
    for number, name in enumerate(rows):
        lines = _wrap(name, _NAME_WIDTH - 16)
        middle = top + number * row_height + SIDE / 2
        for place, line in enumerate(lines):
            y = middle + _LINE * (place - (len(lines) - 1) / 2)
            canvas.write(line, _MARGIN + _NAME_WIDTH - 10, y, align="right")
    left = _MARGIN + _NAME_WIDTH
    for block, lines, block_width in zip(blocks, headings, widths, strict=True):
        for number, line in enumerate(reversed(lines)):
            y = top - 12 - _LINE * (number + 1)
            canvas.write(line, left + block_width / 2, y, align="center", weight="bold")
        for column, name in enumerate(block.columns):
            x = left + column * (SIDE + _GAP)
            canvas.write(name, x + SIDE / 2, top - 11, align="center", colour="0.35")
            for row in range(len(rows)):
                y = top + row * row_height
                page[y : y + SIDE, x : x + SIDE] = resize(block.pictures[row, column], SIDE, SIDE)
        for row, note in enumerate(block.notes):
            y = top + row * row_height + SIDE + 9
            canvas.write(_cut(note, block_width), left, y, colour="0.35")
        left += block_width + _BLOCK_GAP
    return canvas.over(page)


class _Canvas:
    """Text in pixels over a picture of the same size."""

    def __init__(self, width: int, height: int):
        # It takes half a second to load, which a training's first step need not wait for.
        from matplotlib.figure import Figure

        self._figure = Figure(
            figsize=(width / _DOTS_PER_INCH, height / _DOTS_PER_INCH), dpi=_DOTS_PER_INCH
        )
        self._width, self._height = width, height

    def write(
        self,
        text: str,
        x: float | int,
        y: float | int,
        *,
        align: str = "left",
        size: float | int = _TEXT_SIZE,
        colour: str = "black",
        weight: str = "normal",
    ) -> None:
        """Writes a line that is centred at the height y."""
        self._figure.text(
            x / self._width,
            1 - y / self._height,
            # A dollar sign in a class's name is no formula.
            text.replace("$", r"\$"),
            ha=align,
            va="center",
            size=size,
            color=colour,
            weight=weight,
        )

    def over(
        self, page: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """The page with the text on it."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(self._figure)
        canvas.draw()
        drawn = np.array(canvas.buffer_rgba())[: page.shape[0], : page.shape[1], :3]
        # Text never stands on a picture: dark wins.
        return np.minimum(page, drawn)


def _wrap(text: str, pixels: float | int) -> list[str]:
    return textwrap.wrap(text, max(8, int(pixels / _CHARACTER))) or [""]


def _cut(text: str, pixels: float | int) -> str:
    return textwrap.shorten(text, max(8, int(pixels / _CHARACTER)), placeholder=" ...")


def as_colour(frames: UInt8[np.ndarray, "*any c"]) -> UInt8[np.ndarray, "*any 3"]:
    """Pictures of one or three channels as colour."""
    return np.broadcast_to(frames, (*frames.shape[:-1], 3))


def save_png(path: Path, picture: UInt8[np.ndarray, "height width 3"]) -> None:
    """Writes a PNG under another name and renames it: whoever looks never sees half of one.

    Raises:
        OSError: the file cannot be written.
    """
    # At OpenCV's own level, 1, the file is half as large again.
    level = [cv2.IMWRITE_PNG_COMPRESSION, 6]
    encoded, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), level)
    if not encoded:
        raise OSError(f"OpenCV could not encode {path}")
    draft = path.with_name(path.name + ".part")
    draft.write_bytes(data.tobytes())
    draft.replace(path)
