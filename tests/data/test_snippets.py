"""Frames in a row of each segment: which ones, the same again, and as optical flow."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict, FrozenConfigDict

from rgb2ir_jax.data.batches import BatchLoader, Selection
from rgb2ir_jax.data.flow import flow_channels, flow_stacks, quantise
from rgb2ir_jax.data.sampling import SNIPPETS, Sampling, center_positions, random_positions
from rgb2ir_jax.data.settings import validate, validate_on_device
from rgb2ir_jax.data.source import ClipSource

SETTINGS = {
    "name": "made_up",
    "config": "one",
    "dir": "nowhere",
    "train_split": "train",
    "test_split": "test",
    "segments": 3,
    "sampling": SNIPPETS,
    "snippet": 4,
    "resize": 36,
    "crop": 32,
    "train_reach": 1.0,
    "train_scales": (1.0, 0.875),
    "flip_probability": 0.5,
    "rgb_jitter": (0.0, 0.0),
    "ir_jitter": (0.0, 0.0),
    "cache": "",
    "workers": 0,
    "threads": 0,
    "prefetch": 2,
}


class Clips(ClipSource):
    """Records in memory."""

    def __init__(self, modality, videos):
        self._videos, self._modality = videos, modality
        self.modalities = {modality: videos[0].shape[-1]}

    def __len__(self):
        return len(self._videos)

    def __getitem__(self, index):
        return {self._modality: self._videos[index], "label": index}


def numbered(*lengths):
    """Videos whose pixels are the frames' numbers."""
    return Clips(
        "ir",
        [
            np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 40, 48, 1), np.uint8)
            for n in lengths
        ],
    )


def texture(seed, side=120):
    noise = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)[..., None]


def moving(right, down, frames, seed=0, size=(40, 40)):
    """A texture that moves by so many pixels a frame."""
    whole, (height, width) = texture(seed), size
    starts = [(50 - down * t, 50 - right * t) for t in range(frames)]
    return np.stack([whole[top : top + height, left : left + width] for top, left in starts])


def batch_of(source, modality, seed=None, clips=(0,), epoch=0, tested=None, crops=1, **fields):
    data = FrozenConfigDict({**SETTINGS, **fields})
    loader = BatchLoader(source, data, (modality,), seed, segments=tested, crops=crops)
    return loader(Selection(epoch, tuple(clips)))[modality]


@given(
    seed=st.integers(0, 2**32),
    segments=st.integers(1, 12),
    snippet=st.integers(2, 12),
    length=st.integers(1, 200),
)
def test_each_snippet_is_a_run_of_frames_of_its_segment(seed, segments, snippet, length):
    sampling = Sampling(segments, SNIPPETS, 1, snippet)
    for choose in (sampling.draw(np.random.default_rng(seed)), sampling.centre()):
        indices = choose(length)
        assert indices.shape == (sampling.frames(),) == (segments * snippet,)
        assert indices.min() >= 0
        assert indices.max() < length
        runs = indices.reshape(segments, snippet)
        assert (np.diff(runs[:, 0]) >= 0).all()
        if length >= snippet:
            assert (np.diff(runs, axis=1) == 1).all()
            # Each begins within its part of the places where a snippet fits.
            places = length - snippet + 1
            parts = np.arange(segments + 1) * places / segments
            assert (runs[:, 0] >= np.floor(parts[:-1])).all()
            assert (runs[:, 0] <= np.floor(parts[1:])).all()
        else:
            expected = np.minimum(np.arange(snippet), length - 1)
            assert (runs == expected).all()


def test_a_test_reads_the_middle_and_training_all_places_with_the_numbers_of_segments():
    # Seven places; the middles of their two halves.
    assert Sampling(2, SNIPPETS, 1, 4).centre()(10).reshape(2, 4)[:, 0].tolist() == [1, 5]
    assert Sampling(2, SNIPPETS, 1, 4).centre(1)(10).tolist() == [3, 4, 5, 6]
    sampling = Sampling(1, SNIPPETS, 1, 3)
    starts = [int(sampling.draw(np.random.default_rng(k))(8)[0]) for k in range(200)]
    assert set(starts) == set(range(6))
    # What follows of the random stream, crops and flips, is as with one frame a segment.
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    positions = Sampling(8, SNIPPETS, 1, 3).draw(one).positions
    np.testing.assert_array_equal(positions, random_positions(other, 8))
    assert one.random() == other.random()
    np.testing.assert_array_equal(
        Sampling(8, SNIPPETS, 1, 3).centre().positions, center_positions(8)
    )


