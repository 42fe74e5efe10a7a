"""Crops and flips against pictures whose pixels are their coordinates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.data.transforms import (
    Jitter,
    View,
    apply_jitter,
    apply_view,
    center_crop,
    crop_views,
    draw_jitter,
    draw_view,
    resize,
)


def coordinates(height, width):
    """Red tells the column, green the row, as a share of 250."""
    rows, columns = np.mgrid[:height, :width]
    red, green = columns / (width - 1) * 250, rows / (height - 1) * 250
    return np.stack([red, green, red], axis=-1).astype(np.uint8)


def test_a_corner_crop_shows_the_corner():
    crop = apply_view(coordinates(200, 200), View(0.5, 1.0, 0.0, flip=False), 100)
    assert crop.shape == (100, 100, 3)
    assert (crop[0, 0, 0], crop[-1, 0, 1]) == (0, 250)
    assert abs(int(crop[0, 0, 1]) - 125) <= 2
    assert abs(int(crop[0, -1, 0]) - 125) <= 2


def test_a_flip_exchanges_left_and_right():
    picture = coordinates(72, 128)
    view = View(0.875, 0.5, 0.25, flip=False)
    flipped = apply_view(picture, view._replace(flip=True), 64)
    np.testing.assert_array_equal(flipped, apply_view(picture, view, 64)[:, ::-1])


@given(seed=st.integers(0, 2**32), size=st.sampled_from([16, 64]))
def test_a_view_shows_the_same_share_of_both_modalities(seed, size):
    """Vertically the crop is the same share of either, horizontally its place in the room."""
    view = draw_view(np.random.default_rng(seed), (1.0, 0.875, 0.75, 0.66), 0.5)
    rgb = apply_view(coordinates(216, 384), view, size)
    ir = apply_view(coordinates(212, 256)[:, :, :1], view, size)
    assert rgb.shape == (size, size, 3)
    assert ir.shape == (size, size, 1)
    ir_rows = apply_view(coordinates(212, 256), view, size)[:, :, 1]
    assert np.abs(rgb[:, :, 1].astype(int) - ir_rows).max() <= 4
    for picture, width, height in ((rgb, 384, 216), (ir, 256, 212)):
        side = height * view.scale
        left = (width - side) * view.left
        edges = np.array([left, left + side]) / width * 250
        shown = picture[0, [0, -1], 0].astype(float)
        np.testing.assert_allclose(shown[::-1] if view.flip else shown, edges, atol=250 / size + 3)


def test_all_scales_corners_and_flips_are_drawn():
    rng = np.random.default_rng(0)
    views = [draw_view(rng, (1.0, 0.5), 0.25) for _ in range(2000)]
    assert {view.scale for view in views} == {1.0, 0.5}
    assert len({(view.top, view.left) for view in views}) == 13
    assert 0.2 < np.mean([view.flip for view in views]) < 0.3
    assert not any(draw_view(rng, (1.0,), 0.0).flip for _ in range(100))
    assert all(draw_view(rng, (1.0,), 1.0).flip for _ in range(100))


def test_the_centre_crop_is_central_and_exact():
    picture = coordinates(256, 456)
    np.testing.assert_array_equal(center_crop(picture, 256, 224), picture[16:240, 116:340])
    small = center_crop(coordinates(512, 912), 256, 224)
    assert np.abs(small.astype(int) - picture[16:240, 116:340]).max() <= 2
    assert center_crop(coordinates(72, 128), 256, 224).shape == (224, 224, 3)


def test_shrinking_averages():
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    assert np.abs(resize(board, 16, 16).astype(float) - 127.5).max() <= 1


def test_jitter_changes_brightness_then_contrast():
    clip = np.array([100, 120], np.uint8).reshape(1, 1, 2, 1)
    assert apply_jitter(clip, Jitter(1.5, 1.0)).ravel().tolist() == [150, 180]
    assert apply_jitter(clip, Jitter(1.0, 2.0)).ravel().tolist() == [90, 130]
    assert apply_jitter(clip, Jitter(3.0, 1.0)).ravel().tolist() == [255, 255]
    assert apply_jitter(clip, Jitter(1.0, 1.0)) is clip


@pytest.mark.parametrize("strengths", [(0.0, 0.0), (0.4, 0.2)])
def test_jitter_is_drawn_within_its_strengths(strengths):
    rng = np.random.default_rng(0)
    drawn = np.array([draw_jitter(rng, strengths) for _ in range(500)])
    assert (np.abs(drawn - 1) <= np.array(strengths) + 1e-12).all()
    np.testing.assert_allclose(np.abs(drawn - 1).max(axis=0), strengths, rtol=0.05)


@pytest.mark.parametrize("reach", [0.0, 0.25, 1.0])
def test_reach_bounds_how_far_crops_go_to_the_sides(reach: float) -> None:
    rng = np.random.default_rng(0)
    lefts = [draw_view(rng, (1.0, 0.5), 0.5, reach).left for _ in range(500)]
    assert min(lefts) == pytest.approx(0.5 - reach / 2)
    assert max(lefts) == pytest.approx(0.5 + reach / 2)


def test_one_crop_is_the_centre_crop():
    picture = coordinates(108, 192)
    np.testing.assert_array_equal(
        crop_views(picture, 72, 64, 1), center_crop(picture, 72, 64)[None]
    )


@pytest.mark.parametrize(("height", "width"), [(72, 128), (128, 72), (72, 72)])
def test_three_crops_lie_along_the_longer_side(height, width):
    picture = coordinates(height, width)
    crops = crop_views(picture, 72, 64, 3)
    down, right = (height - 64), (width - 64)
    tops, lefts = (0, down // 2, down), (0, right // 2, right)
    places = (
        [(top, lefts[1]) for top in tops] if height > width else [(tops[1], le) for le in lefts]
    )
    expected = [picture[top : top + 64, left : left + 64] for top, left in places]
    # The middle one comes first.
    np.testing.assert_array_equal(crops, np.stack([expected[1], expected[0], expected[2]]))


def test_ten_crops_are_the_middle_the_corners_and_their_mirror_images():
    picture = coordinates(72, 128)[:, :, :1]
    crops = crop_views(picture, 72, 64, 10)
    assert crops.shape == (10, 64, 64, 1)
    places = [(4, 32), (0, 0), (0, 64), (8, 0), (8, 64)]
    for number, (top, left) in enumerate(places):
        square = picture[top : top + 64, left : left + 64]
        np.testing.assert_array_equal(crops[number], square)
        np.testing.assert_array_equal(crops[number + 5], square[:, ::-1])


def test_other_numbers_of_crops_are_refused():
    with pytest.raises(ValueError, match=r"5 crops were asked for; expected one of \(1, 3, 10\)"):
        crop_views(coordinates(72, 128), 72, 64, 5)
