"""What other libraries call a ResNet's tensors, in torchvision's names.

timm's names are torchvision's. Hugging Face's are those of transformers' `ResNetModel` and
`ResNetForImageClassification`.
"""

import re
from collections.abc import Mapping

import numpy as np

from rgb2ir_jax.models.pretrained.torchvision_layout import COUNTER

# torch.nn.DataParallel and torch.compile put these before every name.
_WRAPPERS = ("module.", "_orig_mod.")

_STEM = re.compile(r"(?:resnet\.)?embedder\.embedder\.(convolution|normalization)\.(\w+)")
_BLOCK = re.compile(
    r"(?:resnet\.)?encoder\.stages\.(\d+)\.layers\.(\d+)\."
    r"(?:layer\.(\d+)|(shortcut))\.(convolution|normalization)\.(\w+)"
)
_CLASSIFIER = re.compile(r"classifier\.1\.(weight|bias)")


def to_torchvision_names(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Renames the tensors of a state dict; counters of batches are left out.

    Names that are neither torchvision's nor Hugging Face's stay as they are.

    Raises:
        ValueError: two tensors would get one name.
    """
    for wrapper in _WRAPPERS:
        if tensors and all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    hugging_face = any(_STEM.fullmatch(name) for name in tensors)
    renamed: dict[str, np.ndarray] = {}
    for name, tensor in tensors.items():
        if name.endswith(COUNTER):
            continue
        new = _from_hugging_face(name) if hugging_face else name
        if new in renamed:
            raise ValueError(f"two of the tensors mean {new}, one of them is {name}")
        renamed[new] = tensor
    return renamed


def _from_hugging_face(name: str) -> str:
    if found := _STEM.fullmatch(name):
        return f"{'conv1' if found[1] == 'convolution' else 'bn1'}.{found[2]}"
    if found := _CLASSIFIER.fullmatch(name):
        return f"fc.{found[1]}"
    if found := _BLOCK.fullmatch(name):
        stage, block, layer, shortcut, kind, tensor = found.groups()
        convolves = kind == "convolution"
        if shortcut:
            module = f"downsample.{0 if convolves else 1}"
        else:
            module = f"{'conv' if convolves else 'bn'}{int(layer) + 1}"
        return f"layer{int(stage) + 1}.{int(block)}.{module}.{tensor}"
    return name
