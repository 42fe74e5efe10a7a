"""Every field of the data section is checked, and every mistake is named."""

import pytest

from rgb2ir_jax.data.settings import validate


def test_a_good_section_passes(data):
    validate(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("segments", 0), ("segments", 2.5), ("segments", True), ("crop", 4), ("train_scales", ()),
        ("train_scales", (1.2,)), ("train_reach", -0.5), ("flip_probability", 1.5), ("rgb_jitter", (0.1,)),
        ("ir_jitter", (0.1, 1.0)), ("workers", -1), ("cache", None), ("cache", 1), ("threads", -1), ("prefetch", 0),
        ("dir", ""), ("name", None), ("sampling", "random"), ("frame_stride", 0),
        ("on_device", 1),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_named(data, field, value):
    with data.ignore_type():
        data[field] = value
    with pytest.raises(ValueError, match=rf"config\.data\.{field} is .*expected"):
        validate(data)


def test_all_mistakes_are_named_at_once(data):
    data.segments, data.workers = 0, -3
    del data["prefetch"]
    with pytest.raises(ValueError, match=r"(?s)segments is 0.*workers is -3.*prefetch is missing"):
        validate(data)


def test_a_crop_larger_than_the_picture_is_refused(data):
    data.crop = 40
    with pytest.raises(ValueError, match=r"crop is 40 and config\.data\.resize 36"):
        validate(data)
