"""GPU kernels that give the same bits every time, at the price of speed."""

import os

import jax
import ml_collections

# There is no public way to ask whether JAX has devices already that does not give it some.
from jax._src import xla_bridge

_FLAG = "--xla_gpu_deterministic_ops"


def deterministic_kernels() -> bool:
    """Whether XLA_FLAGS ask for deterministic GPU kernels."""
    return _asked_for() is True


def _asked_for() -> bool | None:
    """What XLA_FLAGS say; None if nothing. The last word counts, as for XLA."""
    said = None
    for word in os.environ.get("XLA_FLAGS", "").split():
        name, _, value = word.partition("=")
        if name == _FLAG:
            said = value.lower() in ("", "true", "1")
    return said


def use_deterministic_kernels(config: ml_collections.ConfigDict) -> None:
    """Has XLA choose deterministic GPU kernels, where `config.deterministic` is set.

    XLA reads its flags once, when JAX first touches a device: call this before. By the flag's
    description in XLA's `xla.proto`, a program then gives the same bits each time, and kernels are
    no longer chosen by timing them. On CPUs, whose sums have one order, nothing changes.

    Raises:
        ValueError: XLA_FLAGS say the contrary, or JAX uses a GPU already without the flag.
    """
    if not config.get("deterministic", False):
        return
    said = _asked_for()
    if said is False:
        raise ValueError(
            f"config.deterministic is True, but XLA_FLAGS in the environment hold {_FLAG}=false; leave "
            "one of them out"
        )
    if said:
        return
    if xla_bridge.backends_are_initialized():
        if jax.default_backend() == "cpu":
            return
        raise ValueError(
            "config.deterministic is True, but JAX has begun to use the "
            f"{jax.default_backend()} in this process without {_FLAG}=true; set it in XLA_FLAGS before "
            "the process starts, or make this run the first that uses JAX"
        )
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAG}=true".strip()
