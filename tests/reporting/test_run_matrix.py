"""The confusion matrix: each shade covers the cells that have its share, and numbers stand in them."""

import html.parser
import re

import numpy as np
import pytest

from rgb2ir_jax.reporting.runs.matrix import confusion_matrix


class Parts(html.parser.HTMLParser):
    """Squares by colour, and texts with their places."""

    def __init__(self, markup):
        super().__init__()
        self.squares, self.rects, self.texts, self._at = {}, [], [], None
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self._at = (float(attrs["x"]), float(attrs["y"])) if tag == "text" else None
        if tag == "path":
            found = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", attrs["d"])
            self.squares[attrs["fill"]] = [tuple(map(float, place)) for place in found]
        if tag == "rect":
            self.rects.append(attrs)

    def handle_data(self, data):
        if self._at:
            self.texts.append((data, *self._at))


def test_cells_have_the_shade_and_the_number_of_their_share():
    parts = Parts(confusion_matrix(np.array([[3, 1], [0, 4]]), ["up", "down"], title="t"))
    left, top, side = 128.0, 16.0, 112.0
    assert parts.squares == {
        # 25%, 75% and 100% between (247, 251, 255) and (8, 48, 107).
        "#bbc8da": [(left + side, top, side)],
        "#446390": [(left, top, side)],
        "#08306b": [(left + side, top + side, side)],
    }
    inside = {(text, x, y) for text, x, y in parts.texts if x > left and y > top}
    assert inside == {
        ("75", left + side / 2, top + side / 2 + 3),
        ("25", left + 1.5 * side, top + side / 2 + 3),
        ("100", left + 1.5 * side, top + 1.5 * side + 3),
    }
    assert {"up 1", "down 2"} <= {text for text, *_ in parts.texts}


def test_classes_without_clips_are_grey():
    counts = np.array([[2, 0, 0], [0, 0, 0], [0, 0, 5]])
    parts = Parts(confusion_matrix(counts, ["a", "b", "c"], title="t"))
    grey = [rect for rect in parts.rects if rect["fill"] == "#d8dce0"]
    assert len(grey) == 1
    assert float(grey[0]["y"]) == pytest.approx(16 + (360 - 128 - 8) / 3, abs=0.06)


def test_every_cell_of_many_classes_is_drawn_once():
    counts = np.random.default_rng(0).integers(1, 9, (60, 60))
    markup = confusion_matrix(counts, [f"class {k}" for k in range(60)], title="t")
    assert sum(map(len, Parts(markup).squares.values())) == 3600
    assert [text for text, _, y in Parts(markup).texts if y == 12] == [
        "1",
        *map(str, range(5, 61, 5)),
    ]
    assert len(markup) < 150_000
