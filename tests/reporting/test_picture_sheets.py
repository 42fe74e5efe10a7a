"""Sheets of pictures: each at its place, maps at their scale, names that need no room they have not."""

import pathlib

import cv2
import numpy as np
import pytest

from rgb2ir_jax.reporting.activation_sheet import Looking, activation_sheet, heat
from rgb2ir_jax.reporting.input_sheet import input_sheet
from rgb2ir_jax.reporting.picture_sheet import SIDE, Block, as_colour, picture_sheet, save_png


def plain(*colours: tuple[int, int, int]) -> np.ndarray:
    """A row of pictures of one colour each."""
    row = np.array(colours, np.uint8)[None, :, None, None]
    return np.broadcast_to(row, (1, len(colours), 8, 8, 3)).copy()


def squares(sheet: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """First and last row and column of a colour."""
    rows, columns = np.nonzero((sheet == np.array(colour, np.uint8)).all(axis=-1))
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_pictures_stand_in_their_order_and_whole() -> None:
    red, green, blue = (200, 30, 30), (30, 200, 30), (30, 30, 200)
    sheet = picture_sheet(
        [Block("one", ["a", "b"], plain(red, green)), Block("two", ["c"], plain(blue), ["note"])],
        ["a clip"],
        title="title",
        caption="caption " * 60,
    )
    places = [squares(sheet, colour) for colour in (red, green, blue)]
    for top, bottom, left, right in places:
        assert (bottom - top + 1, right - left + 1) == (SIDE, SIDE)
    assert len({(top, bottom) for top, bottom, _, _ in places}) == 1
    assert places[0][3] < places[1][2] < places[1][3] < places[2][2]
    assert sheet.shape[1] - places[2][3] < 30
    # Text is there, and nothing else: grey.
    outside = sheet[: places[0][0]].astype(int)
    assert outside.min() < 60
    assert np.ptp(outside, axis=-1).max() == 0


def test_names_must_fit_the_pictures() -> None:
    with pytest.raises(
        ValueError, match="1 rows and 2 columns of pictures came with 1 and 1 names"
    ):
        picture_sheet(
            [Block("one", ["a"], plain((1, 1, 1), (2, 2, 2)))], ["r"], title="", caption=""
        )


@pytest.mark.parametrize("time", [1, 3, 4, 8, 25])
def test_inputs_show_at_most_four_frames_from_first_to_last(time: int) -> None:
    shades = (10 + 9 * np.arange(time)).astype(np.uint8)
    clip = np.broadcast_to(shades[None, :, None, None, None], (1, time, 64, 64, 1))
    sheet = input_sheet({"student sees ir": clip}, ["$5 {hat}/cap \\ " * 3], title="t")
    counts = {int(shade): int((sheet == shade).all(axis=-1).sum()) for shade in shades}
    shown = [shade for shade, count in counts.items() if count >= SIDE * SIDE]
    assert len(shown) == min(time, 4)
    assert (shown[0], shown[-1]) == (shades[0], shades[-1])


def test_a_map_goes_from_black_to_pale_yellow_whatever_its_size() -> None:
    activation = np.array([[5.0, 5.0], [5.0, 7.0]], np.float32)
    picture = heat(activation, 40)
    small, large = heat(1e-4 * activation, 40), heat(1e4 * activation, 40)
    assert np.abs(picture.astype(int) - small).max() <= 1
    assert np.abs(picture.astype(int) - large).max() <= 1
    light = picture.astype(int).sum(axis=-1)
    assert np.unravel_index(light.argmax(), light.shape)[0] > 20
    assert light[0, 0] < 10
    assert light[-1, -1] > 600
    assert heat(np.full((3, 3), 7.0, np.float32), 40).max() <= 4


def test_activations_stand_over_the_frame() -> None:
    colour = (100, 90, 80)
    frame = np.broadcast_to(np.array(colour, np.uint8), (2, 16, 16, 3))
    maps = {"stage1": np.zeros((2, 4, 4), np.float32), "stage4": np.zeros((2, 2, 2), np.float32)}
    maps["stage4"][:, 0, 0] = 3.0
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    look = Looking("student", frame, maps, scores)
    sheet = activation_sheet([look, look], [0, 1], ["drink water", "sit"], title="t").astype(int)
    frames = (sheet == colour).all(axis=-1)
    assert frames.sum() == 4 * SIDE * SIDE
    top, _, left, _ = squares(sheet.astype(np.uint8), colour)
    flat = sheet[top : top + SIDE, left + SIDE + 3 : left + 2 * SIDE + 3]
    assert np.ptp(flat.reshape(-1, 3), axis=0).max() == 0
    last = sheet[top : top + SIDE, left + 2 * (SIDE + 3) : left + 3 * SIDE + 6].sum(axis=-1)
    assert last[0, 0] > 2 * last[-1, -1]


def test_a_png_is_what_was_drawn(tmp_path: pathlib.Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    save_png(tmp_path / "a.png", picture)
    stored = cv2.cvtColor(cv2.imread(str(tmp_path / "a.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(stored, picture)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert as_colour(picture[..., :1]).shape == picture.shape
