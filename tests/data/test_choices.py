"""Batches without pixels name the very pixels that the batches with them show."""

import cv2
import numpy as np
import pytest

from rgb2ir_jax.data.choices import crop_sides
from rgb2ir_jax.data.frame_cache import cached_split
from rgb2ir_jax.data.pipeline import train_choices, train_iterator
from rgb2ir_jax.data.settings import validate_on_device

BOTH = ("rgb", "ir")


@pytest.fixture
def cached(data, tmp_path):
    data.cache = str(tmp_path / "cache")
    return data


def taken(iterator, count):
    with iterator:
        return [next(iterator) for _ in range(count)], iterator.get_state()


@pytest.mark.parametrize("fields", [{}, {"sampling": "dense", "threads": 2, "workers": 2}])
def test_cutting_by_the_numbers_gives_the_batches(cached, fields):
    cached.update(fields)
    choices, state = taken(train_choices(cached, 7, 8, BOTH), 4)
    cached.workers = 0
    batches, expected_state = taken(train_iterator(cached, 7, 8, BOTH), 4)
    assert state == expected_state
    stacks = {m: cached_split(cached, "train", BOTH).file(m).together() for m in BOTH}
    assert {m: stack.shape for m, stack in stacks.items()} == {
        "rgb": (22 * 40, 36, 64, 3),
        "ir": (22 * 25, 40, 48, 1),
    }
    flips = set()
    for choice, batch in zip(choices, batches, strict=True):
        for name in ("label", "mask", "index"):
            assert choice[name].dtype == batch[name].dtype
            np.testing.assert_array_equal(choice[name], batch[name])
        for modality in BOTH:
            sides = crop_sides(cached.train_scales, *stacks[modality].shape[1:3])
            for row, (scale, flip) in enumerate(choice["view"]):
                flips.add(bool(flip))
                top, left = choice[f"{modality}_corner"][row]
                side = sides[scale]
                for number, shown in zip(
                    choice[f"{modality}_frames"][row], batch[modality][row], strict=True
                ):
                    crop = stacks[modality][number, top : top + side, left : left + side]
                    kind = cv2.INTER_AREA if side > 32 else cv2.INTER_LINEAR
                    square = cv2.resize(crop, (32, 32), interpolation=kind).reshape(shown.shape)
                    np.testing.assert_array_equal(square[:, ::-1] if flip else square, shown)
    assert flips == {False, True}


def test_dense_clips_of_both_modalities_begin_at_the_same_moment(cached):
    cached.update({"sampling": "dense", "frame_stride": 2})
    choices, _ = taken(train_choices(cached, 7, 8, BOTH), 6)
    # Each clip has 40 RGB and 25 infrared frames, one after the other.
    moments = [(c["rgb_frames"][:, 0] % 40 / 40, c["ir_frames"][:, 0] % 25 / 25) for c in choices]
    assert max(np.abs(rgb - ir).max() for rgb, ir in moments) < 1 / 25
    assert len(set(np.concatenate([ir for _, ir in moments]).tolist())) > 5


def test_sides_are_shares_of_the_short_side():
    assert crop_sides((1.0, 0.875, 0.75, 0.66), 256, 455) == (256, 224, 192, 169)
    assert crop_sides((1.0, 0.05), 40, 9) == (9, 1)


def test_frames_that_are_not_decoded_are_not_there_to_choose(data):
    with pytest.raises(ValueError, match=r"config\.data\.cache is empty"):
        train_choices(data, 7, 8, BOTH)


def test_all_that_frames_on_the_device_lack_is_named(data):
    validate_on_device(data)
    data.rgb_jitter = (0.0, 0.2)
    data.on_device = False
    validate_on_device(data)
    data.on_device = True
    with pytest.raises(
        ValueError, match=r"cache is empty.*rgb_jitter is \(0\.0, 0\.2\).*on_device=F"
    ):
        validate_on_device(data)
