"""The methods by the name that configs and the command line use."""

from collections.abc import Mapping
from typing import Any

from flax import nnx

from rgb2ir_jax.distillation.arctic import ARCTIC
from rgb2ir_jax.distillation.attention_transfer import AttentionTransfer
from rgb2ir_jax.distillation.base import Method, Widths
from rgb2ir_jax.distillation.channel_correlation import CCSKD
from rgb2ir_jax.distillation.correlation_congruence import CorrelationCongruence
from rgb2ir_jax.distillation.dkd import DKD
from rgb2ir_jax.distillation.focal_channel import FocalChannel
from rgb2ir_jax.distillation.mgcam import MGCAM
from rgb2ir_jax.distillation.relational import RKD
from rgb2ir_jax.distillation.similarity_preserving import SimilarityPreserving
from rgb2ir_jax.distillation.soft_target import SoftTarget

METHODS: dict[str, type[Method]] = {
    "st": SoftTarget,
    "at": AttentionTransfer,
    "sp": SimilarityPreserving,
    "cc": CorrelationCongruence,
    "rkd": RKD,
    "ccskd": CCSKD,
    "dkd": DKD,
    "mgcam": MGCAM,
    "arctic": ARCTIC,
    "focal": FocalChannel,
}


def build_method(
    name: str,
    options: Mapping[str, Any],
    *,
    widths: Widths | None = None,
    rngs: nnx.Rngs | None = None,
) -> Method:
    """Makes the named method from its options (the config's section without weight and warm-up).

    Args:
        name: one of `METHODS`.
        options: its keyword arguments.
        widths: of the networks; needed by methods with connectors, ignored by the others.
        rngs: for the connectors' initial weights; needed with `widths`.

    Raises:
        ValueError: an unknown name, options that the method does not have, values that it does not
            take, or no widths for a method with connectors.
    """
    if name not in METHODS:
        raise ValueError(
            f"distillation method {name!r} is not known; expected one of {', '.join(sorted(METHODS))}, "
            "or several of them joined by '+'"
        )
    method = METHODS[name]
    given: dict[str, Any] = {}
    if method.connects:
        if widths is None or rngs is None:
            raise ValueError(
                f"method {name!r} connects the stages of two networks; expected their widths and rngs"
            )
        given = {"widths": widths, "rngs": rngs}
    try:
        return method(**options, **given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"config.distill.{name}: {error}") from error


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raises what `build_method` would for these options, without making any weights."""
    anything = {"stage1": 1}
    nnx.eval_shape(
        lambda: build_method(name, options, widths=Widths(anything, anything), rngs=nnx.Rngs(0))
    )
