"""Charts as inline SVG: they stay sharp on paper, and their text can be read and searched."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from rgb2ir_jax.reporting.page import SERIES_COLOURS, Markup, element

_WIDTH, _HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 8, 40
_FEWEST_BINS = 9


class BarRow(NamedTuple):
    """One bar: its name, a number for each series, and what is written after it."""

    label: str
    values: Sequence[int]
    text: str


def legend(names: Sequence[str]) -> Markup:
    """The names of series beside their colours; nothing where there is one series only."""
    if len(names) < 2:
        return Markup("")
    return element(
        "ul",
        [
            element(
                "li",
                element(
                    "svg",
                    element("rect", width=12, height=12, fill=_colour(series)),
                    width=12,
                    height=12,
                    aria_hidden="true",
                ),
                name,
            )
            for series, name in enumerate(names)
        ],
        class_="legend",
    )


def _colour(series: int) -> str:
    return SERIES_COLOURS[series % len(SERIES_COLOURS)]


def bars(rows: Sequence[BarRow], *, narrow: bool = False) -> Markup:
    """Stacked horizontal bars, one a row, on a scale from 0 to the longest.

    Args:
        rows: The bars; the k-th value of each has the k-th series' colour.
        narrow: For short names (numbers) and many rows: several columns of them.

    Returns:
        A list; its bars are as wide as the page allows.
    """
    longest = max((sum(row.values) for row in rows), default=0) or 1
    return element(
        "ul",
        [_bar(row, longest) for row in rows],
        class_="bars narrow" if narrow else "bars",
        style=f"--value: {max((len(str(row.text)) for row in rows), default=0) + 1}ch",
    )


def _bar(row: BarRow, longest: int) -> Markup:
    pieces, start = [], 0.0
    for series, value in enumerate(row.values):
        if value:
            width = 100 * value / longest
            pieces.append(
                element(
                    "rect", x=f"{start:.3f}", width=f"{width:.3f}", height=1, fill=_colour(series)
                )
            )
            start += width
    drawing = element(
        "svg", pieces, viewBox="0 0 100 1", preserveAspectRatio="none", aria_hidden="true"
    )
    return element(
        "li", element("span", row.label), drawing, element("span", row.text, class_="value")
    )


def bin_edges(values: Shaped[np.ndarray, " value"], most: int = 20) -> Float[np.ndarray, " edge"]:
    """Edges of equally wide bins on round numbers that hold all values.

    Args:
        values: Finite numbers, at least one.
        most: No more bins than this.

    Returns:
        Rising edges; integers get bins of whole width whose edges lie between integers, and room
        about them where there are few.
    """
    low, high = float(values.min()), float(values.max())
    if np.issubdtype(values.dtype, np.integer):
        width = float(max(1, nice_step((high - low + 1) / most)))
        start = np.floor(low / width) * width
        count = int((high - start) // width) + 1
        # Two or three bars as wide as the chart look like the whole story.
        room = max(0, (_FEWEST_BINS - count + 1) // 2)
        return start - 0.5 + width * np.arange(-room, count + room + 1)
    width = nice_step(max(high - low, abs(high) * 1e-6, 1e-9) / (most - 1))
    start = np.floor(low / width)
    count = int(np.floor(high / width) - start) + 1
    return width * (start + np.arange(count + 1))


def nice_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, 50, ... (and .5, .2, .1, ...) that is not below `least`."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9)))


def histogram(
    series: Mapping[str, Shaped[np.ndarray, " value"]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    edges: Float[np.ndarray, " edge"] | None = None,
) -> Markup:
    """A histogram with the series stacked, as a figure with title, axes and units.

    Args:
        series: The values of each, finite; at least one value in all.
        title: Above it.
        x_label: What is counted, with its unit.
        y_label: What a bar's height counts.
        edges: Bins; None chooses them by all values.

    Returns:
        The figure.
    """
    if edges is None:
        edges = bin_edges(np.concatenate(list(series.values())))
    counts = np.stack([np.histogram(values, edges)[0] for values in series.values()])
    return element(
        "figure",
        element("figcaption", title),
        element(
            "svg",
            _axes(edges, int(counts.sum(0).max()), x_label, y_label),
            _columns(counts, edges),
            viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
            width="100%",
            role="img",
            aria_label=f"{title}: {y_label} by {x_label}",
            font_size=11.5,
        ),
    )


def _x(value: float, edges: Float[np.ndarray, " edge"]) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - edges[0]) / (edges[-1] - edges[0])


def _y(count: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * count / top


def _ticks(low: float, high: float, wanted: int, whole: bool) -> list[float]:
    step = nice_step((high - low) / wanted)
    if whole:
        step = max(1.0, step)
    first = np.ceil(low / step - 1e-9)
    # Adding 0 makes -0 a 0.
    return [float(step * k) + 0.0 for k in np.arange(first, np.floor(high / step + 1e-9) + 1)]


def _top(most: int) -> float:
    """The first tick that no bar exceeds."""
    step = max(1.0, nice_step(most / 4))
    return float(step * np.ceil(most / step))


def _axes(edges: Float[np.ndarray, " edge"], most: int, x_label: str, y_label: str) -> list[Markup]:
    top = _top(most)
    right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    drawn = []
    for tick in _ticks(0.0, top, 5, whole=True):
        y = round(_y(tick, top), 2)
        drawn += [
            element("line", x1=_LEFT, x2=right, y1=y, y2=y, stroke="#d0d7de", stroke_width=1),
            element("text", f"{tick:,.0f}", x=_LEFT - 5, y=y + 4, text_anchor="end"),
        ]
    # Integers' bins have their edges between integers, where a tick would stand beside its bar.
    whole = bool(edges[0] % 1 == 0.5 and (edges[1] - edges[0]) % 1 == 0)
    for tick in _ticks(float(edges[0]), float(edges[-1]), 6, whole):
        x = round(_x(tick, edges), 2)
        drawn += [
            element("line", x1=x, x2=x, y1=floor, y2=floor + 4, stroke="#57606a"),
            element("text", f"{tick:,.4g}", x=x, y=floor + 16, text_anchor="middle"),
        ]
    middle = (_TOP + floor) / 2
    drawn += [
        element("line", x1=_LEFT, x2=right, y1=floor, y2=floor, stroke="#57606a"),
        element("text", x_label, x=(_LEFT + right) / 2, y=_HEIGHT - 6, text_anchor="middle"),
        element(
            "text",
            y_label,
            x=11,
            y=middle,
            text_anchor="middle",
            transform=f"rotate(-90 11 {middle})",
        ),
    ]
    return drawn


def _columns(
    counts: Int[np.ndarray, "series bin"], edges: Float[np.ndarray, " edge"]
) -> list[Markup]:
    top = _top(int(counts.sum(0).max()))
    below = np.cumsum(counts, axis=0) - counts
    gap = 0.5 if len(edges) > 2 else 0.0
    drawn = []
    for series, row in enumerate(counts):
        for place, count in enumerate(row.tolist()):
            if not count:
                continue
            left, right = _x(edges[place], edges) + gap, _x(edges[place + 1], edges) - gap
            foot = float(below[series, place])
            bottom = _y(foot, top)
            height = bottom - _y(foot + count, top)
            drawn.append(
                element(
                    "rect",
                    x=f"{left:.2f}",
                    y=f"{bottom - height:.2f}",
                    width=f"{right - left:.2f}",
                    height=f"{height:.2f}",
                    fill=_colour(series),
                )
            )
    return drawn
