"""Programs that XLA's CPU compiler once compiled wrongly; prints how far each is off, as JSON.

Run in a process of its own, which has the compiler's settings of a training and not of the tests.
"""

import json
import os
import sys

import rgb2ir_jax  # Sets its XLA option before JAX touches a device.  # noqa: F401

# isort: split
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rgb2ir_jax.distillation.mgcam import mgcam_loss
from rgb2ir_jax.models.blocks import BasicBlock, batch_norm, convolution
from rgb2ir_jax.models.pooling import max_pool_3x3_stride_2


def off(found, expected, rtol, atol=0.0):
    """The largest error as a share of what is allowed; infinite where a number is none."""
    error = np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64))
    share = error / (atol + rtol * np.abs(np.asarray(expected, np.float64)))
    return float(np.max(np.where(np.isfinite(share), share, np.inf)))


def product_with_a_constant(size):
    edges = jnp.asarray(np.random.default_rng(0).standard_normal((size, size)), jnp.float32)
    zero = jax.jit(lambda e: jnp.sum((e @ jnp.zeros((size, size))) * e, axis=1))(edges)
    constant = np.random.default_rng(1).standard_normal((size, size)).astype(np.float32)
    found = jax.jit(lambda e: jnp.sum((e @ constant) * e, axis=1))(edges)
    exact = np.asarray(edges, np.float64)
    expected = np.sum((exact @ constant.astype(np.float64)) * exact, axis=1)
    return max(off(zero, np.zeros(size), 0.0, 1e-30), off(found, expected, 1e-4, 1e-3))


def graph_loss(clips):
    rng = np.random.default_rng(2)

    def maps(widths):
        return [
            jnp.asarray(np.maximum(rng.standard_normal((clips, size, size, width)), 0), jnp.float32)
            for size, width in zip((8, 4, 2, 1), widths, strict=True)
        ]

    student, teacher = maps((4, 8, 16, 32)), maps((16, 32, 64, 128))
    compiled = jax.jit(jax.value_and_grad(lambda s: mgcam_loss(s, teacher)))(student)
    # float64 programs are not fused this way.
    with jax.enable_x64(True):
        wide = [[m.astype(jnp.float64) for m in maps] for maps in (student, teacher)]
        exact = jax.jit(jax.value_and_grad(mgcam_loss))(*wide)
    gradients = zip(compiled[1], exact[1], strict=True)
    return max(
        off(compiled[0], exact[0], 1e-5), *(off(a, b, rtol=1e-3, atol=1e-7) for a, b in gradients)
    )


class Beginning(nnx.Module):
    """A stem and a strided residual block, on maps down to 2x2, which XLA convolves in another way."""

    def __init__(self, dtype):
        rngs = nnx.Rngs(0)
        self.conv = convolution(3, 4, 7, 2, dtype, rngs)
        self.bn = batch_norm(4, dtype, rngs)
        self.block = BasicBlock(
            4, 8, stride=2, zero_init_residual=False, shift=False, dtype=dtype, rngs=rngs
        )
        self.fc = nnx.Linear(8, 10, dtype=dtype, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.bn(self.conv(x), use_running_average=False))
        maps = self.block(max_pool_3x3_stride_2(x), train=True)
        return self.fc(jnp.mean(maps, axis=(1, 2))), maps


def network_gradients():
    """Convolutions, BatchNorm and pooling in training, forwards and backwards."""
    rng = np.random.default_rng(3)
    frames, labels = rng.standard_normal((8, 16, 16, 3)), np.arange(8)

    def loss(params, rest, graph, dtype):
        network = nnx.merge(graph, params, rest, copy=True)
        logits, maps = network(jnp.asarray(frames, dtype))
        return -jnp.mean(jax.nn.log_softmax(logits)[np.arange(8), labels]) + jnp.mean(maps**2)

    def gradients(dtype):
        graph, params, rest = nnx.split(Beginning(dtype), nnx.Param, ...)
        params, rest = jax.tree.map(lambda leaf: leaf.astype(dtype), (params, rest))
        found = jax.jit(jax.grad(loss), static_argnums=(2, 3))(params, rest, graph, dtype)
        return np.concatenate([np.asarray(g, np.float64).ravel() for g in jax.tree.leaves(found)])

    single = gradients(jnp.float32)
    with jax.enable_x64(True):
        double = gradients(jnp.float64)
    error = np.linalg.norm(single - double) / (1e-4 * np.linalg.norm(double))
    return float(error) if np.isfinite(error) else float("inf")


sys.stdout.write(
    json.dumps(
        {
            "flags": os.environ["XLA_FLAGS"],
            "product": {size: product_with_a_constant(size) for size in (8, 64, 65, 128, 256)},
            "loss": {clips: graph_loss(clips) for clips in (64, 128)},
            "network": network_gradients(),
        }
    )
)
