"""ResNet18 and ResNet50 in PyTorch, written from the published architecture (arXiv:1512.03385).

The network of `rgb2ir_jax/models/resnet.py`, with torchvision's names for the tensors: what a PyTorch
author would train, for `benchmarks/step.py` to stand beside. Needs torch, which nothing else does.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

torch: Any = importlib.import_module("torch")
functional: Any = importlib.import_module("torch.nn.functional")
fusion: Any = importlib.import_module("torch.nn.utils.fusion")

Tensors = dict[str, Any]
Norm = Callable[[Any, str], Any]

_BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
_STATISTICS = ("running_mean", "running_var")


def is_statistic(name: str) -> bool:
    """Whether a tensor is a running statistic of a BatchNorm."""
    return name.endswith(_STATISTICS)


def load(arrays: Mapping[str, np.ndarray], device: Any, *, train: bool) -> Tensors:
    """The tensors on a device, kernels channels last, as leaves of autograd where they are trained."""
    tensors = {}
    for name, array in arrays.items():
        tensor = torch.tensor(array).to(device)
        if tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        tensors[name] = tensor.requires_grad_(train and not is_statistic(name))
    return tensors


def fold(tensors: Tensors, dtype: Any) -> Tensors:
    """BatchNorm folded into the convolutions by PyTorch's own function, in `dtype`."""
    folded: Tensors = {name: tensors[name] for name in ("fc.weight", "fc.bias")}
    for name in tensors:
        convolution = name.removesuffix(".weight")
        if not name.endswith(".weight") or tensors[name].ndim != 4:
            continue
        norm = norm_of(convolution)
        scale, shift = tensors[f"{norm}.weight"], tensors[f"{norm}.bias"]
        mean, var = (tensors[f"{norm}.{part}"] for part in _STATISTICS)
        kernel, bias = fusion.fuse_conv_bn_weights(
            tensors[name], None, mean, var, 1e-5, scale, shift
        )
        folded[name] = kernel.detach().to(dtype).contiguous(memory_format=torch.channels_last)
        folded[f"{convolution}.bias"] = bias.detach().to(dtype)
    return folded


def norm_of(convolution: str) -> str:
    """The name (torchvision's) of the BatchNorm behind a convolution."""
    if convolution.endswith("downsample.0"):
        return f"{convolution[:-1]}1"
    return convolution.replace("conv", "bn")


def trained(x: Any, name: str, tensors: Tensors, stride: int) -> Any:
    """Convolution, and BatchNorm by the batch's statistics."""
    kernel = tensors[f"{name}.weight"]
    x = functional.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2)
    norm = norm_of(name)
    return functional.batch_norm(
        x,
        tensors[f"{norm}.running_mean"],
        tensors[f"{norm}.running_var"],
        tensors[f"{norm}.weight"],
        tensors[f"{norm}.bias"],
        training=True,
        momentum=0.1,
        eps=1e-5,
    )


def folded(x: Any, name: str, tensors: Tensors, stride: int) -> Any:
    """Convolution with the bias that BatchNorm was folded into."""
    kernel, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    return functional.conv2d(x, kernel, bias, stride, kernel.shape[-1] // 2)


def resnet(frames: Any, tensors: Tensors, depth: int, apply: Callable[..., Any]) -> Any:
    """Logits, float32, and the maps of the four stages.

    Args:
        frames: normalised, (frame, channel, height, width), channels last in memory.
        tensors: by torchvision's names.
        depth: 18 or 50.
        apply: `trained` or `folded`.
    """
    relu = functional.relu_
    x = functional.max_pool2d(relu(apply(frames, "conv1", tensors, 2)), 3, 2, 1)
    stages = []
    for stage, blocks in enumerate(_BLOCKS[depth], start=1):
        for position in range(blocks):
            name = f"layer{stage}.{position}"
            stride = 2 if stage > 1 and position == 0 else 1
            shortcut = x
            if f"{name}.downsample.0.weight" in tensors:
                shortcut = apply(x, f"{name}.downsample.0", tensors, stride)
            if depth == 18:
                y = relu(apply(x, f"{name}.conv1", tensors, stride))
                y = apply(y, f"{name}.conv2", tensors, 1)
            else:
                y = relu(apply(x, f"{name}.conv1", tensors, 1))
                y = relu(apply(y, f"{name}.conv2", tensors, stride))
                y = apply(y, f"{name}.conv3", tensors, 1)
            x = relu(y + shortcut)
        stages.append(x)
    features = x.float().mean((2, 3))
    return functional.linear(features, tensors["fc.weight"], tensors["fc.bias"]), stages
