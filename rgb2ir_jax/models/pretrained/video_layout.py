"""An `R2Plus1D`'s tensors in the naming and layout of torchvision's `VideoResNet`.

The 34-layer networks trained on IG-65M that moabitcoin/ig65m-pytorch converted from Caffe2 have the
same names. A BERT head has names of its own, which begin with "bert.".
"""

import re
from collections.abc import Hashable, Mapping

import numpy as np

from rgb2ir_jax.models.r2plus1d import VIDEO_ARCHITECTURES

STEM = "stem.0.weight"
HEAD = "bert."

_NORM_TENSORS = {
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "kernel": "weight",
}
_STEM_MODULES = {"conv1": "0", "bn1": "1", "conv2": "3", "bn2": "4"}
# torchvision's Conv2Plus1D is a Sequential of all but the last BatchNorm, which stands beside it.
_FACTORISED_MODULES = {"conv1": "0.0", "bn1": "0.1", "conv2": "0.3", "bn2": "1"}
_HALVES = {"first": "conv1", "second": "conv2"}
_DOWNSAMPLE_MODULES = {"conv": "0", "bn": "1"}


def video_name(path: tuple[Hashable, ...]) -> str:
    """Name of torchvision's tensor for a variable of `R2Plus1D`.

    Args:
        path: the variable's path in the NNX state, such as ("layer2", 0, "first", "conv1", "kernel").

    Returns:
        The name, such as "layer2.0.conv1.0.0.weight".
    """
    *modules, variable = (str(part) for part in path)
    if modules and modules[0] == "bert":
        return ".".join((*modules, _NORM_TENSORS.get(variable, variable)))
    if modules[0] == "stem":
        modules[1] = _STEM_MODULES[modules[1]]
    elif "downsample" in modules:
        modules[-1] = _DOWNSAMPLE_MODULES[modules[-1]]
    elif modules[0].startswith("layer"):
        modules[2:] = [_HALVES[modules[2]], _FACTORISED_MODULES[modules[3]]]
    return ".".join((*modules, _NORM_TENSORS[variable]))


def to_torch_video_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that PyTorch has for one of this project's tensors, by PyTorch's name."""
    if len(shape) == 4:
        height, width, inputs, outputs = shape
        # Kernels over time are stored as (time, 1).
        kernel = (height, 1, 1) if _is_temporal(name) else (1, height, width)
        return outputs, inputs, *kernel
    return shape[::-1] if _is_matrix(name) else shape


def to_torch_video_layout(name: str, tensor: np.ndarray) -> np.ndarray:
    """A kernel as (out, in, time, height, width), a matrix as (out, in); all else stays."""
    if tensor.ndim == 4:
        return tensor.transpose(3, 2, 0, 1).reshape(to_torch_video_shape(name, tensor.shape))
    return tensor.transpose() if _is_matrix(name) else tensor


def to_flax_video_layout(name: str, tensor: np.ndarray) -> np.ndarray:
    """The inverse of `to_torch_video_layout`."""
    if tensor.ndim == 5:
        outputs, inputs, time, height, width = tensor.shape
        kernel = (time, 1) if _is_temporal(name) else (height, width)
        return tensor.reshape(outputs, inputs, *kernel).transpose(2, 3, 1, 0)
    return tensor.transpose() if _is_matrix(name) else tensor


def describe_video_network(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """What video network the names and shapes of tensors are of; None: of none."""
    stem = shapes.get("stem.3.weight", ())
    if len(stem) != 5 or len(shapes.get(STEM, ())) != 5:
        return None
    found = [re.match(r"layer([1-4])\.(\d{1,3})\.conv1\.0\.0\.weight$", name) for name in shapes]
    blocks = [0, 0, 0, 0]
    for match in filter(None, found):
        blocks[int(match[1]) - 1] = max(blocks[int(match[1]) - 1], int(match[2]) + 1)
    depths = {architecture.blocks: depth for depth, architecture in VIDEO_ARCHITECTURES.items()}
    depth = depths.get((blocks[0], blocks[1], blocks[2], blocks[3]))
    if depth is None:
        return None
    channels = shapes[STEM][1]
    classifier = shapes.get("fc.weight", ())
    return (
        f"an R(2+1)D-{depth} of width {stem[0]}, {channels} input channel{'s' * (channels != 1)}, "
        f"{f'{classifier[0]} classes' if classifier else 'no classifier'}"
        f"{', with BERT head' * any(name.startswith(HEAD) for name in shapes)}"
    )


def _is_temporal(name: str) -> bool:
    return name == "stem.3.weight" or name.endswith(".0.3.weight")


def _is_matrix(name: str) -> bool:
    """Whether it is a linear layer's; tensors of two axes that are none stay as they are."""
    if name == "fc.weight":
        return True
    return name.startswith(HEAD) and name.endswith(".weight") and "norm" not in name
