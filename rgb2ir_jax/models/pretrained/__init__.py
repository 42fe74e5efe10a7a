"""Weights from elsewhere: PyTorch's files, safetensors, torchvision's published ones."""

from rgb2ir_jax.models.pretrained.initialise import Report, initialise, read_network
from rgb2ir_jax.models.pretrained.torchvision_layout import (
    load_torchvision_tensors,
    torchvision_tensors,
)

__all__ = [
    "Report",
    "initialise",
    "load_torchvision_tensors",
    "read_network",
    "torchvision_tensors",
]
