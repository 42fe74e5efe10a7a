"""The network of zero_dce_reference.npz, and what PyTorch makes of it."""

import pathlib
import zlib
from collections.abc import Mapping

import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models.enhancement.weights import build_zero_dce, zero_dce_tensors
from rgb2ir_jax.models.enhancement.zero_dce import ZeroDCE


def _draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The recipe of make_zero_dce_reference.py."""
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    scale = 0.1 if len(shape) == 1 else 1.5 / np.sqrt(np.prod(shape[1:]))
    return (scale * random.standard_normal(shape)).astype(np.float16).astype(np.float32)


@pytest.fixture(scope="session")
def reference() -> Mapping[str, np.ndarray]:
    return np.load(pathlib.Path(__file__).parents[1] / "data" / "zero_dce_reference.npz")


@pytest.fixture(scope="session")
def zero_dce() -> ZeroDCE:
    tensors = zero_dce_tensors(ZeroDCE(rngs=nnx.Rngs(0)))
    return build_zero_dce({name: _draw(name, tensor.shape) for name, tensor in tensors.items()})
