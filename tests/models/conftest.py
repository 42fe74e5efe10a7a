"""The published ResNet18 whose outputs are stored, on weights made by the stored recipe."""

import json
import pathlib
import zlib
from typing import Any, NamedTuple

import numpy as np
import pytest

_DATA = pathlib.Path(__file__).parent / "data"


class Reference(NamedTuple):
    """Weights in torchvision's layout, an NHWC input and torchvision's outputs for it."""

    tensors: dict[str, np.ndarray]
    images: np.ndarray
    logits: np.ndarray
    features: np.ndarray
    stages: dict[str, dict[str, Any]]


def _draw(name: str, shape: tuple[int, ...], last_norm: str = "bn2") -> np.ndarray:
    """One tensor by the recipe in resnet18_reference.json; bottlenecks end with "bn3"."""
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if len(shape) == 4:
        values = random.standard_normal(shape) * np.sqrt(2 / (shape[0] * shape[2] * shape[3]))
    elif len(shape) == 2:
        values = random.standard_normal(shape) * 0.05
    elif name.endswith("running_var"):
        values = 0.5 + random.random_sample(shape)
    elif name.endswith(("bias", "running_mean")):
        values = 0.1 * random.standard_normal(shape)
    else:
        values = 0.5 + random.random_sample(shape)
        if name.endswith(f"{last_norm}.weight"):
            values = values * 0.25
    return values.astype(np.float16).astype(np.float32)


@pytest.fixture(scope="session")
def draw_tensor():
    return _draw


@pytest.fixture(scope="session")
def resnet18_reference() -> Reference:
    description = json.loads((_DATA / "resnet18_reference.json").read_text())
    arrays = np.load(_DATA / "resnet18_reference.npz")
    tensors = {name: _draw(name, tuple(shape)) for name, shape in description["tensors"].items()}
    for name, checksum in description["checksums"].items():
        assert tensors[name].astype(np.float64).sum() == pytest.approx(checksum, abs=1e-4)
    return Reference(
        tensors,
        arrays["input_nchw"].transpose(0, 2, 3, 1),
        arrays["eval_logits"],
        arrays["eval_pooled"],
        description["stages"],
    )
