"""A network's tensors in torchvision's naming and layout: reading them out and putting them in."""

import re
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from flax import nnx

from rgb2ir_jax.models.pretrained.video_layout import (
    describe_video_network,
    to_flax_video_layout,
    to_torch_video_layout,
    to_torch_video_shape,
    video_name,
)
from rgb2ir_jax.models.r2plus1d import R2Plus1D
from rgb2ir_jax.models.resnet import ARCHITECTURES, ResNet
from rgb2ir_jax.models.tsn import TSN

Named: TypeAlias = ResNet | R2Plus1D
"""Whose tensors torchvision has names for."""

COUNTER = "num_batches_tracked"

_BATCH_NORM_TENSORS = {
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
# torchvision's downsample is a Sequential of the convolution and its BatchNorm.
_DOWNSAMPLE_MODULES = {"conv": "0", "bn": "1"}


class _Layout(NamedTuple):
    """How tensors are named and laid out; all but `name` take torchvision's name first."""

    name: Callable[[tuple[Hashable, ...]], str]
    shape: Callable[[str, tuple[int, ...]], tuple[int, ...]]
    to_torch: Callable[[str, np.ndarray], np.ndarray]
    to_flax: Callable[[str, np.ndarray], np.ndarray]


def named_module(network: TSN | R2Plus1D) -> Named:
    """The part of a network that torchvision knows: a TSN's ResNet, an R(2+1)D as a whole."""
    return network.network if isinstance(network, TSN) else network


def torchvision_name(path: tuple[Hashable, ...]) -> str:
    """Name of torchvision's tensor for a variable of `ResNet`.

    Args:
        path: the variable's path in the NNX state, such as ("layer2", 0, "downsample", "conv",
            "kernel").

    Returns:
        The name, such as "layer2.0.downsample.0.weight".
    """
    *modules, variable = (str(part) for part in path)
    if "downsample" in modules:
        modules[-1] = _DOWNSAMPLE_MODULES[modules[-1]]
    tensor = "weight" if variable == "kernel" else _BATCH_NORM_TENSORS[variable]
    return ".".join((*modules, tensor))


def torchvision_tensors(model: Named) -> dict[str, np.ndarray]:
    """All parameters and BatchNorm statistics under torchvision's names, kernels OIHW, matrices OI.

    The counters `num_batches_tracked`, which compute nothing, are not among them.

    Args:
        model: see `named_module`; not one whose BatchNorm is folded.
    """
    layout, tensors = _layout(model), {}
    for path, variable in nnx.to_flat_state(_variables(model)):
        name = layout.name(path)
        tensors[name] = np.ascontiguousarray(layout.to_torch(name, np.asarray(variable[...])))
    return tensors


def torchvision_shapes(model: Named) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, as PyTorch has it, under torchvision's name; also of abstract networks."""
    layout = _layout(model)
    return {
        layout.name(path): layout.shape(layout.name(path), variable.shape)
        for path, variable in nnx.to_flat_state(_variables(model))
    }


def load_torchvision_tensors(
    model: Named, tensors: Mapping[str, np.ndarray], *, keep: Collection[str] = ()
) -> None:
    """Overwrites the parameters and BatchNorm statistics of a network.

    Args:
        model: see `named_module`; changed in place; untouched when an error is raised.
        tensors: torchvision's state dict as arrays. "num_batches_tracked" counters are ignored.
        keep: names of tensors that stay as they are.

    Raises:
        ValueError: listing every tensor that is missing, unknown to the network, of another shape,
            or not of finite numbers.
    """
    shapes = torchvision_shapes(model)
    given = {
        name: np.asarray(tensor)
        for name, tensor in tensors.items()
        if not name.endswith(COUNTER) and name not in keep
    }
    problems = [f"missing: {name}" for name in shapes if name not in given and name not in keep]
    problems += [f"unexpected: {name} {given[name].shape}" for name in given if name not in shapes]
    for name in shapes:
        if name not in given:
            continue
        if given[name].shape != shapes[name]:
            problems.append(
                f"misshapen: {name} is {given[name].shape}, the network's is {shapes[name]}"
            )
        elif problem := _problem(name, given[name]):
            problems.append(f"{problem}: {name}")
    if problems:
        raise ValueError(
            f"These tensors ({describe({name: tensor.shape for name, tensor in tensors.items()})}) do "
            f"not fit the network ({describe(shapes)}); "
            "check depth, width, in_channels and num_classes:\n  " + "\n  ".join(problems)
        )
    layout, values = _layout(model), []
    for path, variable in nnx.to_flat_state(_variables(model)):
        name = layout.name(path)
        if name not in keep:
            tensor = np.asarray(layout.to_flax(name, given[name]), variable.dtype)
            values.append((path, variable.replace(jnp.asarray(tensor))))
    nnx.update(model, nnx.from_flat_state(values))


def describe(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What network tensors are of, by names and shapes, such as "a ResNet50 of width 64, ..."."""
    if video := describe_video_network(shapes):
        return video
    deepest = {1: 0, 2: 0, 3: 0, 4: 0}
    for name in shapes:
        if found := re.match(r"layer([1-4])\.(\d{1,3})\.conv1\.weight$", name):
            deepest[int(found[1])] = max(deepest[int(found[1])], int(found[2]) + 1)
    architecture = (tuple(deepest.values()), "layer1.0.conv3.weight" in shapes)
    depth = next((depth for depth, known in ARCHITECTURES.items() if known == architecture), None)
    stem, classifier = shapes.get("conv1.weight", ()), shapes.get("fc.weight", ())
    if depth is None or len(stem) != 4:
        return "of no ResNet10, 18, 34, 50 or 101"
    plural = "s" if stem[1] != 1 else ""
    classes = f"{classifier[0]} classes" if classifier else "no classifier"
    return f"a ResNet{depth} of width {stem[0]}, {stem[1]} input channel{plural}, {classes}"


def _layout(model: Named) -> _Layout:
    if isinstance(model, R2Plus1D):
        return _Layout(
            video_name, to_torch_video_shape, to_torch_video_layout, to_flax_video_layout
        )
    return _Layout(torchvision_name, _to_torch_shape, _to_torch_layout, _to_flax_layout)


def _variables(model: Named) -> nnx.State:
    return nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat))


def _problem(name: str, tensor: np.ndarray) -> str | None:
    """Why a tensor of the right shape cannot be a weight."""
    if not jnp.issubdtype(tensor.dtype, jnp.floating):
        return f"of type {tensor.dtype} where floating point numbers are expected"
    with np.errstate(over="ignore"):
        values = tensor.astype(np.float32)
    if not np.isfinite(values).all():
        return "with NaN or infinite numbers"
    if name.endswith("running_var") and (values < 0).any():
        return "a variance below zero"
    return None


def _to_flax_layout(_: str, tensor: np.ndarray) -> np.ndarray:
    """OIHW convolution kernels to HWIO, OI matrices to IO; vectors stay."""
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    return tensor.transpose()


def _to_torch_layout(_: str, tensor: np.ndarray) -> np.ndarray:
    """The inverse of `_to_flax_layout`."""
    if tensor.ndim == 4:
        return tensor.transpose(3, 2, 0, 1)
    return tensor.transpose()


def _to_torch_shape(_: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """`_to_torch_layout` on shapes."""
    if len(shape) == 4:
        return shape[3], shape[2], shape[0], shape[1]
    return shape[::-1]
