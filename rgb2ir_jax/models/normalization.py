"""BatchNorm with PyTorch's statistics, exact in float32, and a gradient that is written out.

Flax takes the variance as E[x^2] - E[x]^2, which loses the digits that mean and variance share, and
its running variance is the biased one. Sums and gradient are written so that XLA is quick with them
on a CPU too, where its own take most of a training step (docs/performance.md).
"""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalise_by_batch(
    x: Float[Array, "*batch channel"],
    scale: Float[Array, " channel"],
    bias: Float[Array, " channel"],
    epsilon: float,
) -> tuple[Float[Array, "*batch channel"], Float[Array, " channel"], Float[Array, " channel"]]:
    """Normalises every channel by its mean and biased variance over all other axes.

    Equations of algorithm 1 in Ioffe and Szegedy (2015), the variance as E[(x - E[x])^2]. At least
    float32 inside, whatever the dtype of `x`.

    Returns:
        The map, in at least float32; mean and variance, through which no gradient flows.
    """
    return _forward(x, scale, bias, epsilon)[0]


# Layers of one shape share what is jitted: tracing and lowering are half of a warm start.
@functools.partial(jax.jit, static_argnums=3)
def _forward(x: Array, scale: Array, bias: Array, epsilon: float) -> tuple[tuple, tuple]:
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    count = x.size // x.shape[-1]
    mean = channel_sum(wide) / count
    var = channel_sum(jnp.square(wide - mean)) / count
    inverse = jax.lax.rsqrt(var + epsilon)
    normalised = (wide - mean) * (inverse * scale) + bias
    return (normalised, mean, var), (x, scale, mean, inverse)


@functools.partial(jax.jit, static_argnums=0)
def _backward(epsilon: float, saved: tuple, cotangents: tuple) -> tuple[Array, Array, Array]:
    del epsilon
    x, scale, mean, inverse = saved
    slope = cotangents[0]
    count = x.size // x.shape[-1]
    centred = x.astype(slope.dtype) - mean
    towards_bias = channel_sum(slope)
    towards_scale = channel_sum(slope * centred) * inverse
    towards_x = (scale * inverse) * (
        slope - towards_bias / count - centred * (inverse * towards_scale / count)
    )
    return (
        towards_x.astype(x.dtype),
        towards_scale.astype(scale.dtype),
        towards_bias.astype(scale.dtype),
    )


normalise_by_batch.defvjp(_forward, _backward)


def channel_sum(x: Float[Array, "*batch channel"]) -> Float[Array, " channel"]:
    """The sum over all axes but the last."""
    return jax.lax.platform_dependent(x, cpu=_sum_in_two_stages, default=_sum)


def _sum(x: Array) -> Array:
    return x.sum(tuple(range(x.ndim - 1)))


def _sum_in_two_stages(x: Array) -> Array:
    """First of up to 32 long rows, then of what they leave.

    With the flag that keeps its sums right (rgb2ir_jax/__init__.py), XLA for CPU adds the values of a
    channel one by one; rows of many pixels it adds many numbers at a time (docs/performance.md: up to
    thirty times as fast). A shorter chain of additions also loses fewer digits. The barrier keeps
    the stages apart. Pixels and channels stay two axes: of one, every index would be taken apart again.
    """
    channels = x.shape[-1]
    rows = math.gcd(x.size // channels, 32)
    first = jax.lax.optimization_barrier(x.reshape(rows, -1, channels).sum(0))
    return first.sum(0)


class BatchNorm(nnx.BatchNorm):
    """Flax's layer and variables, with `normalise_by_batch` for its arithmetic.

    Statistics, running ones included, are float32 whatever the compute dtype.
    """

    def __call__(
        self,
        x: Float[Array, "*batch channel"],
        use_running_average: bool | None = None,
        *,
        mask: Array | None = None,
    ) -> Float[Array, "*batch channel"]:
        """Normalises `x` by the batch's statistics, which the running ones take up, or by these.

        Raises:
            ValueError: a mask is given, or it is not said which statistics are meant.
        """
        if mask is not None:
            raise ValueError("this BatchNorm counts every value: it takes no mask")
        if use_running_average is None:
            raise ValueError(
                "use_running_average is None, expected True (testing) or False (training)"
            )
        scale, bias = self.affine()
        if use_running_average:
            wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
            multiplier = jax.lax.rsqrt(self.var[...] + self.epsilon) * scale
            normalised = (wide - self.mean[...]) * multiplier + bias
        else:
            normalised, mean, var = normalise_by_batch(x, scale, bias, self.epsilon)
            self.take_up(mean, var, x.size // x.shape[-1])
        return normalised.astype(self.dtype or x.dtype)

    def affine(self) -> tuple[Float[Array, " channel"], Float[Array, " channel"]]:
        """The learned scale and bias."""
        if self.scale is None or self.bias is None:
            raise ValueError("this BatchNorm was made without scale or bias")
        return self.scale[...], self.bias[...]

    def take_up(
        self, mean: Float[Array, " channel"], var: Float[Array, " channel"], count: int
    ) -> None:
        """Lets the running statistics follow the batch's, of `count` values a channel.

        The variance unbiased, as PyTorch has it and Flax has not; of a single value it is zero.
        """
        keep = self.momentum
        unbiased = var * (count / max(count - 1, 1))
        self.mean[...] = keep * self.mean[...] + (1 - keep) * mean
        self.var[...] = keep * self.var[...] + (1 - keep) * unbiased
