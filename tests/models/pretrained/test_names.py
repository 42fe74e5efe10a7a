"""Other libraries' names against lists that were written by their own rules."""

import re

import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models.pretrained.names import to_torchvision_names
from rgb2ir_jax.models.pretrained.torchvision_layout import torchvision_name
from rgb2ir_jax.models.resnet import ResNet


def hugging_face_names(depths: tuple[int, ...], layers: int, prefix: str = "resnet.") -> list[str]:
    """The state dict of transformers' `ResNetForImageClassification` (modeling_resnet.py).

    A `ResNetConvLayer` has a convolution and a normalization; a block has `layer` (a Sequential of two
    or three) and, where the shape changes, `shortcut`.
    """

    def layer(name: str) -> list[str]:
        statistics = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return [f"{name}.convolution.weight", *(f"{name}.normalization.{s}" for s in statistics)]

    names = layer(f"{prefix}embedder.embedder")
    for stage, depth in enumerate(depths):
        for block in range(depth):
            where = f"{prefix}encoder.stages.{stage}.layers.{block}"
            if block == 0 and (stage > 0 or layers == 3):
                names += layer(f"{where}.shortcut")
            for position in range(layers):
                names += layer(f"{where}.layer.{position}")
    return [*names, "classifier.1.weight", "classifier.1.bias"]


@pytest.mark.parametrize(
    ("depth", "depths", "layers"),
    [(18, (2, 2, 2, 2), 2), (50, (3, 4, 6, 3), 3)],
)
@pytest.mark.parametrize("prefix", ["resnet.", ""])
def test_hugging_faces_names(depth, depths, layers, prefix) -> None:
    model = nnx.eval_shape(lambda: ResNet(depth, 5, width=4, rngs=nnx.Rngs(0)))
    expected = {torchvision_name(path) for path, _ in nnx.to_flat_state(nnx.state(model))}
    given = {name: np.zeros(1) for name in hugging_face_names(depths, layers, prefix)}
    assert set(to_torchvision_names(given)) == expected


def test_some_of_hugging_faces_names_by_hand() -> None:
    pairs = {
        "resnet.embedder.embedder.convolution.weight": "conv1.weight",
        "resnet.embedder.embedder.normalization.running_var": "bn1.running_var",
        "resnet.encoder.stages.0.layers.0.layer.0.convolution.weight": "layer1.0.conv1.weight",
        "resnet.encoder.stages.2.layers.22.layer.2.normalization.bias": "layer3.22.bn3.bias",
        "resnet.encoder.stages.3.layers.0.shortcut.convolution.weight": (
            "layer4.0.downsample.0.weight"
        ),
        "resnet.encoder.stages.3.layers.0.shortcut.normalization.weight": (
            "layer4.0.downsample.1.weight"
        ),
        "classifier.1.bias": "fc.bias",
    }
    found = to_torchvision_names({name: np.array([i]) for i, name in enumerate(pairs)})
    assert found == {name: i for i, name in enumerate(pairs.values())}


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_and_counters_go(wrapper) -> None:
    names = ["conv1.weight", "bn1.num_batches_tracked", "layer1.0.bn2.bias", "fc.bias"]
    found = to_torchvision_names({wrapper + name: np.zeros(1) for name in names})
    assert list(found) == ["conv1.weight", "layer1.0.bn2.bias", "fc.bias"]
    # One name without it: then it belongs to the names.
    mixed = {"module.conv1.weight": np.zeros(1), "fc.bias": np.zeros(1)}
    assert list(to_torchvision_names(mixed)) == list(mixed)


def test_two_tensors_of_one_meaning() -> None:
    names = ["embedder.embedder.convolution.weight", "resnet.embedder.embedder.convolution.weight"]
    with pytest.raises(
        ValueError, match=re.escape(f"mean conv1.weight, one of them is {names[1]}")
    ):
        to_torchvision_names({name: np.zeros(1) for name in names})
