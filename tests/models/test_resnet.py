"""The ResNet against torchvision's stored outputs and loops written out by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models.pretrained import load_torchvision_tensors
from rgb2ir_jax.models.resnet import ResNet


def narrow(depth: int = 18, **options: object) -> ResNet:
    return ResNet(depth, 5, width=4, rngs=nnx.Rngs(0), **options)


def images(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def convolve(x: jax.Array, kernel: np.ndarray, stride: int, margin: int) -> np.ndarray:
    """PyTorch's Conv2d on one NHWC batch, as loops over output pixels."""
    size = kernel.shape[0]
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    height, width = ((n + 2 * margin - size) // stride + 1 for n in x.shape[1:3])
    out = np.zeros((len(x), height, width, kernel.shape[3]))
    for row, column in itertools.product(range(height), range(width)):
        window = padded[:, row * stride : row * stride + size, column * stride :][:, :, :size]
        out[:, row, column] = np.einsum("bhwi,hwio->bo", window, kernel)
    return out


def test_outputs_are_torchvisions(resnet18_reference) -> None:
    model = ResNet(18, 60, rngs=nnx.Rngs(0))
    load_torchvision_tensors(model, resnet18_reference.tensors)

    output = model(jnp.asarray(resnet18_reference.images), train=False)

    np.testing.assert_allclose(output.logits, resnet18_reference.logits, atol=5e-5, rtol=0)
    np.testing.assert_allclose(output.features, resnet18_reference.features, atol=5e-5, rtol=0)
    for number in range(1, 5):
        found = np.asarray(output.stages[f"stage{number}"]).transpose(0, 3, 1, 2)
        expected = resnet18_reference.stages[f"layer{number}"]
        assert list(found.shape) == expected["shape"]
        np.testing.assert_allclose(found.mean(), expected["mean"], atol=5e-5)
        np.testing.assert_allclose(found.std(), expected["std"], atol=5e-5)
        np.testing.assert_allclose(found.ravel()[:8], expected["first8"], atol=5e-5)


@pytest.mark.parametrize("size", [(9, 12), (16, 15)])
def test_stem_pads_as_torch_does_on_odd_and_even_sizes(size: tuple[int, int]) -> None:
    model = narrow()
    x = images(2, *size, 3)
    kernel = np.asarray(model.conv1.kernel[...], np.float64)
    np.testing.assert_allclose(model.conv1(x), convolve(x, kernel, 2, 3), atol=1e-5)

    block = model.layer2[0]
    x = images(2, *size, 4)
    kernel = np.asarray(block.conv1.kernel[...], np.float64)
    np.testing.assert_allclose(block.conv1(x), convolve(x, kernel, 2, 1), atol=1e-5)
    kernel = np.asarray(block.downsample.conv.kernel[...], np.float64)
    np.testing.assert_allclose(block.downsample.conv(x), convolve(x, kernel, 2, 0), atol=1e-5)


def test_bottleneck_strides_in_its_3x3_convolution() -> None:
    block = nnx.eval_shape(lambda: narrow(50)).layer3[0]
    assert [conv.strides for conv in (block.conv1, block.conv2, block.conv3)] == [
        (1, 1),
        (2, 2),
        (1, 1),
    ]


def test_statistics_move_by_a_tenth_and_normalisation_uses_the_batch() -> None:
    model = narrow()
    x = images(4, 16, 16, 3) + 2.0
    convolved = np.asarray(model.conv1(x), np.float64)
    mean, variance = convolved.mean((0, 1, 2)), convolved.var((0, 1, 2))
    unbiased = convolved.reshape(-1, convolved.shape[-1]).var(0, ddof=1)

    model(x, train=True)

    np.testing.assert_allclose(model.bn1.mean[...], 0.1 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.bn1.var[...], 0.9 + 0.1 * unbiased, rtol=1e-4)
    normalised = model.bn1(model.conv1(x), use_running_average=False)
    expected = (convolved - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(normalised, expected, atol=1e-4)


def test_evaluation_leaves_the_network_as_it_was() -> None:
    model = narrow()
    before = jax.tree.map(np.array, nnx.state(model))
    model(images(2, 16, 16, 3), train=False)
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(model))


def test_bfloat16_computes_stages_and_keeps_float32_elsewhere() -> None:
    model, exact = narrow(dtype=jnp.bfloat16), narrow()
    x = images(4, 32, 32, 3)
    output, expected = model(x, train=True), exact(x, train=True)

    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(model))} == {jnp.dtype("float32")}
    assert {stage.dtype for stage in output.stages.values()} == {jnp.dtype("bfloat16")}
    assert output.logits.dtype == output.features.dtype == jnp.float32
    error = np.abs(np.asarray(output.stages["stage1"], np.float32) - expected.stages["stage1"])
    assert error.mean() < 0.02 * np.abs(expected.stages["stage1"]).mean()
    for found, wanted in zip(
        jax.tree.leaves(nnx.state(model.layer1, nnx.BatchStat)),
        jax.tree.leaves(nnx.state(exact.layer1, nnx.BatchStat)),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, atol=0.01)


def test_initialisation() -> None:
    model = ResNet(18, 60, rngs=nnx.Rngs(0))
    kernel = np.asarray(model.layer4[1].conv2.kernel[...])
    assert kernel.std() == pytest.approx(np.sqrt(2 / (3 * 3 * 512)), rel=0.01)
    assert np.asarray(model.fc.kernel[...]).std() == pytest.approx(0.001, rel=0.02)
    assert not np.any(model.fc.bias[...])
    np.testing.assert_array_equal(model.layer1[0].bn2.scale[...], 1.0)


def test_zero_initialised_residuals_make_blocks_identities() -> None:
    model = narrow(zero_init_residual=True)
    x = jnp.abs(images(2, 8, 8, 4))
    np.testing.assert_allclose(model.layer1[0](x, train=True), x)


@pytest.mark.parametrize("channels", [1, 2])
def test_other_input_channels(channels: int) -> None:
    output = narrow(in_channels=channels)(images(2, 16, 16, channels), train=False)
    assert output.logits.shape == (2, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 19}, r"depth is 19, expected one of \[10, 18, 34, 50, 101\]"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"width": 0}, "width is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_impossible_networks_are_refused(options: dict[str, float], message: str) -> None:
    arguments = {"depth": 18, "num_classes": 5, "rngs": nnx.Rngs(0)} | options
    with pytest.raises(ValueError, match=message):
        ResNet(**arguments)
