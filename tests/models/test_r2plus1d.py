"""R(2+1)D and its heads against PyTorch's numbers, and against the published networks' sizes.

data/r2plus1d_reference.npz was computed in float64 by torch 2.15 and torchvision 0.29.2 with
make_r2plus1d_reference.py, which says how.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from rgb2ir_jax.models import TSN, R2Plus1D
from rgb2ir_jax.models.cost import count_flops, count_parameters
from rgb2ir_jax.models.folding import FoldedNorm, fold_batch_norm
from rgb2ir_jax.models.output import STAGE_NAMES
from rgb2ir_jax.models.pretrained.torchvision_layout import (
    load_torchvision_tensors,
    torchvision_shapes,
)
from rgb2ir_jax.models.pretrained.video_layout import to_torch_video_layout, video_name
from rgb2ir_jax.models.r2plus1d import VIDEO_ARCHITECTURES, VideoArchitecture
from rgb2ir_jax.models.r2plus1d_blocks import Conv2Plus1D, middle_channels
from tests.models.make_r2plus1d_reference import (
    BLOCKS,
    CASES,
    CLASSES,
    OWN_MIDDLE,
    WIDTH,
    clips,
    draw,
    probe,
)

TOLERANCE = 5e-5


@pytest.fixture(scope="module")
def reference():
    with np.load(pathlib.Path(__file__).parent / "data" / "r2plus1d_reference.npz") as stored:
        return dict(stored)


@pytest.fixture(autouse=True)
def _shallow_networks(monkeypatch) -> None:
    for depth in (10, 11):
        shallow = VideoArchitecture(
            BLOCKS[depth], 1e-3 if depth == OWN_MIDDLE else 1e-5, own_middle=depth == OWN_MIDDLE
        )
        monkeypatch.setitem(VIDEO_ARCHITECTURES, depth, shallow)


def by_torch_names(state) -> dict[str, np.ndarray]:
    found = {}
    for path, variable in nnx.to_flat_state(state):
        name = video_name(path)
        found[name] = to_torch_video_layout(name, np.asarray(variable[...], np.float64))
    return found


def network_of(case: str, dtype=jnp.float32) -> R2Plus1D:
    depth, _, head = CASES[case]
    model = nnx.eval_shape(
        lambda: R2Plus1D(
            depth, CLASSES, width=WIDTH, temporal_head=head, dtype=dtype, rngs=nnx.Rngs(0)
        )
    )
    shapes = torchvision_shapes(model)
    load_torchvision_tensors(model, {name: draw(name, shape) for name, shape in shapes.items()})
    return model


def run(case: str, dtype):
    """Outputs, gradients and new statistics of a case, computed in `dtype`."""
    graph, params, statistics = nnx.split(network_of(case, dtype), nnx.Param, nnx.BatchStat)
    params, statistics = jax.tree.map(lambda leaf: leaf.astype(dtype), (params, statistics))
    x = jnp.asarray(clips(CASES[case][1]), dtype)
    labels = jnp.arange(len(x)) % CLASSES

    @jax.jit
    def compute(params, statistics, x):
        def loss(params):
            network = nnx.merge(graph, params, statistics, copy=True)
            output = network(x, train=True)
            ce = optax.softmax_cross_entropy_with_integer_labels(output.logits, labels).mean()
            return ce, (output, nnx.state(network, nnx.BatchStat))

        gradients, (trained, moved) = jax.grad(loss, has_aux=True)(params)
        still = nnx.merge(graph, params, statistics, copy=True)(x, train=False)
        return {"eval": still, "train": trained}, gradients, moved

    outputs, gradients, moved = compute(params, statistics, x)
    return outputs, by_torch_names(gradients), by_torch_names(moved)


def assert_gradients(gradients, reference, case, atol, rtol) -> None:
    names = sorted(gradients)
    assert names == reference[f"{case}/names"].tolist()
    probes = [probe(name, gradients[name]) for name in names]
    norms = [np.sqrt((gradients[name] ** 2).mean()) for name in names]
    np.testing.assert_allclose(norms, reference[f"{case}/norms"], atol=atol, rtol=rtol)
    np.testing.assert_allclose(probes, reference[f"{case}/gradients"], atol=atol, rtol=rtol)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (case != "10_bert")) for case in CASES]
)
def test_logits_maps_and_gradients_are_pytorchs(case, reference) -> None:
    outputs, gradients, moved = run(case, jnp.float32)
    for mode, output in outputs.items():
        # Seventy normalisations by the batch's own statistics carry float32's rounding further.
        tolerance = 4 * TOLERANCE if mode == "train" else TOLERANCE
        expected = reference[f"{case}/{mode}/logits"]
        np.testing.assert_allclose(output.logits, expected, atol=tolerance, rtol=tolerance)
        for stage in STAGE_NAMES:
            maps = np.asarray(output.stages[stage])
            assert maps.shape == tuple(reference[f"{case}/{mode}/{stage}/shape"])
            expected = reference[f"{case}/{mode}/{stage}"]
            found = maps.reshape(len(maps), -1)[:, ::17]
            np.testing.assert_allclose(found, expected, atol=tolerance, rtol=tolerance)
        maps = np.asarray(output.stages["stage4"])
        np.testing.assert_allclose(output.features, maps.mean((2, 3)), atol=1e-5)
    # A value that rounding carries over a ReLU's corner gives or takes a place's share.
    assert_gradients(gradients, reference, case, atol=2e-3, rtol=2e-3)
    found = [probe(name, moved[name]) for name in sorted(moved)]
    np.testing.assert_allclose(found, reference[f"{case}/statistics"], atol=5e-4, rtol=5e-4)


@pytest.mark.parametrize("case", [pytest.param("10_bert", marks=pytest.mark.slow), "11_even"])
def test_gradients_are_pytorchs_in_float64(case, reference) -> None:
    with jax.enable_x64(True):
        _, gradients, _ = run(case, jnp.float64)
    # Pooled features are float32.
    assert_gradients(gradients, reference, case, atol=5e-6, rtol=5e-6)


# "num_params" and "_ops" (GMAC of 16 frames at 112x112) in torchvision's weight metadata; the sizes of
# the 34-layer networks by counting their published tensors. 152 GMAC of 32 frames are the IG-65M
# paper's (table 1).
@pytest.mark.parametrize(
    ("depth", "classes", "frames", "parameters", "giga"),
    [
        (18, 400, 16, 31_505_325, 40.519),
        (34, 400, 32, 63_697_175, 152.356),
        (34, 487, 32, 63_741_806, None),
        (34, 359, 8, 63_676_142, None),
    ],
)
def test_sizes_are_the_published_networks(depth, classes, frames, parameters, giga) -> None:
    model = nnx.eval_shape(lambda: R2Plus1D(depth, classes, rngs=nnx.Rngs(0)))
    assert count_parameters(model) == parameters
    if giga is not None:
        flops = count_flops(model, (1, frames, 112, 112, 3))
        assert flops / 1e9 == pytest.approx(giga, abs=0.0006)


def test_middle_channels_keep_the_parameters_of_a_whole_convolution() -> None:
    # The numbers of the published networks' tensors.
    assert middle_channels(64, 64) == 144
    assert middle_channels(64, 128) == 230
    assert middle_channels(128, 128) == 288
    assert middle_channels(256, 512) == 921
    for inputs, outputs in ((3, 64), (64, 64), (64, 128), (512, 512)):
        middle = middle_channels(inputs, outputs)
        assert middle * (9 * inputs + 3 * outputs) <= 27 * inputs * outputs
        assert (middle + 1) * (9 * inputs + 3 * outputs) > 27 * inputs * outputs


@pytest.mark.parametrize(("stride", "time_stride"), [(1, 1), (2, 2)])
def test_a_factorised_convolution_is_the_three_dimensional_ones(stride, time_stride) -> None:
    """Kernels of 1x3x3 and 3x1x1 on (clip, time, height, width, channel), as the paper has them."""
    module = Conv2Plus1D(
        2,
        5,
        3,
        stride=stride,
        time_stride=time_stride,
        epsilon=1e-5,
        dtype=jnp.float32,
        rngs=nnx.Rngs(0),
    )
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 9, 8, 2)), jnp.float32)

    def convolve(x, kernel, strides, padding):
        return jax.lax.conv_general_dilated(
            x, kernel, strides, padding, dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
        )

    spatial = convolve(
        x, module.conv1.kernel[...][None], (1, stride, stride), ((0, 0), (1, 1), (1, 1))
    )
    scale = 1 / np.sqrt(1 + 1e-5)  # Of a fresh BatchNorm that looks at its running statistics.
    spatial = jnp.maximum(spatial * scale, 0)
    temporal = module.conv2.kernel[...][:, None]
    expected = scale * convolve(spatial, temporal, (time_stride, 1, 1), ((1, 1), (0, 0), (0, 0)))
    found = module(x, train=False)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_every_stage_has_the_time_steps_that_it_left() -> None:
    model = nnx.eval_shape(lambda: R2Plus1D(18, 3, width=2, in_channels=1, rngs=nnx.Rngs(0)))
    output = nnx.eval_shape(lambda m, x: m(x, train=False), model, jnp.zeros((2, 17, 30, 28, 1)))
    shapes = [output.stages[stage].shape for stage in STAGE_NAMES]
    assert shapes == [(2, 17, 15, 14, 2), (2, 9, 8, 7, 4), (2, 5, 4, 4, 8), (2, 3, 2, 2, 16)]
    assert output.features.shape == (2, 3, 16)
    assert output.logits.shape == (2, 3)


@pytest.mark.parametrize("case", ["10_bert", "11_even"])
def test_folded_it_computes_the_same(case) -> None:
    network = network_of(case)
    folded = fold_batch_norm(network)
    x = jnp.asarray(clips((2, 5, 20, 18)), jnp.float32)

    def compute(network):
        graph, state = nnx.split(network)
        return jax.jit(lambda s, x: nnx.merge(graph, s, copy=True)(x, train=False))(state, x)

    expected, found = compute(network), compute(folded)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(b).max(), rtol=0)
    assert not jax.tree.leaves(nnx.state(folded, nnx.BatchStat))
    norms = [m for _, m in nnx.iter_modules(folded) if isinstance(m, FoldedNorm)]
    # Two in the stem and four in each block, and one in each of the three widening shortcuts.
    assert len(norms) == 2 + 4 * 5 + 3
    assert count_flops(folded, x.shape) == count_flops(network, x.shape)


@pytest.mark.parametrize("head", ["mean", "bert"])
def test_logits_follow_from_the_last_stages_maps(head) -> None:
    model = R2Plus1D(18, 3, width=2, temporal_head=head, classifier_std=0.5, rngs=nnx.Rngs(1))
    maps = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 3, 2, 2, 16)), jnp.float32)
    if head == "mean":
        np.testing.assert_allclose(
            model.head(maps), model.fc(maps.mean((1, 2, 3))), rtol=1e-5, atol=1e-6
        )
    else:
        expected = model.fc(model.bert(maps.mean((2, 3))))
        np.testing.assert_allclose(model.head(maps), expected, rtol=1e-5, atol=1e-6)
    tsn = TSN(10, 3, width=2, classifier_std=0.5, rngs=nnx.Rngs(1))
    frames = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 32, 32, 3)), jnp.float32)
    output = nnx.jit(tsn, static_argnames="train")(frames, train=False)
    np.testing.assert_allclose(tsn.head(output.stages["stage4"]), output.logits, atol=1e-6)


def test_dropout_needs_a_key_and_drops_whole_clips_features() -> None:
    model = R2Plus1D(18, 3, width=1, dropout=0.8, classifier_std=0.5, rngs=nnx.Rngs(0))
    x = jnp.zeros((2, 2, 16, 16, 3))
    with pytest.raises(ValueError, match=r"dropout=0\.8 needs a dropout_key"):
        model(x, train=True)
    features = jnp.ones((4000, 2, 8))
    model.fc.kernel[...] = jnp.ones((8, 3))
    dropped = model._classify(features, jax.random.key(0))[:, 0]
    # Of eight features five times as large, a binomial number of a fifth is left.
    np.testing.assert_allclose(np.mean(dropped), 8, rtol=0.05)
    np.testing.assert_allclose(np.var(dropped), 25 * 8 * 0.2 * 0.8, rtol=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 50}, "depth is 50, expected one of"),
        ({"width": 0}, "width is 0, expected at least 1"),
        ({"dropout": 1.0}, r"dropout is 1\.0"),
        ({"temporal_head": "lstm"}, "temporal_head is 'lstm', expected one of mean, bert"),
    ],
)
def test_options_out_of_range(options, message) -> None:
    options = {"depth": 18, "num_classes": 3} | options
    with pytest.raises(ValueError, match=message):
        R2Plus1D(options.pop("depth"), options.pop("num_classes"), **options, rngs=nnx.Rngs(0))
