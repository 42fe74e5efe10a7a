"""Light for dark frames, before any network sees them: Zero-DCE and gamma correction."""

from rgb2ir_jax.models.enhancement.gamma import gamma_correction
from rgb2ir_jax.models.enhancement.losses import (
    color_constancy_loss,
    exposure_loss,
    illumination_smoothness_loss,
    spatial_consistency_loss,
    zero_dce_loss,
    zero_dce_terms,
)
from rgb2ir_jax.models.enhancement.stage import ENHANCEMENTS, Enhancement
from rgb2ir_jax.models.enhancement.zero_dce import ZeroDCE, apply_curves

__all__ = [
    "ENHANCEMENTS",
    "Enhancement",
    "ZeroDCE",
    "apply_curves",
    "color_constancy_loss",
    "exposure_loss",
    "gamma_correction",
    "illumination_smoothness_loss",
    "spatial_consistency_loss",
    "zero_dce_loss",
    "zero_dce_terms",
]
