"""Zero-DCE's weights as files: the official names, safetensors or what `torch.save` writes."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from rgb2ir_jax.models.enhancement.zero_dce import LAYERS, ZeroDCE

Tensors = dict[str, np.ndarray]

# A kernel is OIHW in PyTorch, HWIO in Flax.
_TO_TORCH, _TO_FLAX = (3, 2, 0, 1), (2, 3, 1, 0)
# What torch.nn.DataParallel puts before every name.
_PARALLEL = "module."


def zero_dce_tensors(network: ZeroDCE) -> Tensors:
    """The weights under the official names (e_conv1.weight, ...), kernels OIHW, float32."""
    tensors = {}
    for name in LAYERS:
        layer = getattr(network, name)
        tensors[f"{name}.weight"] = np.asarray(layer.kernel[...], np.float32).transpose(_TO_TORCH)
        tensors[f"{name}.bias"] = np.asarray(layer.bias[...], np.float32)
    return tensors


def build_zero_dce(tensors: Mapping[str, np.ndarray], dtype: DTypeLike = jnp.float32) -> ZeroDCE:
    """A `ZeroDCE` with given weights, computing in `dtype`.

    Args:
        tensors: as `read_zero_dce` gives them.
        dtype: compute dtype of the convolutions.
    """
    network = nnx.eval_shape(lambda: ZeroDCE(dtype=dtype, rngs=nnx.Rngs(0)))
    for name in LAYERS:
        layer = getattr(network, name)
        layer.kernel = nnx.Param(jnp.asarray(tensors[f"{name}.weight"].transpose(_TO_FLAX)))
        layer.bias = nnx.Param(jnp.asarray(tensors[f"{name}.bias"]))
    return network


def read_zero_dce(path: Path) -> Tensors:
    """Reads the weights that a run of configs/zero_dce.py wrote, or the authors' (`Epoch99.pth`).

    Args:
        path: a `.safetensors` file, or one of `torch.save`, which is read without executing it.

    Returns:
        All fourteen tensors in float32, kernels OIHW.

    Raises:
        ValueError: the file is not there, is damaged, asks for anything but tensors, or holds others
            than Zero-DCE's.
    """
    # That package's initialise builds networks, whose description knows enhancements.
    from rgb2ir_jax.models.pretrained.safetensors_file import read_safetensors
    from rgb2ir_jax.models.pretrained.torch_file import read_torch_file

    if not path.is_file():
        raise ValueError(
            f"there is no file {path}; expected Zero-DCE's weights, such as the zero_dce.safetensors of a "
            "run of configs/zero_dce.py, or the authors' Epoch99.pth"
        )
    read = read_safetensors if path.suffix == ".safetensors" else read_torch_file
    found = {name.removeprefix(_PARALLEL): tensor for name, tensor in read(path).items()}
    expected = _shapes()
    problems = [
        *(f"{name} is missing" for name in expected if name not in found),
        *(f"{name} is unexpected" for name in found if name not in expected),
        *(
            f"{name} has the shape {found[name].shape}, expected {shape}"
            for name, shape in expected.items()
            if name in found and found[name].shape != shape
        ),
    ]
    if problems:
        shown = "; ".join(problems[:6]) + "; ..." * (len(problems) > 6)
        raise ValueError(f"{path} does not hold Zero-DCE's weights: {shown}")
    tensors = {name: np.ascontiguousarray(found[name], np.float32) for name in expected}
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError(f"{path}: some of its weights are not finite; it is of no use")
    return tensors


def write_zero_dce(path: Path, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
    """Writes weights as safetensors; what PyTorch reads of it loads into the official network."""
    from rgb2ir_jax.models.pretrained.safetensors_file import write_safetensors

    write_safetensors(path, tensors, metadata or {})


def digest(tensors: Tensors) -> str:
    """SHA-256 of names and numbers, whatever file they came in."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(np.ascontiguousarray(tensors[name], "<f4").tobytes())
    return found.hexdigest()


def _shapes() -> dict[str, tuple[int, ...]]:
    network = nnx.eval_shape(lambda: ZeroDCE(rngs=nnx.Rngs(0)))
    shapes: dict[str, tuple[int, ...]] = {}
    for name in LAYERS:
        layer = getattr(network, name)
        shapes[f"{name}.weight"] = tuple(layer.kernel.shape[axis] for axis in _TO_TORCH)
        shapes[f"{name}.bias"] = tuple(jax.tree.leaves(layer.bias)[0].shape)
    return shapes
