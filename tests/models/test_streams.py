"""Streams against NumPy in float64 and closed forms, and as part of a network's description."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from configs import ntu
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.pretrained import initialise, named_module, torchvision_tensors
from rgb2ir_jax.models.pretrained.safetensors_file import write_safetensors
from rgb2ir_jax.models.streams import (
    Stream,
    check_sees_frames,
    dynamic_image,
    frame_differences,
)

DIFFERENCES, GLOBAL, FLOW = Stream("differences", 3), Stream("global_image", 6), Stream("flow", 2)


def spec_of(stream, **fields):
    config = ntu.get_config("student").student
    spec = NetworkSpec.from_config(config, 10)
    channels = stream.stem_channels(fields.pop("channels", 1)) if stream else 1
    return dataclasses.replace(spec, stream=stream, in_channels=channels, width=4, **fields)


def frames_of(seed, clips=2, time=8, channels=1, side=5):
    shape = (clips, time, side, side + 1, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@given(
    seed=st.integers(0, 2**32),
    length=st.integers(1, 6),
    snippets=st.integers(1, 3),
    channels=st.sampled_from([1, 3]),
)
def test_differences_are_those_of_neighbours(seed, length, snippets, channels):
    frames = frames_of(seed, 2, snippets * (length + 1), channels, 2).astype(np.float64)
    found = np.asarray(frame_differences(jnp.asarray(frames, jnp.float32), length))
    assert found.shape == (2, snippets, 2, 3, length * channels)
    for snippet in range(snippets):
        for number in range(length):
            first = snippet * (length + 1) + number
            expected = frames[:, first + 1] - frames[:, first]
            stacked = found[:, snippet, ..., number * channels : (number + 1) * channels]
            np.testing.assert_array_equal(stacked, expected)


@given(seed=st.integers(0, 2**32), time=st.integers(2, 40))
def test_the_dynamic_image_is_rank_poolings_sum(seed, time):
    frames = frames_of(seed, 1, time, 1, 2).astype(np.float64)
    t = np.arange(1, time + 1)
    alpha = 2 * t - time - 1
    expected = np.tensordot(alpha, frames[0], 1) * 6 / (time * (time + 1))
    found = np.asarray(dynamic_image(jnp.asarray(frames, jnp.float32)))[0]
    np.testing.assert_allclose(found, expected, atol=2e-4)
    backwards = np.asarray(dynamic_image(jnp.asarray(frames[:, ::-1], jnp.float32)))[0]
    np.testing.assert_allclose(backwards, -found, atol=2e-4)


def test_closed_forms():
    still = np.repeat(frames_of(0, time=1), 8, axis=1)
    for stream, time in ((DIFFERENCES, 8), (GLOBAL, 6)):
        assert not np.asarray(spec_of(stream).normalise(jnp.asarray(still[:, :time]))).any()
    # A steady change of 7 a frame.
    ramp = (3 + 7 * np.arange(8, dtype=np.uint8))[None, :, None, None, None]
    ramp = ramp * np.ones((1, 1, 4, 4, 1), np.uint8)
    std = spec_of(None).std[0]
    found = np.asarray(spec_of(DIFFERENCES).normalise(jnp.asarray(ramp)))
    np.testing.assert_allclose(found, 4 * 7 / 255 / std, rtol=1e-6)
    found = np.asarray(spec_of(GLOBAL).normalise(jnp.asarray(ramp[:, :6])))
    assert found.shape == (1, 1, 4, 4, 1)
    np.testing.assert_allclose(found, 2 * 7 * 5 / 255 / std, rtol=1e-6)
    # Two frames: the last one minus the first.
    pair = spec_of(Stream("global_image", 2)).normalise(jnp.asarray(ramp[:, 1:3]))
    np.testing.assert_allclose(pair, 2 * 7 / 255 / std, rtol=1e-6)


def test_each_colour_has_its_own_spread_and_grey_is_repeated():
    std = (0.1, 0.2, 0.4)
    frames = frames_of(1, time=8, channels=3)
    exact = np.diff(frames.astype(np.float64).reshape(2, 2, 4, 5, 6, 3), axis=2)
    spec = spec_of(DIFFERENCES, channels=3, std=std)
    found = np.asarray(jax.jit(spec.normalise)(jnp.asarray(frames)))
    assert found.shape == (2, 2, 5, 6, 9)
    for number in range(3):
        expected = 4 * exact[:, :, number] / 255 / np.array(std)
        np.testing.assert_allclose(found[..., 3 * number : 3 * number + 3], expected, rtol=2e-6)
    grey = spec.normalise(jnp.asarray(frames[..., :1]))
    same = spec.normalise(jnp.asarray(np.repeat(frames[..., :1], 3, axis=-1)))
    np.testing.assert_array_equal(grey, same)
    half = spec.normalise(jnp.asarray(frames), jnp.bfloat16)
    np.testing.assert_array_equal(half, jnp.asarray(found).astype(jnp.bfloat16))


def test_flow_is_scaled_about_stillness():
    stored = np.array([0, 128, 255, 64], np.uint8) * np.ones((1, 2, 3, 3, 1), np.uint8)
    found = np.asarray(spec_of(FLOW).normalise(jnp.asarray(stored)))
    expected = np.array([-128, 0, 127, -64]) / 255 / spec_of(None).std[0]
    np.testing.assert_allclose(found, expected * np.ones((1, 2, 3, 3, 1)), rtol=1e-6)


def test_what_is_shown_is_grey_where_nothing_changes():
    frames = frames_of(2, clips=1, time=8)
    change = frames[:, [3, 7]].astype(int) - frames[:, [0, 4]]
    shown = DIFFERENCES.shown(frames)
    np.testing.assert_array_equal(shown, np.rint(np.clip(128 + change / 2, 0, 255)))
    assert (GLOBAL.shown(np.repeat(frames[:, :1], 6, axis=1)) == 128).all()
    assert GLOBAL.shown(frames[:, :6]).shape == (1, 1, 5, 6, 1)
    stored = np.array([100, 20, 102, 22], np.uint8) * np.ones((1, 2, 3, 3, 1), np.uint8)
    assert (FLOW.shown(stored) == [101, 21, 128]).all()


@pytest.mark.parametrize(
    ("stream", "shape"),
    [
        (DIFFERENCES, (1, 6, 4, 4, 1)),
        (DIFFERENCES, (1, 8, 4, 4, 2)),
        (GLOBAL, (1, 12, 4, 4, 1)),
        (GLOBAL, (1, 5, 4, 4, 1)),
        (FLOW, (1, 2, 4, 4, 1)),
    ],
)
def test_other_frames_are_refused(stream, shape):
    with pytest.raises(ValueError, match=r"the network sees .* found"):
        spec_of(stream).normalise(jnp.zeros(shape, jnp.uint8))


def test_a_description_holds_its_stream(tmp_path):
    path = tmp_path / "network.json"
    for stream in (DIFFERENCES, GLOBAL, FLOW):
        spec = spec_of(stream)
        spec.save(path)
        assert NetworkSpec.load(path) == spec
        assert spec.frame_channels == (4 if stream is FLOW else 1)
    assert spec_of(GLOBAL).sees == "ir, one image of 6 frames"
    assert spec_of(FLOW).sees == "ir, 2 stacked flows"
    told = json.loads(path.read_text())
    for wrong, message in (
        ({"name": "motion", "length": 2}, "stream is 'motion', expected one of frame"),
        ({"name": "flow", "length": 0}, "is 0, expected 1 to 32"),
        ({"name": "flow", "length": True}, "is True, expected 1 to 32"),
        ({"name": "flow"}, "its stream is"),
        ("flow", "its stream is 'flow'"),
        ({"name": "flow", "length": 3}, "in_channels is 4, and its stream is 3 stacked flows"),
        ({"name": "differences", "length": 9}, "in_channels is 4, and its stream is 9"),
    ):
        path.write_text(json.dumps({**told, "stream": wrong}))
        with pytest.raises(ValueError, match=message):
            NetworkSpec.load(path)
    spec_of(None).save(path)
    assert "stream" not in json.loads(path.read_text())
    assert spec_of(None).sees == "ir"


def test_configs_name_the_stream_by_default_of_frames():
    section = ntu.get_config("student").student
    expected = NetworkSpec.from_config(section, 10)
    assert expected.stream is None
    for name, channels in (("differences", 5), ("flow", 10), ("global_image", 1)):
        section.stream = name
        spec = NetworkSpec.from_config(section, 10)
        assert (spec.stream.name, spec.in_channels) == (name, channels)
    assert spec.stream == Stream("global_image", 16)
    with section.unlocked():
        for field in ("stream", "stream_length", "global_frames"):
            del section[field]
    assert NetworkSpec.from_config(section, 10) == expected
    check_sees_frames(None, "a prediction")
    with pytest.raises(ValueError, match="sees 3 stacked differences of a clip, and a prediction"):
        check_sees_frames(DIFFERENCES, "a prediction")


def test_a_stem_of_differences_starts_from_the_mean_of_three_colours(tmp_path):
    colour = dataclasses.replace(spec_of(None), in_channels=3, mean=(0.4,), depth=10)
    tensors = torchvision_tensors(named_module(colour.build(3)))
    write_safetensors(tmp_path / "colour.safetensors", tensors, {})
    spec = dataclasses.replace(spec_of(Stream("differences", 4)), depth=10)
    network = spec.build(0)
    report = initialise(network, str(tmp_path / "colour.safetensors"), spec=spec)
    assert "mean of its 3 input channels, 4 times" in str(report)
    kernel = nnx.to_flat_state(nnx.state(network, nnx.Param))
    (stem,) = [
        leaf[...] for path, leaf in kernel if path[-2:] == ("conv1", "kernel") and len(path) == 3
    ]
    expected = tensors["conv1.weight"].mean(axis=1)
    for channel in range(4):
        np.testing.assert_allclose(
            np.asarray(stem)[:, :, channel].transpose(2, 0, 1), expected, atol=1e-7
        )
