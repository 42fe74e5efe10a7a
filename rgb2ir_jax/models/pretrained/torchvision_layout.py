"""A `ResNet`'s tensors in torchvision's naming and layout: reading them out and putting them in."""

import re
from collections.abc import Collection, Hashable, Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx

from rgb2ir_jax.models.resnet import ARCHITECTURES, ResNet

COUNTER = "num_batches_tracked"

_BATCH_NORM_TENSORS = {
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
# torchvision's downsample is a Sequential of the convolution and its BatchNorm.
_DOWNSAMPLE_MODULES = {"conv": "0", "bn": "1"}


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


def torchvision_tensors(model: ResNet) -> dict[str, np.ndarray]:
    """All parameters and BatchNorm statistics under torchvision's names, kernels OIHW, matrices OI.

    The counters `num_batches_tracked`, which compute nothing, are not among them.

    Args:
        model: of a `TSN`, its `network`; not one whose BatchNorm is folded.
    """
    return {
        torchvision_name(path): np.ascontiguousarray(_to_torch_layout(np.asarray(variable[...])))
        for path, variable in nnx.to_flat_state(_variables(model))
    }


def torchvision_shapes(model: ResNet) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, as PyTorch has it, under torchvision's name; also of abstract networks."""
    return {
        torchvision_name(path): _to_torch_shape(variable.shape)
        for path, variable in nnx.to_flat_state(_variables(model))
    }


def load_torchvision_tensors(
    model: ResNet, tensors: Mapping[str, np.ndarray], *, keep: Collection[str] = ()
) -> None:
    """Overwrites the parameters and BatchNorm statistics of a network.

    Args:
        model: changed in place; untouched when an error is raised. Of a `TSN`, pass its `network`.
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
    values = {
        path: variable.replace(
            jnp.asarray(np.asarray(_to_flax_layout(given[torchvision_name(path)]), variable.dtype))
        )
        for path, variable in nnx.to_flat_state(_variables(model))
        if torchvision_name(path) not in keep
    }
    nnx.update(model, nnx.from_flat_state(list(values.items())))


def describe(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What network tensors are of, by names and shapes, such as "a ResNet50 of width 64, ..."."""
    deepest = {1: 0, 2: 0, 3: 0, 4: 0}
    for name in shapes:
        if found := re.match(r"layer([1-4])\.(\d{1,3})\.conv1\.weight$", name):
            deepest[int(found[1])] = max(deepest[int(found[1])], int(found[2]) + 1)
    architecture = (tuple(deepest.values()), "layer1.0.conv3.weight" in shapes)
    depth = next((depth for depth, known in ARCHITECTURES.items() if known == architecture), None)
    stem, classifier = shapes.get("conv1.weight", ()), shapes.get("fc.weight", ())
    if depth is None or len(stem) != 4:
        return "of no ResNet18, 34, 50 or 101"
    plural = "s" if stem[1] != 1 else ""
    classes = f"{classifier[0]} classes" if classifier else "no classifier"
    return f"a ResNet{depth} of width {stem[0]}, {stem[1]} input channel{plural}, {classes}"


def _variables(model: ResNet) -> nnx.State:
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


def _to_flax_layout(tensor: np.ndarray) -> np.ndarray:
    """OIHW convolution kernels to HWIO, OI matrices to IO; vectors stay."""
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    return tensor.transpose()


def _to_torch_layout(tensor: np.ndarray) -> np.ndarray:
    """The inverse of `_to_flax_layout`."""
    if tensor.ndim == 4:
        return tensor.transpose(3, 2, 0, 1)
    return tensor.transpose()


def _to_torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """`_to_torch_layout` on shapes."""
    if len(shape) == 4:
        return shape[3], shape[2], shape[0], shape[1]
    return shape[::-1]
