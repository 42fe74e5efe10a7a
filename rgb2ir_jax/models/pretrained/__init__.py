"""Weights from elsewhere: PyTorch's files, safetensors, torchvision's published ones."""

from rgb2ir_jax.models.pretrained.initialise import Report, initialise, read_network
from rgb2ir_jax.models.pretrained.torchvision_layout import (
    load_torchvision_tensors,
    named_module,
    torchvision_tensors,
)

__all__ = [
    "Report",
    "initialise",
    "load_torchvision_tensors",
    "named_module",
    "read_network",
    "torchvision_tensors",
]
