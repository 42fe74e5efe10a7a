"""Charts: their lengths are the numbers'."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.reporting.charts import BarRow, bars, bin_edges, histogram, legend, nice_step
from rgb2ir_jax.reporting.page import SERIES_COLOURS


def rects(markup, colour):
    """The rectangles of a colour, as (x, y, width, height)."""
    return [
        tuple(float(rect.get(name, 0)) for name in ("x", "y", "width", "height"))
        for rect in ElementTree.fromstring(markup).iter("rect")
        if rect.get("fill") == colour
    ]


def test_histogram_heights_are_numpys_counts():
    rng = np.random.default_rng(0)
    series = {"train": rng.normal(5, 1, 300), "test": rng.normal(6, 1, 100)}
    edges = np.linspace(0, 10, 11)
    drawn = histogram(series, title="t", x_label="x", y_label="y", edges=edges)
    train, test = (rects(drawn, colour) for colour in SERIES_COLOURS[:2])
    expected = {name: np.histogram(values, edges)[0] for name, values in series.items()}
    unit = train[0][3] / expected["train"][expected["train"] > 0][0]
    for name, found in (("train", train), ("test", test)):
        counts = expected[name][expected[name] > 0]
        np.testing.assert_allclose([height / unit for *_, height in found], counts, rtol=0.05)
    # The second series stands upon the first: where both are, its foot is the first one's top.
    tops = {round(x, 1): y for x, y, _, _ in train}
    feet = {round(x, 1): y + height for x, y, _, height in test}
    both = tops.keys() & feet.keys()
    assert both
    assert all(feet[x] == pytest.approx(tops[x], abs=0.02) for x in both)


def test_histogram_has_title_units_and_text_for_readers():
    drawn = histogram(
        {"a": np.array([1, 2, 2])}, title="Lengths <1>", x_label="frames", y_label="clips"
    )
    root = ElementTree.fromstring(drawn)
    assert root.find("figcaption").text == "Lengths <1>"
    texts = [text.text for text in root.iter("text")]
    assert {"frames", "clips"} <= set(texts)
    assert root.find("svg").get("aria-label") == "Lengths <1>: clips by frames"


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=50))
def test_bins_hold_all_whole_numbers(values):
    values = np.array(values, np.int64)
    edges = bin_edges(values)
    assert np.histogram(values, edges)[0].sum() == len(values)
    widths = np.diff(edges)
    assert (widths == widths[0]).all()
    assert widths[0] % 1 == 0
    assert not set(edges.tolist()) & set(values.tolist()), "no number lies on an edge"
    assert len(widths) <= 22


@given(st.lists(st.floats(1e-3, 1e5), min_size=1, max_size=50))
def test_bins_hold_all_fractions(values):
    values = np.array(values)
    edges = bin_edges(values)
    assert np.histogram(values, edges)[0].sum() == len(values)
    assert len(edges) <= 23


@given(st.floats(1e-6, 1e9))
def test_steps_are_round_and_large_enough(least):
    step = nice_step(least)
    assert step >= least * (1 - 1e-6)
    assert step <= least * 2.5 * (1 + 1e-6)
    assert round(step / 10 ** np.floor(np.log10(step) + 1e-9), 6) in (1, 2, 5)


def test_bars_are_as_long_as_their_numbers():
    rows = [BarRow("a", (3, 1), "x"), BarRow("b & c", (0, 2), "y"), BarRow("none", (0, 0), "0")]
    drawn = bars(rows)
    first, second = (rects(drawn, colour) for colour in SERIES_COLOURS[:2])
    assert [(x, width) for x, _, width, _ in first] == [(0, 75)]
    assert [(x, width) for x, _, width, _ in second] == [(75, 25), (0, 50)]
    labels = [row.find("span").text for row in ElementTree.fromstring(drawn)]
    assert labels == ["a", "b & c", "none"]


def test_a_legend_names_more_than_one_series():
    assert legend(["train"]) == ""
    names = [item.find("svg").tail for item in ElementTree.fromstring(legend(["train", "<b>"]))]
    assert names == ["train", "<b>"]


def test_nothing_at_all_can_be_drawn():
    assert bars([]) == '<ul class="bars" style="--value: 1ch"></ul>'
