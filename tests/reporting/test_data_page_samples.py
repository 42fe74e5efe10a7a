"""Sample strips are what the input pipeline gives, and the drawn crops are what it cuts out."""

import ml_collections
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import ntu
from rgb2ir_jax.data import transforms
from rgb2ir_jax.data.pipeline import eval_batches, train_iterator
from rgb2ir_jax.data.source import open_split
from rgb2ir_jax.reporting.data_sets.samples import center_box, choose_clips, look_at_clip, view_box
from rgb2ir_jax.reporting.data_sets.statistics import read_statistics
from rgb2ir_jax.reporting.data_sets.strips import BUDGET, picture_side, sample_section


@pytest.fixture(scope="module")
def data(records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    clips = [
        records.make(f"c{i}", i % 3, rgb_frames=9 + i, ir_frames=12, size=(24, 40))
        for i in range(9)
    ]
    records.build(folder, ["a", "b", "c", "d"], {"train": clips[:6], "test": clips[6:]})
    data = ml_collections.ConfigDict(ntu.get_config().data.to_dict())
    data.update(
        {"name": "paired_clips", "config": "default", "dir": str(folder), "segments": 4}
        | {"resize": 20, "crop": 16, "threads": 0, "rgb_jitter": (0.4, 0.4)}
    )
    return data


@pytest.fixture(scope="module")
def sources(data):
    return {split: open_split(data, split) for split in ("train", "test")}


@pytest.fixture(scope="module")
def statistics(sources):
    return read_statistics(["a", "b", "c", "d"], sources)


def test_a_clip_of_each_class_is_chosen(statistics):
    chosen = choose_clips(statistics, seed=0)
    assert [clip.label for clip in chosen] == [0, 1, 2]
    assert {clip.split for clip in chosen} == {"train"}
    seen = {choose_clips(statistics, seed=seed)[0].sample_id for seed in range(20)}
    assert seen == {"c0", "c3"}


def test_strips_are_the_pipelines_frames(data, sources, statistics):
    seed = 3
    test = next(iter(eval_batches(data, "train", 6, ("rgb", "ir"))))
    with train_iterator(data, seed, 6, ("rgb", "ir")) as batches:
        train = next(batches)
    for clip in (clip for clip in statistics.clips if clip.split == "train"):
        sample = look_at_clip(sources["train"], clip, data, seed)
        row = train["index"].tolist().index(clip.number)
        for modality, strip in sample.strips.items():
            np.testing.assert_array_equal(strip.test, test[modality][clip.number])
            np.testing.assert_array_equal(strip.train, train[modality][row, 2])


def test_the_drawn_crop_is_what_training_cuts_out(data, sources, statistics):
    plain = ml_collections.ConfigDict(data.to_dict())
    plain.rgb_jitter = (0.0, 0.0)
    flips = set()
    for clip in statistics.clips:
        sample = look_at_clip(sources[clip.split], clip, plain, seed=5)
        flips.add(sample.flip)
        for strip in sample.strips.values():
            left, top, side = map(int, strip.train_box)
            cut = transforms.resize(strip.full[top : top + side, left : left + side], 16, 16)
            np.testing.assert_array_equal(cut[:, ::-1] if sample.flip else cut, strip.train)
    assert flips == {True, False}


@given(
    st.integers(8, 60),
    st.integers(8, 60),
    st.sampled_from([1.0, 0.875, 0.66]),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_view_boxes_are_the_transforms(height, width, scale, top, left):
    picture = np.arange(height * width, dtype=np.uint32).reshape(height, width, 1)
    code = (picture % 251).astype(np.uint8)
    view = transforms.View(scale, top, left, False)
    box = view_box(height, width, view)
    assert box.side == round(min(height, width) * scale)
    x, y, side = map(int, box)
    cut = transforms.apply_view(code, view, side)
    np.testing.assert_array_equal(code[y : y + side, x : x + side], cut)


def test_center_boxes_are_the_transforms_where_nothing_is_scaled():
    picture = np.arange(40 * 60, dtype=np.uint32).reshape(40, 60, 1)
    code = (picture % 251).astype(np.uint8)
    x, y, side = map(int, center_box(40, 60, 40, 32))
    np.testing.assert_array_equal(
        code[y : y + side, x : x + side], transforms.center_crop(code, 40, 32)
    )
    assert center_box(80, 120, 40, 32) == (28, 8, 64)


def test_the_budget_bounds_the_pictures():
    assert picture_side(10, 224) == 224
    many = 60 * 2 * 11
    side = picture_side(many, 224)
    assert 64 <= side < 224
    assert many * (side**2 * 0.4 + 1000) <= BUDGET
    assert picture_side(10**6, 224) == 64


def test_a_section_stops_at_its_budget(data, sources, statistics, monkeypatch):
    chosen = choose_clips(statistics, 0)
    samples = [look_at_clip(sources[clip.split], clip, data, 0) for clip in chosen]
    whole = sample_section(samples, statistics, data, 3, 0)
    assert whole.count("<article") == 3
    assert whole.count("<img") == 3 * 2 * (4 + 1)
    assert "left out" not in whole
    monkeypatch.setattr("rgb2ir_jax.reporting.data_sets.strips.LIMIT", len(whole) // 2)
    cut = sample_section(samples, statistics, data, 3, 0)
    assert len(cut) < len(whole)
    assert "more classes are left out, for the page&#x27;s size" in cut
