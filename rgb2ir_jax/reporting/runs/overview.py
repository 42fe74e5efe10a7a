"""Accuracy of all groups at one glance: a dot a training, a bar at the mean, the paper's number."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rgb2ir_jax.reporting.charts import nice_step
from rgb2ir_jax.reporting.line_chart import line_style
from rgb2ir_jax.reporting.page import Markup, element, join

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP, _BOTTOM = 360, 12, 12, 38, 4, 36


class Row(NamedTuple):
    """A group.

    Attributes:
        label: in words.
        style: number of its colour.
        values: of each training, in percent; at least one.
        published: the paper's numbers, in percent; none where they may not be compared.
    """

    label: str
    style: int
    values: Sequence[float]
    published: Sequence[float] = ()


def overview(rows: Sequence[Row], *, title: str, x_label: str) -> Markup:
    """A figure with a row for each group; at least one row.

    Args:
        rows: The groups.
        title: Above it.
        x_label: The figure and its unit.

    Returns:
        The figure. The axis does not begin at 0: dots are read by place, not by length.
    """
    everything = [value for row in rows for value in (*row.values, *row.published)]
    low, high = min(everything), max(everything)
    room = max(1.0, 0.06 * (high - low))
    low, high = max(0.0, low - room), min(100.0, high + room)
    step = nice_step(max(high - low, 1.0) / 6)
    height = _TOP + _ROW * len(rows) + _BOTTOM
    floor = height - _BOTTOM

    def x(value: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - low) / (high - low), 2)

    drawn: list[Markup] = []
    for k in np.arange(np.ceil(low / step), np.floor(high / step) + 1):
        tick = float(k * step)
        drawn += [
            element("line", x1=x(tick), x2=x(tick), y1=_TOP, y2=floor, stroke="#d0d7de"),
            element("text", f"{tick:.3g}", x=x(tick), y=floor + 15, text_anchor="middle"),
        ]
    drawn += [_row(row, _TOP + _ROW * place, x) for place, row in enumerate(rows)]
    drawn.append(element("text", x_label, x=_WIDTH / 2, y=height - 5, text_anchor="middle"))
    published = any(row.published for row in rows)
    return element(
        "figure",
        element("figcaption", title),
        element(
            "svg",
            drawn,
            viewBox=f"0 0 {_WIDTH} {height}",
            width="100%",
            role="img",
            aria_label=title,
            font_size=11.5,
        ),
        element(
            "p",
            "Dot: a training. Bar: the mean.",
            " Diamond: the paper." if published else None,
            class_="small quiet",
        ),
        class_="overview",
    )


def _row(row: Row, top: int, x: Callable[[float], float]) -> Markup:
    colour, _ = line_style(row.style)
    middle = top + 25
    mean = sum(row.values) / len(row.values)
    marks = [
        element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=top, y2=top, stroke="#eef1f4"),
        # The white outline keeps the axis' lines out of the letters.
        element(
            "text",
            _short(row.label),
            x=_LEFT,
            y=top + 13,
            stroke="#fff",
            stroke_width=4,
            paint_order="stroke",
        ),
        element(
            "line", x1=x(mean), x2=x(mean), y1=middle - 8, y2=middle + 8, stroke=colour,
            stroke_width=3,
        ),
    ]  # fmt: skip
    marks += [
        element("circle", cx=x(value), cy=middle, r=4, fill=colour, fill_opacity=0.6)
        for value in row.values
    ]
    marks += [
        element(
            "path", d=f"M{x(value)} {middle - 6}l6 6l-6 6l-6 -6z", fill="#fff", stroke="#1f2328",
            stroke_width=1.3,
        )
        for value in row.published
    ]  # fmt: skip
    return join(marks)


def _short(label: str, most: int = 56) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"
