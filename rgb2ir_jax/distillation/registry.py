"""The methods by the name that configs and the command line use."""

from collections.abc import Mapping
from typing import Any

from rgb2ir_jax.distillation.base import Method
from rgb2ir_jax.distillation.dkd import DKD
from rgb2ir_jax.distillation.mgcam import MGCAM

METHODS: dict[str, type[Method]] = {
    "dkd": DKD,
    "mgcam": MGCAM,
}


def build_method(name: str, options: Mapping[str, Any]) -> Method:
    """Makes the named method from its options (the config's section without `weight`).

    Raises:
        ValueError: an unknown name, options that the method does not have, or values that it does
            not take.
    """
    if name not in METHODS:
        raise ValueError(
            f"distillation method {name!r} is not known; expected one of {', '.join(sorted(METHODS))}, "
            "or several of them joined by '+'"
        )
    try:
        return METHODS[name](**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"config.distill.{name}: {error}") from error
