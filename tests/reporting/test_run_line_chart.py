"""Line charts: everything lies where the axes say, whatever floats a file holds."""

import html.parser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.reporting.line_chart import Line, line_chart, line_legend, line_style


class Drawing(html.parser.HTMLParser):
    """The lines, ticks and texts of a chart."""

    def __init__(self, markup):
        super().__init__()
        self.lines, self.texts, self.grid, self._at = [], [], {}, None
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self._at = attrs if tag in ("text", "p", "figcaption") else None
        if tag == "polyline":
            pairs = [pair.split(",") for pair in attrs["points"].split()]
            self.lines.append(np.array(pairs, float))

    def handle_data(self, data):
        self.texts.append(data)
        # Ticks of the y axis stand to its left, four below their line.
        if self._at and self._at.get("text-anchor") == "end":
            self.grid[float(data)] = float(self._at["y"]) - 4


def draw(*lines, **more):
    series = [Line(style, np.array(x, float), np.array(y, float)) for style, x, y in lines]
    return Drawing(line_chart(series, title="T", x_label="epoch", y_label="%", **more))


def test_points_lie_where_the_ticks_say():
    drawn = draw((0, [0, 5, 10], [10.0, 20.0, 40.0]))
    assert {"T", "epoch", "%"} <= set(drawn.texts)
    # The picture within the axes begins at the height of 4.
    heights = drawn.lines[0][:, 1] + 4
    for value, height in zip([10, 20, 40], heights, strict=True):
        assert height == pytest.approx(drawn.grid[value], abs=0.06)
    steps = np.diff(drawn.lines[0][:, 0])
    assert steps[0] == pytest.approx(steps[1], abs=0.11)
    assert drawn.grid.keys() == {0, 10, 20, 30, 40}


def test_long_series_are_averaged_in_equal_stretches():
    x = np.arange(1000.0)
    y = np.where(x % 2, 3.0, 1.0)
    drawn = draw((0, x, y), most_points=100)
    assert len(drawn.lines[0]) == 100
    assert drawn.lines[0][:, 1] + 4 == pytest.approx(np.full(100, drawn.grid[2]), abs=0.06)


def test_one_spike_does_not_flatten_the_rest():
    drawn = draw((0, range(100), [1.0] * 99 + [1e6]))
    assert max(drawn.grid) <= 2
    assert "1 values above the axis, up to 1e+06" in drawn.texts


@given(
    st.lists(
        st.lists(
            st.floats(allow_nan=False, allow_infinity=False)
            | st.sampled_from([0.0, 1e308, 5e-324]),
            min_size=1,
            max_size=5,
        ),
        min_size=1,
        max_size=3,
    ),
    st.floats(0, 1e308),
)
def test_any_floats_can_be_drawn(values, first):
    drawn = draw(*[(k, first + np.arange(len(v)), v) for k, v in enumerate(values)])
    assert len(drawn.lines) == len(values)
    assert 1 <= len(drawn.grid) <= 12
    for line in drawn.lines:
        assert np.isfinite(line).all()
        assert ((line[:, 0] >= -0.1) & (line[:, 0] <= 299)).all()
        assert (line[:, 1] <= 177).all()


def test_styles_are_told_apart():
    assert len({line_style(style) for style in range(24)}) == 24
    assert {"a", "b"} <= set(Drawing(line_legend(["a", "b"])).texts)
