"""Names and layouts of torchvision's tensors, and the errors for those that do not fit."""

import jax
import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models.pretrained.torchvision_layout import (
    describe,
    load_torchvision_tensors,
    torchvision_name,
    torchvision_tensors,
)
from rgb2ir_jax.models.resnet import ResNet


def test_names_are_exactly_torchvisions(resnet18_reference) -> None:
    model = nnx.eval_shape(lambda: ResNet(18, 60, rngs=nnx.Rngs(0)))
    names = {torchvision_name(path) for path, _ in nnx.to_flat_state(nnx.state(model))}
    expected = {n for n in resnet18_reference.tensors if not n.endswith("num_batches_tracked")}
    assert names == expected


def test_layouts() -> None:
    model = ResNet(18, 5, width=4, rngs=nnx.Rngs(0))
    tensors = torch_tensors(model)
    load_torchvision_tensors(model, tensors)
    kernel = tensors["layer2.0.conv1.weight"]
    assert model.layer2[0].conv1.kernel[2, 0, 3, 5] == kernel[5, 3, 2, 0]
    assert model.fc.kernel[7, 4] == tensors["fc.weight"][4, 7]
    np.testing.assert_array_equal(model.bn1.var[...], tensors["bn1.running_var"])
    np.testing.assert_array_equal(
        model.layer2[0].downsample.bn.scale[...], tensors["layer2.0.downsample.1.weight"]
    )


def test_every_misfit_is_listed_and_nothing_is_changed() -> None:
    model = ResNet(18, 5, width=4, rngs=nnx.Rngs(0))
    before = jax.tree.map(np.array, nnx.state(model))
    tensors = torch_tensors(model)
    del tensors["layer1.0.bn1.running_var"]
    tensors["layer5.0.conv1.weight"] = np.zeros((3, 2, 1, 1))
    tensors["fc.weight"] = np.zeros((1000, 32))

    with pytest.raises(ValueError, match="do not fit the network") as error:
        load_torchvision_tensors(model, tensors)

    lines = str(error.value).splitlines()[1:]
    assert sorted(line.strip() for line in lines) == [
        "misshapen: fc.weight is (1000, 32), the network's is (5, 32)",
        "missing: layer1.0.bn1.running_var",
        "unexpected: layer5.0.conv1.weight (3, 2, 1, 1)",
    ]
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(model))


def torch_tensors(model: ResNet) -> dict[str, np.ndarray]:
    """Random tensors under every name the network knows, in torch's axis order."""
    rng = np.random.default_rng(0)
    order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
    return {
        torchvision_name(path): rng.random(
            tuple(value.shape[axis] for axis in order[len(value.shape)]), np.float32
        )
        for path, value in nnx.to_flat_state(nnx.state(model))
    }


def test_what_is_put_in_comes_out() -> None:
    model = ResNet(50, 5, width=4, in_channels=2, rngs=nnx.Rngs(0))
    tensors = torch_tensors(model)
    load_torchvision_tensors(model, tensors)
    found = torchvision_tensors(model)
    assert sorted(found) == sorted(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor, strict=True)


def test_numbers_that_are_no_weights_are_named() -> None:
    model = ResNet(18, 5, width=4, rngs=nnx.Rngs(0))
    tensors = torch_tensors(model)
    tensors["fc.bias"] = np.array([0, 1, np.nan, 3, 4], np.float32)
    tensors["conv1.weight"] = tensors["conv1.weight"].astype(np.float64) * 1e300
    tensors["bn1.running_var"] = -tensors["bn1.running_var"]
    tensors["bn1.weight"] = np.arange(4)
    with pytest.raises(ValueError, match="do not fit the network") as error:
        load_torchvision_tensors(model, tensors)
    assert sorted(line.strip() for line in str(error.value).splitlines()[1:]) == [
        "a variance below zero: bn1.running_var",
        "of type int64 where floating point numbers are expected: bn1.weight",
        "with NaN or infinite numbers: conv1.weight",
        "with NaN or infinite numbers: fc.bias",
    ]


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_tensors_tell_their_network(depth: int) -> None:
    model = nnx.eval_shape(lambda: ResNet(depth, 7, width=8, in_channels=1, rngs=nnx.Rngs(0)))
    order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
    shapes = {
        torchvision_name(path): tuple(value.shape[axis] for axis in order[len(value.shape)])
        for path, value in nnx.to_flat_state(nnx.state(model))
    }
    assert describe(shapes) == f"a ResNet{depth} of width 8, 1 input channel, 7 classes"
    del shapes["fc.weight"]
    assert describe(shapes) == f"a ResNet{depth} of width 8, 1 input channel, no classifier"
    del shapes["layer3.1.conv1.weight"]
    shapes = {name: shape for name, shape in shapes.items() if not name.startswith("layer4")}
    assert describe(shapes) == "of no ResNet10, 18, 34, 50 or 101"
