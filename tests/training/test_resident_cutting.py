"""Crops cut on the device against OpenCV itself, which scales the host's."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgb2ir_jax.data.choices import crop_sides
from rgb2ir_jax.data.transforms import View, apply_view, crop_box, resize
from rgb2ir_jax.training.resident.cutting import Window, cut
from rgb2ir_jax.training.resident.taps import AREA, LINEAR, SUM, make_scaling

compiled_cut = jax.jit(cut)
CLIPS, TIME, STORED = 8, 2, 4


def pictures(rng, height, width, channels):
    """Noise, or noise of the extremes alone, which is where rounding overflows."""
    noise = rng.integers(0, 256, (STORED, height, width, channels), np.uint8)
    return np.where(noise > 127, 255, 0).astype(np.uint8) if rng.random() < 0.3 else noise


@functools.cache
def sides_of_all_kinds(short, size, channels):
    """Sides whose tables have as many taps as any, so that one compiled program serves all examples."""
    longest = {}
    for side in range(1, short + 1):
        for kind, axes in make_scaling([side], size, channels).axes.items():
            taps = axes.rows.places.shape[-1]
            longest[kind] = max(longest.get(kind, (0, 0)), (taps, side))
    return tuple(side for _, side in longest.values())


def check(rng, stored, size, sides):
    """Compares clips of random frames, places and flips, each of the sides in turn."""
    height, width, channels = stored.shape[1:]
    scale = rng.integers(0, len(sides), CLIPS, np.int32)
    flip, frames = rng.random(CLIPS) < 0.5, rng.integers(0, STORED, (CLIPS, TIME), np.int32)
    room = np.stack([height - np.take(sides, scale), width - np.take(sides, scale)], axis=1)
    corner = rng.integers(0, room + 1).astype(np.int32)
    scaling = make_scaling(sides, size, channels)
    found = np.asarray(compiled_cut(stored, Window(frames, corner, scale, flip), scaling))
    for clip in range(CLIPS):
        (top, left), side = corner[clip], sides[scale[clip]]
        for time, frame in enumerate(frames[clip]):
            crop = stored[frame, top : top + side, left : left + side]
            expected = resize(crop, size, size)
            expected = expected[:, ::-1] if flip[clip] else expected
            np.testing.assert_array_equal(found[clip, time], expected, err_msg=f"{side} to {size}")


@pytest.mark.parametrize(
    ("height", "width", "size", "channels"),
    # In the second, fourth and last, products fused with sums would be seen within 40 examples.
    [(60, 80, 24, 3), (128, 130, 89, 1), (41, 90, 20, 2), (100, 70, 9, 1), (120, 121, 49, 3)],
)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_crop_is_scaled_as_opencv_scales_it(height, width, size, channels, data):
    short = min(height, width)
    sides = data.draw(st.lists(st.integers(1, short), min_size=4, max_size=4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    sides = [*sides, *sides_of_all_kinds(short, size, channels)]
    check(rng, pictures(rng, height, width, channels), size, sides)


@pytest.mark.parametrize(("width", "channels"), [(340, 3), (309, 1)])
def test_the_papers_crops_are_scaled_as_opencv_scales_them(width, channels):
    rng = np.random.default_rng(width)
    sides = crop_sides((1.0, 0.875, 0.75, 0.66), 256, width)
    assert sides == (256, 224, 192, 169)
    for _ in range(3):
        check(rng, pictures(rng, 256, width, channels), 224, sides)


def test_a_view_is_what_the_host_cuts():
    rng = np.random.default_rng(0)
    stored, scales = pictures(rng, 40, 64, 3), (1.0, 0.875, 0.6)
    views = [View(scales[n % 3], *rng.random(2).tolist(), n % 2 == 0) for n in range(CLIPS)]
    frames = rng.integers(0, STORED, (CLIPS, TIME), np.int32)
    window = Window(
        frames,
        np.array([crop_box(view, 40, 64)[:2] for view in views], np.int32),
        np.array([scales.index(view.scale) for view in views], np.int32),
        np.array([view.flip for view in views]),
    )
    scaling = make_scaling(crop_sides(scales, 40, 64), 32, 3)
    found = compiled_cut(stored, window, scaling)
    expected = [
        [apply_view(stored[f], v, 32) for f in of] for of, v in zip(frames, views, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)


def test_three_pixels_become_two_by_the_share_that_each_covers():
    scaling = make_scaling([3], 2, 1)
    rows, columns = scaling.axes[AREA]
    assert scaling.kind.tolist() == [AREA]
    assert rows.places[0].tolist() == [[0, 1], [1, 2]]
    np.testing.assert_allclose(columns.weights[0], [[2 / 3, 1 / 3], [1 / 3, 2 / 3]], rtol=1e-6)


def test_two_pixels_become_four_by_quarters():
    rows, columns = make_scaling([2], 4, 1).axes[LINEAR]
    # Middles at -1/4, 1/4, 3/4, 5/4 of 2048 parts; rows read the outermost pixel twice.
    assert columns.weights[0].tolist() == [[2048, 0], [1536, 512], [512, 1536], [2048, 0]]
    assert rows.weights[0].tolist() == [[512, 1536], [1536, 512], [512, 1536], [1536, 512]]
    assert rows.places[0].tolist() == [[0, 0], [0, 1], [0, 1], [1, 1]]


def test_halves_and_thirds_are_sums():
    scaling = make_scaling([8, 12, 4], 4, 2)
    assert scaling.kind.tolist() == [SUM, SUM, LINEAR]
    assert scaling.share.tolist() == [0.25, pytest.approx(1 / 9), 1.0]
    # Two channels are rounded to even, one and three are not.
    assert scaling.halves.tolist() == [False, False, False]
    assert make_scaling([8, 12, 4], 4, 3).halves.tolist() == [True, False, False]
