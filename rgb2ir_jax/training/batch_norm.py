"""BatchNorm that does not learn, or that looks at a replica's part of the batch alone."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

MODES = ("train", "replica", "frozen", "partial")
"""By the batch's statistics; by those of each device's part of it; none learns; the first one alone
does (TSN's "partial BN")."""


class FrozenBatchNorm(nnx.BatchNorm):
    """Normalises by its running statistics, in training too."""

    def __call__(
        self, x: Array, use_running_average: bool | None = None, *, mask: Array | None = None
    ) -> Array:
        """Normalises `x`, whatever `use_running_average` says."""
        del use_running_average
        return super().__call__(x, use_running_average=True, mask=mask)


class ReplicaBatchNorm(nnx.BatchNorm):
    """In training, normalises each of `replicas` equal parts of the batch by its own statistics.

    With as many parts as devices each device looks at its own clips, and nothing is exchanged. The
    running statistics accumulate the mean over the parts.
    """

    replicas: int = 1

    def __call__(
        self,
        x: Float[Array, "batch *spatial channel"],
        use_running_average: bool | None = None,
        *,
        mask: Array | None = None,
    ) -> Float[Array, "batch *spatial channel"]:
        """Normalises `x`; see the class."""
        if use_running_average:
            return super().__call__(x, use_running_average=True, mask=mask)
        parts = x.reshape(self.replicas, -1, *x.shape[1:]).astype(jnp.float32)
        axes = tuple(range(1, parts.ndim - 1))
        mean = jnp.mean(parts, axis=axes, keepdims=True)
        var = jnp.mean((parts - mean) ** 2, axis=axes, keepdims=True)
        normalised = (parts - mean) / jnp.sqrt(var + self.epsilon)
        keep = self.momentum
        self.mean[...] = keep * self.mean[...] + (1 - keep) * mean.reshape(self.replicas, -1).mean(
            0
        )
        self.var[...] = keep * self.var[...] + (1 - keep) * var.reshape(self.replicas, -1).mean(0)
        if self.scale is not None and self.bias is not None:
            normalised = normalised * self.scale[...] + self.bias[...]
        return normalised.reshape(x.shape).astype(self.dtype or x.dtype)


def arrange_batch_norm(network: Any, mode: str, *, replicas: int = 1) -> Any:
    """Exchanges the BatchNorm layers of a fresh network in place; its variables stay the same.

    Args:
        network: a `TSN`.
        mode: one of `MODES`.
        replicas: with "replica", parts of the batch with statistics of their own.

    Returns:
        The network.
    """
    found = [
        (path, module, name, child)
        for path, module in nnx.iter_modules(network)
        for name, child in vars(module).items()
        if type(child) is nnx.BatchNorm
    ]
    for path, module, name, child in found:
        if mode == "frozen" or (mode == "partial" and not is_first((*path, name))):
            setattr(module, name, _like(child, FrozenBatchNorm))
        elif mode == "replica" and replicas > 1:
            setattr(module, name, _like(child, ReplicaBatchNorm))
            getattr(module, name).replicas = replicas
    return network


def is_first(path: tuple[Any, ...]) -> bool:
    """Whether a path of names, within the network, leads to the stem's BatchNorm or into it."""
    return "bn1" in path and not any(str(name).startswith("layer") for name in path)


def is_batch_norm(path: tuple[Any, ...]) -> bool:
    """Whether a path of names leads to a BatchNorm or into it."""
    return any(str(name).startswith("bn") for name in path)


def _like(layer: nnx.BatchNorm, kind: type[nnx.BatchNorm]) -> nnx.BatchNorm:
    other = kind(
        layer.num_features,
        momentum=layer.momentum,
        epsilon=layer.epsilon,
        dtype=layer.dtype,
        param_dtype=layer.param_dtype,
        rngs=nnx.Rngs(0),
    )
    other.scale, other.bias, other.mean, other.var = layer.scale, layer.bias, layer.mean, layer.var
    return other
