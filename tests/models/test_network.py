"""A network's description: stored and read again, and what it makes of pixels."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import ntu
from rgb2ir_jax.models.network import NetworkSpec

SPEC = NetworkSpec(
    modality="rgb",
    depth=18,
    width=4,
    in_channels=3,
    num_classes=10,
    dropout=0.25,
    zero_init_residual=False,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


def test_a_description_survives_its_file(tmp_path):
    SPEC.save(tmp_path / "network.json")
    assert NetworkSpec.load(tmp_path / "network.json") == SPEC
    config = ntu.get_config()
    for section in (config.teacher, config.student):
        spec = NetworkSpec.from_config(section, 60)
        spec.save(tmp_path / "network.json")
        assert NetworkSpec.load(tmp_path / "network.json") == spec
        assert (spec.depth, spec.mean) == (section.depth, tuple(section.mean))
        assert spec.num_classes == 60


def test_a_description_of_before_shifts_and_strides_means_a_plain_network(tmp_path):
    """The fields of version 0.1's files when runs first wrote them: those files must stay readable."""
    path = tmp_path / "network.json"
    path.write_text(
        '{"modality": "rgb", "depth": 18, "width": 4, "in_channels": 3, "num_classes": 10, "dropout":'
        ' 0.25, "zero_init_residual": false, "mean": [0.485, 0.456, 0.406],'
        ' "std": [0.229, 0.224, 0.225]}'
    )
    assert NetworkSpec.load(path) == SPEC
    assert not NetworkSpec.load(path).temporal_shift
    assert not NetworkSpec.load(path).stride_in_1x1


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", "3", "[" * 100_000, '{"modality": "rgb"}'),
        *(
            json.dumps(dataclasses.asdict(SPEC) | changes)
            for changes in ({"more": 1}, {"mean": [10**400] * 3}, {"std": [float("nan")] * 3})
        ),
    ],
)
def test_a_file_that_describes_no_network_is_named(tmp_path, content):
    path = tmp_path / "network.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"network\.json does not describe a network"):
        NetworkSpec.load(path)


@pytest.mark.parametrize("shape", [(2, 3, 5, 4, 3), (5, 4, 3), (2, 3, 5, 4, 1)])
def test_normalises_as_numpy_does(shape):
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = SPEC.normalise(jnp.asarray(frames))
    expected = (frames.astype(np.float64) / 255 - np.array(SPEC.mean)) / np.array(SPEC.std)
    assert found.shape == (*shape[:-1], 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_normalises_in_float32_whatever_comes_out():
    frames = jnp.arange(256, dtype=jnp.uint8).reshape(1, 16, 16, 1)
    half = SPEC.normalise(frames, jnp.bfloat16)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_array_equal(half, SPEC.normalise(frames).astype(jnp.bfloat16))


def test_one_mean_serves_all_channels():
    spec = dataclasses.replace(SPEC, mean=(0.5,), std=(0.25,))
    white = spec.normalise(jnp.full((1, 2, 2, 3), 255, jnp.uint8))
    np.testing.assert_allclose(white, np.full((1, 2, 2, 3), 2.0), rtol=1e-6)


@pytest.mark.parametrize(("channels", "in_channels"), [(3, 1), (2, 3)])
def test_frames_of_the_wrong_channels_are_refused(channels, in_channels):
    spec = dataclasses.replace(SPEC, in_channels=in_channels, mean=(0.5,), std=(0.5,))
    message = f"takes {in_channels} channels, found rgb frames with {channels}"
    with pytest.raises(ValueError, match=message):
        spec.normalise(jnp.zeros((1, 2, 2, channels), jnp.uint8))


def test_builds_the_described_network_and_weights_follow_from_the_seed():
    first, again, other = (
        jax.jit(lambda seed=seed: nnx.state(SPEC.build(seed), nnx.Param))() for seed in (0, 0, 1)
    )
    shapes = {leaf.shape for leaf in jax.tree.leaves(first)}
    assert {(7, 7, 3, 4), (32, 10)} <= shapes
    leaves = [jax.tree.leaves(tree) for tree in (first, again, other)]
    assert all(np.array_equal(a, b) for a, b in zip(leaves[0], leaves[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(leaves[0], leaves[2], strict=True))
