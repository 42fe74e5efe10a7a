"""Names and layouts of torchvision's tensors, and the errors for those that do not fit."""

import jax
import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models.resnet import ResNet
from rgb2ir_jax.models.weights import load_torchvision_tensors, torchvision_name


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
