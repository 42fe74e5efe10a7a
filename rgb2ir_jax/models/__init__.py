"""The networks that look at clips."""

from rgb2ir_jax.models.output import STAGE_NAMES, NetworkOutput
from rgb2ir_jax.models.r2plus1d import R2Plus1D
from rgb2ir_jax.models.resnet import ResNet
from rgb2ir_jax.models.tsn import TSN

__all__ = ["STAGE_NAMES", "TSN", "NetworkOutput", "R2Plus1D", "ResNet"]
