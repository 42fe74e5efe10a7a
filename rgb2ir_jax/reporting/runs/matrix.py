"""A confusion matrix as inline SVG: as sharp on paper as on a phone, a hundred kilobytes at most."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from rgb2ir_jax.reporting.page import Markup, element, join

MOST_CLASSES = 150
"""Of a matrix that is drawn."""

_WIDTH, _RIGHT = 360, 8  # The last column's number is wider than its column.
_NAMED, _NUMBERED = 24, 12  # Classes up to which rows carry names, and cells numbers.
# From white to the dark end of matplotlib's "Blues"; also told apart in grey.
_SHADES = 20
_LIGHT, _DARK = np.array([247, 251, 255]), np.array([8, 48, 107])
_WHITE_TEXT_ABOVE = 0.5


def _colour(share: float) -> str:
    red, green, blue = (_LIGHT + (_DARK - _LIGHT) * share).round().astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def _swatch(share: float) -> Markup:
    square = element("rect", width=14, height=12, fill=_colour(share), stroke="#d0d7de")
    return element("svg", square, width=14, height=12, aria_hidden="true")


LEGEND = element(
    "ul",
    [element("li", _swatch(share), f"{100 * share:.0f}%") for share in (0.0, 0.25, 0.5, 0.75, 1.0)],
    element("li", "of the true class's test clips"),
    class_="legend",
)
"""What the shades mean, for all matrices of a page."""


def confusion_matrix(
    counts: Int[np.ndarray, "classes classes"], class_names: Sequence[str], *, title: str
) -> Markup:
    """A figure of a matrix, each row in percent of the true class's clips.

    Few classes have their names beside the rows and numbers in the cells; many have every fifth
    number. Rows of classes without clips stay grey.

    Args:
        counts: (true, predicted) numbers of clips.
        class_names: one a class.
        title: above it.
    """
    classes = len(class_names)
    left = 128.0 if classes <= _NAMED else 26.0
    top = 16.0
    side = (_WIDTH - left - _RIGHT) / classes
    clips = counts.sum(axis=1)
    shares = counts / np.maximum(clips, 1)[:, None]
    every = 1 if classes <= _NAMED else 5 if classes <= 75 else 10
    drawn = [
        element(
            "rect", x=left, y=top, width=side * classes, height=side * classes, fill=_colour(0.0)
        ),
        _empty_rows(clips, left, top, side, classes),
        _cells(shares, left, top, side),
    ]
    for place in range(classes):
        if place and (place + 1) % every:
            continue
        middle = (place + 0.5) * side
        row = f"{place + 1}"
        if classes <= _NAMED:
            row = _short(f"{class_names[place]} {place + 1}")
        drawn += [
            element("text", row, x=left - 4, y=f"{top + middle + 3.5:.1f}", text_anchor="end"),
            element("text", place + 1, x=f"{left + middle:.1f}", y=top - 4, text_anchor="middle"),
        ]
    if classes <= _NUMBERED:
        drawn.append(_numbers(shares, clips, left, top, side))
    accuracy = 100 * float(np.trace(counts)) / max(1, int(counts.sum()))
    return element(
        "figure",
        element("figcaption", title),
        element(
            "svg",
            drawn,
            viewBox=f"0 0 {_WIDTH} {top + side * classes + 1:.0f}",
            width="100%",
            role="img",
            aria_label=f"Confusion matrix of {title}: {accuracy:.1f}% on the diagonal",
            font_size=10,
        ),
    )


def _cells(shares: np.ndarray, left: float, top: float, side: float) -> Markup:
    """One path for each shade: a matrix of a hundred classes has ten thousand cells."""
    levels = np.ceil(shares * _SHADES).astype(int)
    paths = []
    for level in range(1, _SHADES + 1):
        squares = "".join(
            f"M{left + column * side:.1f} {top + row * side:.1f}h{side:.1f}v{side:.1f}h-{side:.1f}z"
            for row, column in np.argwhere(levels == level).tolist()
        )
        if squares:
            paths.append(element("path", d=squares, fill=_colour(level / _SHADES)))
    return join(paths)


def _empty_rows(clips: np.ndarray, left: float, top: float, side: float, classes: int) -> Markup:
    return join(
        element(
            "rect",
            x=left,
            y=f"{top + row * side:.1f}",
            width=f"{side * classes:.1f}",
            height=f"{side:.1f}",
            fill="#d8dce0",
        )
        for row in np.flatnonzero(clips == 0).tolist()
    )


def _numbers(shares: np.ndarray, clips: np.ndarray, left: float, top: float, side: float) -> Markup:
    return join(
        element(
            "text",
            f"{100 * shares[row, column]:.0f}",
            x=f"{left + (column + 0.5) * side:.1f}",
            y=f"{top + (row + 0.5) * side + 3:.1f}",
            text_anchor="middle",
            font_size=8.5,
            style="fill:#fff" if shares[row, column] > _WHITE_TEXT_ABOVE else None,
        )
        for row in np.flatnonzero(clips).tolist()
        for column in range(shares.shape[1])
        if shares[row, column] >= 0.005
    )


def _short(name: str, most: int = 24) -> str:
    if len(name) <= most:
        return name
    words, number = name.rsplit(" ", 1)
    return f"{words[: most - len(number) - 2]}… {number}"
