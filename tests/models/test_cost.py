"""Parameters and multiply-accumulates against torchvision's published model table."""

import jax.numpy as jnp
import pytest
from flax import nnx

from rgb2ir_jax.models import TSN, ResNet
from rgb2ir_jax.models.blocks import convolution
from rgb2ir_jax.models.cost import count_flops, count_parameters, describe_cost

# "num_params" and "_ops" (GMAC at 224x224) in torchvision 0.20's weight metadata.
PUBLISHED = {
    18: (11_689_512, 1.814),
    34: (21_797_672, 3.664),
    50: (25_557_032, 4.089),
    101: (44_549_160, 7.801),
}


@pytest.mark.parametrize("depth", PUBLISHED)
def test_published_counts(depth: int) -> None:
    model = nnx.eval_shape(lambda: ResNet(depth, 1000, rngs=nnx.Rngs(0)))
    parameters, giga = PUBLISHED[depth]
    assert count_parameters(model) == parameters
    assert count_flops(model, (1, 224, 224, 3)) / 1e9 == pytest.approx(giga, abs=0.0006)


def test_a_clip_costs_its_segments() -> None:
    tsn = nnx.eval_shape(lambda: TSN(18, 10, width=8, in_channels=1, rngs=nnx.Rngs(0)))
    frame = count_flops(tsn.network, (1, 64, 64, 1))
    assert count_flops(tsn, (2, 4, 64, 64, 1)) == 8 * frame
    assert describe_cost(tsn.network, (1, 64, 64, 1)) == (
        f"{count_parameters(tsn) / 1e6:.2f} M parameters, {frame / 1e9:.3f} GMAC "
        "for input (1, 64, 64, 1)"
    )


class _Loop(nnx.Module):
    """A matrix product and a grouped convolution inside a scan of five steps."""

    def __init__(self) -> None:
        self.linear = nnx.Linear(6, 6, use_bias=False, rngs=nnx.Rngs(0))
        self.conv = nnx.Conv(6, 6, (3,), feature_group_count=2, use_bias=False, rngs=nnx.Rngs(0))

    def __call__(self, x: jnp.ndarray, *, train: bool) -> jnp.ndarray:
        graphdef, state = nnx.split(self)

        def body(carry, _):
            module = nnx.merge(graphdef, state)
            return module.conv(module.linear(carry)), None

        return nnx.jit(lambda x: nnx.scan(body, length=5, out_axes=(nnx.Carry, 0))(x, None)[0])(x)


def test_loops_groups_and_nested_programs_are_counted() -> None:
    # Each step: 4x10 rows of a 6x6 product, and 3 taps of 3 inputs for each of 4x10x6 outputs.
    assert count_flops(_Loop(), (4, 10, 6)) == 5 * (4 * 10 * 6 * 6 + 4 * 10 * 6 * 3 * 3)


class _Layer(nnx.Module):
    """One convolution of the networks' kind."""

    def __init__(self) -> None:
        self.conv = convolution(4, 8, 3, 1, jnp.float32, nnx.Rngs(0))

    def __call__(self, x: jnp.ndarray, *, train: bool) -> jnp.ndarray:
        del train
        return self.conv(x)


def test_a_map_smaller_than_the_window_costs_what_comes_out() -> None:
    """CPUs compute more than that (`models/convolution.py`)."""
    assert count_flops(_Layer(), (1, 2, 2, 4)) == 4 * 9 * 4 * 8
