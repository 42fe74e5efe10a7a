"""BatchNorm that does not learn, or that looks at a replica's part of the batch alone."""

from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from rgb2ir_jax.models.normalization import BatchNorm, normalise_by_batch

MODES = ("train", "replica", "frozen", "partial")
"""By the batch's statistics; by those of each device's part of it; none learns; the first one alone
does (TSN's "partial BN")."""


class FrozenBatchNorm(BatchNorm):
    """Normalises by its running statistics, in training too."""

    def __call__(
        self, x: Array, use_running_average: bool | None = None, *, mask: Array | None = None
    ) -> Array:
        """Normalises `x`, whatever `use_running_average` says."""
        del use_running_average
        return super().__call__(x, use_running_average=True, mask=mask)


class ReplicaBatchNorm(BatchNorm):
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
        scale, bias = self.affine()
        parts = x.reshape(self.replicas, -1, *x.shape[1:])
        normalised, mean, var = jax.vmap(
            lambda part: normalise_by_batch(part, scale, bias, self.epsilon)
        )(parts)
        self.take_up(mean.mean(0), var.mean(0), parts[0].size // x.shape[-1])
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
        if type(child) is BatchNorm
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


def _like(layer: BatchNorm, kind: type[BatchNorm]) -> BatchNorm:
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
