"""Line charts as inline SVG: many runs in one, told apart by colour and dash."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.reporting.charts import nice_step
from rgb2ir_jax.reporting.page import SERIES_COLOURS, Markup, element

_WIDTH, _HEIGHT = 360, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 8, 40
_DASHES = (None, "7 3", "2 2.5", "9 3 2 3")
# Points that are few are measurements, which dots show; a line alone would invent what is between.
_MOST_DOTS = 40
# Beyond this multiple of what nearly all values stay below, the axis ends: one spike hides all else.
_SPIKE = 8.0
# Files may hold any float: beyond these ends, differences overflow or vanish.
_LARGEST, _SMALLEST_RANGE = 1e100, 1e-100


class Line(NamedTuple):
    """A series.

    Attributes:
        style: the number of its colour and dash; series of one kind share it.
        x: (point,) rising.
        y: (point,) finite.
    """

    style: int
    x: Float[np.ndarray, " point"]
    y: Float[np.ndarray, " point"]


def line_style(style: int) -> tuple[str, str | None]:
    """The colour and the SVG dash pattern of a kind of series; all pairs are used before one returns."""
    dash = _DASHES[style // len(SERIES_COLOURS) % len(_DASHES)]
    return SERIES_COLOURS[style % len(SERIES_COLOURS)], dash


def line_legend(names: Sequence[str]) -> Markup:
    """The names of kinds of series, in the order of their styles, beside a piece of their line."""
    return element(
        "ul",
        [element("li", line_swatch(style), name) for style, name in enumerate(names)],
        class_="legend",
    )


def line_swatch(style: int) -> Markup:
    """A piece of a line."""
    colour, dash = line_style(style)
    stroke = element(
        "line", x1=0, x2=26, y1=6, y2=6, stroke=colour, stroke_width=3, stroke_dasharray=dash
    )
    return element("svg", stroke, width=26, height=12, aria_hidden="true")


def line_chart(
    lines: Sequence[Line], *, title: str, x_label: str, y_label: str, most_points: int = 300
) -> Markup:
    """A figure with title, axes and units.

    Args:
        lines: The series; at least one point in all.
        title: Above it.
        x_label: What x is, with its unit.
        y_label: What y is, with its unit.
        most_points: A longer series is averaged in so many stretches of equal length.

    Returns:
        The figure. Its y axis begins at 0 unless values are negative, or all far from 0; values
        beyond its end (single spikes) are said to be there under the figure.
    """
    drawn = [_thin(_bounded(line), most_points) for line in lines if len(line.x)]
    x_low, x_high = _span(np.concatenate([line.x for line in drawn]))
    values = np.concatenate([line.y for line in drawn])
    y_low, y_high, beyond = _y_range(values)
    plane = _Plane(min(0.0, x_low), x_high, y_low, y_high)
    note = None
    if beyond:
        highest = f"{float(values.max()):.3g}"
        note = element("p", f"{beyond:,} values above the axis, up to {highest}", class_="beyond")
    return element(
        "figure",
        element("figcaption", title),
        element(
            "svg",
            _axes(plane, x_label, y_label),
            # A nested picture cuts off what leaves the axes.
            element(
                "svg",
                [_draw(line, plane) for line in drawn],
                x=_LEFT,
                y=_TOP - 4,
                width=_WIDTH - _LEFT - _RIGHT + 4,
                height=_HEIGHT - _TOP - _BOTTOM + 8,
            ),
            viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
            width="100%",
            role="img",
            aria_label=f"{title}: {y_label} by {x_label}",
            font_size=11.5,
        ),
        note,
    )


class _Plane(NamedTuple):
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * share

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def _bounded(line: Line) -> Line:
    x, y = (np.clip(values, -_LARGEST, _LARGEST) for values in (line.x, line.y))
    return Line(line.style, x, y)


def _thin(line: Line, most: int) -> Line:
    if len(line.x) <= most:
        return line
    edges = np.linspace(0, len(line.x), most + 1).astype(int)[:-1]
    sizes = np.diff([*edges, len(line.x)])
    return Line(
        line.style,
        np.add.reduceat(line.x, edges) / sizes,
        np.add.reduceat(line.y, edges) / sizes,
    )


def _span(values: Float[np.ndarray, " value"]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if _differ(low, high) else (low - _room(low), high + _room(high))


def _differ(low: float, high: float) -> bool:
    return high - low > max(_SMALLEST_RANGE, 1e-9 * max(abs(low), abs(high)))


def _room(value: float) -> float:
    return abs(value) * 0.1 if abs(value) > _SMALLEST_RANGE else 1.0


def _y_range(values: Float[np.ndarray, " value"]) -> tuple[float, float, int]:
    """The ends of the axis on round numbers, and how many values lie above."""
    low, high = float(values.min()), float(values.max())
    usual = float(np.quantile(values, 0.97))
    beyond = 0
    if low >= 0 and usual > 0 and high > _SPIKE * usual:
        high = 1.5 * usual
        beyond = int((values > high).sum())
    # A curve far from 0 would be a flat line under an axis that begins there.
    if 0 < low < high and high - low > 0.25 * high:
        low = 0.0
    if not _differ(low, high):
        low, high = low - _room(low), high + _room(high)
    step = nice_step((high - low) / 4)
    return float(step * np.floor(low / step)), float(step * np.ceil(high / step)), beyond


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    step = nice_step((high - low) / wanted)
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    # Adding 0 makes -0 a 0.
    return [float(step * k) + 0.0 for k in np.arange(first, last + 1)]


def _axes(plane: _Plane, x_label: str, y_label: str) -> list[Markup]:
    right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    drawn = []
    for tick in _ticks(plane.y_low, plane.y_high, 5):
        y = round(plane.y(tick), 2)
        drawn += [
            element("line", x1=_LEFT, x2=right, y1=y, y2=y, stroke="#d0d7de", stroke_width=1),
            element("text", f"{tick:.4g}", x=_LEFT - 5, y=y + 4, text_anchor="end"),
        ]
    for tick in _ticks(plane.x_low, plane.x_high, 6):
        x = round(plane.x(tick), 2)
        drawn += [
            element("line", x1=x, x2=x, y1=floor, y2=floor + 4, stroke="#57606a"),
            element("text", f"{tick:,.6g}", x=x, y=floor + 16, text_anchor="middle"),
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


def _draw(line: Line, plane: _Plane) -> list[Markup]:
    colour, dash = line_style(line.style)
    # Far above the cut a coordinate need not be exact, but it must stay one that browsers take.
    points = [
        (plane.x(x) - _LEFT, max(plane.y(y) - _TOP + 4, -1e4))
        for x, y in zip(line.x.tolist(), line.y.tolist(), strict=True)
    ]
    drawn = [
        element(
            "polyline",
            points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
            fill="none",
            stroke=colour,
            stroke_width=1.6,
            stroke_linejoin="round",
            stroke_dasharray=dash,
            stroke_opacity=0.85,
        )
    ]
    if len(points) <= _MOST_DOTS:
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
        # A line of no length with round ends is a dot, and a path holds all of them.
        drawn.append(element("path", d=dots, stroke=colour, stroke_width=4, stroke_linecap="round"))
    return drawn