def test_in_words_and_what_is_refused():
    sampling = Sampling(8, SNIPPETS, 1, 6)
    assert str(sampling) == (
        "6 frames in a row from the middle of each of 8 equal parts of the clip"
    )
    assert sampling.span == 48
    with pytest.raises(ValueError, match="0 frames"):
        sampling.centre()(0)
    data = ConfigDict(SETTINGS)
    validate(data)
    validate_on_device(data)
    del data["snippet"]
    with pytest.raises(ValueError, match="read where a network's stream asks for them"):
        validate(data)
    data.snippet = 1
    with pytest.raises(ValueError, match=r"config\.data\.snippet is 1; expected an integer, 2"):
        validate(data)
    fields = {"flow": True, "on_device": True, "cache": "x"}
    with pytest.raises(ValueError, match="optical flow is computed on the host alone"):
        validate_on_device(ConfigDict({**SETTINGS, **fields}))


def test_batches_hold_snippets_one_after_the_other_and_the_same_again():
    source = numbered(40, 3)
    tested = batch_of(source, "ir", clips=(0, 1))
    assert tested.shape == (2, 12, 32, 32, 1)
    # 37 places: the middles of their thirds.
    assert tested[0, :, 5, 5, 0].tolist() == [
        *range(6, 10), *range(18, 22), *range(30, 34),
    ]  # fmt: skip
    assert tested[1, :, 5, 5, 0].tolist() == [0, 1, 2, 2] * 3
    assert batch_of(source, "ir", tested=1)[0, :, 0, 0, 0].tolist() == [18, 19, 20, 21]
    assert batch_of(source, "ir", crops=10).shape == (1, 10, 12, 32, 32, 1)

    drawn = [batch_of(source, "ir", seed=7, epoch=k) for k in (0, 1, 0)]
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert (drawn[0] != drawn[1]).any()
    for batch in drawn:
        runs = batch[0, :, 0, 0, 0].reshape(3, 4).astype(int)
        assert (np.diff(runs, axis=1) == 1).all()


@pytest.mark.parametrize(("right", "down"), [(2, 0), (-3, 1), (0, -2)])
def test_flow_is_what_the_pictures_moved_by(right, down):
    found = flow_stacks(moving(right, down, 6)[None], 3)
    assert found.shape == (1, 2, 40, 40, 4)
    inside = found[:, :, 10:-10, 10:-10]
    for pair in range(2):
        # A pixel is 6.375 of a byte.
        assert abs(np.median(inside[..., 2 * pair]) - (127.5 + 6.375 * right)) <= 1.5
        assert abs(np.median(inside[..., 2 * pair + 1]) - (127.5 + 6.375 * down)) <= 1.5


def test_flow_of_stillness_colour_and_clips_side_by_side():
    still = np.repeat(texture(1)[None, :32, :32], 3, axis=0)
    assert (flow_stacks(still, 3) == 128).all()
    grey = moving(2, 1, 4, size=(32, 32))
    np.testing.assert_array_equal(flow_stacks(np.repeat(grey, 3, axis=-1), 2), flow_stacks(grey, 2))
    both = flow_stacks(np.stack([still[:2], grey[:2]]), 2)
    np.testing.assert_array_equal(both[1], flow_stacks(grey[:2], 2))
    np.testing.assert_array_equal(
        quantise(np.array([[[-30, -20], [0, 10], [20, 99]]], np.float32)),
        [[[0, 0], [128, 191], [255, 255]]],
    )
    for shape in ((2, 8, 8, 1), (2, 32, 32, 2)):
        with pytest.raises(ValueError, match="expected at least 12 x 12, and one channel or three"):
            flow_stacks(np.zeros(shape, np.uint8), 2)


def test_flow_of_a_batch_turns_round_with_the_flip():
    source = Clips("ir", [moving(2, 1, 12)])
    fields = {"segments": 2, "flow": True, "train_scales": (1.0,)}
    medians = []
    for probability in (0.0, 1.0):
        found = batch_of(source, "ir", seed=3, flip_probability=probability, **fields)
        assert found.shape == (1, 2, 32, 32, flow_channels(4))
        medians.append([np.median(found[..., k::2]) for k in range(2)])
    # Scaled from 40 to 32 pixels: 1.6 to the right, 0.8 down.
    np.testing.assert_allclose(medians[0], [127.5 + 6.375 * 1.6, 127.5 + 6.375 * 0.8], atol=1.5)
    np.testing.assert_allclose(medians[1], [127.5 - 6.375 * 1.6, 127.5 + 6.375 * 0.8], atol=1.5)
    # In a test of ten crops, the last five are mirrored.
    crops = batch_of(source, "ir", crops=10, **fields)
    assert crops.shape == (1, 10, 2, 32, 32, 6)
    assert (np.median(crops[0, :5, ..., 0::2], axis=(1, 2, 3, 4)) > 128).all()
    assert (np.median(crops[0, 5:, ..., 0::2], axis=(1, 2, 3, 4)) < 128).all()
    # Padding stays dark.
    assert not batch_of(source, "ir", clips=(0, -1), **fields)[1].any()
