"""Weights in torchvision's naming and layout, put into a `ResNet`."""

from collections.abc import Hashable, Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx

from rgb2ir_jax.models.resnet import ResNet

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


def _to_flax_layout(tensor: np.ndarray) -> np.ndarray:
    """OIHW convolution kernels to HWIO, OI matrices to IO; vectors stay."""
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    if tensor.ndim == 2:
        return tensor.transpose()
    return tensor


def load_torchvision_tensors(model: ResNet, tensors: Mapping[str, np.ndarray]) -> None:
    """Overwrites all parameters and BatchNorm statistics of a network.

    Args:
        model: changed in place; untouched when an error is raised. Of a `TSN`, pass its `network`.
        tensors: torchvision's state dict as arrays. "num_batches_tracked" counters are ignored.

    Raises:
        ValueError: listing every tensor that is missing, unknown to the network or of another
            shape.
    """
    targets = {
        torchvision_name(path): variable
        for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat)))
    }
    given = {
        name: np.asarray(tensor)
        for name, tensor in tensors.items()
        if not name.endswith("num_batches_tracked")
    }
    problems = [f"missing: {name}" for name in targets if name not in given]
    problems += [f"unexpected: {name} {given[name].shape}" for name in given if name not in targets]
    loaded = {}
    for name, target in targets.items():
        if name not in given:
            continue
        tensor = _to_flax_layout(given[name])
        if tensor.shape == target.shape:
            loaded[name] = jnp.asarray(tensor, target.dtype)
        else:
            problems.append(
                f"misshapen: {name} is {given[name].shape}, the network's is "
                f"{_to_torch_shape(target.shape)}"
            )
    if problems:
        raise ValueError(
            "These tensors do not fit the network; check "
            "depth, width, in_channels and num_classes:\n  " + "\n  ".join(problems)
        )
    _assign(model, loaded)


def _to_torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The inverse of `_to_flax_layout` on shapes."""
    if len(shape) == 4:
        return shape[3], shape[2], shape[0], shape[1]
    return shape[::-1]


def _assign(model: ResNet, values: Mapping[str, jnp.ndarray]) -> None:
    flat = nnx.to_flat_state(nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat)))
    nnx.update(
        model,
        nnx.from_flat_state(
            [(path, variable.replace(values[torchvision_name(path)])) for path, variable in flat]
        ),
    )
