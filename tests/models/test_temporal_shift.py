"""The temporal shift against a loop over segments and channels, alone and inside networks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models import TSN
from rgb2ir_jax.models.pooling import max_pool_3x3_stride_2
from rgb2ir_jax.models.resnet import ARCHITECTURES, ResNet
from rgb2ir_jax.models.temporal_shift import temporal_shift


def loop(clips: np.ndarray) -> np.ndarray:
    """Lin et al., sec. 3: (clip, time, height, width, channel), channel by channel."""
    count, time, _, _, channels = clips.shape
    out = np.zeros_like(clips)
    for clip, t, channel in itertools.product(range(count), range(time), range(channels)):
        part = channel // (channels // 8) if channels >= 8 else 8
        source = {0: t + 1, 1: t - 1}.get(part, t)
        if 0 <= source < time:
            out[clip, t, ..., channel] = clips[clip, source, ..., channel]
    return out


@pytest.mark.parametrize("channels", [1, 4, 7, 8, 16, 24])
@pytest.mark.parametrize("time", [1, 2, 5])
def test_shift_is_the_loop(time: int, channels: int) -> None:
    clips = np.random.default_rng(0).normal(size=(3, time, 2, 3, channels)).astype(np.float32)
    found = temporal_shift(jnp.asarray(clips.reshape(-1, 2, 3, channels)), time)
    np.testing.assert_array_equal(found.reshape(clips.shape), loop(clips))


def test_channels_that_do_not_divide_by_eight() -> None:
    # Twelve: one channel each way, as in the authors' c // 8.
    clips = np.random.default_rng(0).normal(size=(1, 2, 1, 1, 12)).astype(np.float32)
    found = np.asarray(temporal_shift(jnp.asarray(clips[0]), 2))[:, 0, 0]
    first, second = clips[0, :, 0, 0]
    np.testing.assert_array_equal(found[0], [second[0], 0, *first[2:]])
    np.testing.assert_array_equal(found[1], [0, first[1], *second[2:]])


def apply(module, name, x):
    convolution, norm = (getattr(module, f"{kind}{name}") for kind in ("conv", "bn"))
    return norm(convolution(x), use_running_average=True)


@pytest.mark.parametrize("depth", [18, 50])
def test_blocks_see_the_shift_in_their_residual_branch_alone(depth: int) -> None:
    """Stage 1 of a network, put together here of its convolutions and the loop."""
    tsn = TSN(depth, 3, width=8, in_channels=1, temporal_shift=True, rngs=nnx.Rngs(0))
    clips = np.random.default_rng(0).normal(size=(2, 3, 16, 16, 1)).astype(np.float32)
    network = tsn.network
    x = nnx.relu(apply(network, 1, jnp.asarray(clips.reshape(6, 16, 16, 1))))
    x = max_pool_3x3_stride_2(x)
    for block in network.layer1:
        branch = jnp.asarray(loop(np.asarray(x).reshape(2, 3, *x.shape[1:])).reshape(x.shape))
        layers = (1, 2, 3) if depth == 50 else (1, 2)
        for layer in layers:
            branch = apply(block, layer, branch)
            branch = nnx.relu(branch) if layer < layers[-1] else branch
        if hasattr(block, "downsample"):
            x = block.downsample(x, train=False)
        x = nnx.relu(x + branch)
    found = tsn(jnp.asarray(clips), train=False).stages["stage1"]
    np.testing.assert_allclose(found, x.reshape(found.shape), atol=1e-5)


def test_every_block_shifts_but_in_the_deepest_network_every_second() -> None:
    for depth, architecture in ARCHITECTURES.items():
        model = nnx.eval_shape(
            lambda depth=depth: ResNet(depth, 3, width=4, temporal_shift=True, rngs=nnx.Rngs(0))
        )
        stages = (model.layer1, model.layer2, model.layer3, model.layer4)
        found = [[block.shift for block in stage] for stage in stages]
        step = 2 if depth == 101 else 1
        assert found == [[i % step == 0 for i in range(n)] for n in architecture.blocks]


def test_the_tensors_are_those_of_the_network_without_it() -> None:
    states = [
        nnx.state(TSN(18, 3, width=8, temporal_shift=shift, rngs=nnx.Rngs(0)))
        for shift in (False, True)
    ]
    jax.tree.map(np.testing.assert_array_equal, *states)


def test_clips_do_not_see_each_other_and_segments_do() -> None:
    tsn = TSN(18, 3, width=8, in_channels=1, temporal_shift=True, rngs=nnx.Rngs(0))
    clips = np.random.default_rng(0).normal(size=(2, 3, 32, 32, 1)).astype(np.float32)
    changed = clips.copy()
    changed[1] += 1.0
    before, after = (tsn(jnp.asarray(x), train=False).features for x in (clips, changed))
    np.testing.assert_array_equal(before[0], after[0])
    changed = clips.copy()
    changed[0, 2] += 1.0
    after = tsn(jnp.asarray(changed), train=False).features
    assert (np.asarray(before[0]) != np.asarray(after[0])).any(axis=-1).all()


def test_frames_that_are_no_clips_are_refused() -> None:
    network = ResNet(18, 3, width=8, temporal_shift=True, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="needs their number of segments, found None"):
        network(jnp.zeros((6, 16, 16, 3)), train=False)
    with pytest.raises(ValueError, match="6 frames are no whole number of clips of 4 segments"):
        network(jnp.zeros((6, 16, 16, 3)), train=False, segments=4)
