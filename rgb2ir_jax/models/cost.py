"""What a network costs: parameters and multiply-accumulates."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend import core


def count_parameters(model: nnx.Module) -> int:
    """Number of trainable values (`nnx.Param`); BatchNorm statistics are not among them."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def count_flops(model: nnx.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of one evaluation forward pass.

    Counts convolutions and matrix products, each multiplication with its addition as one, which is
    what fvcore and torchvision's model table call FLOPs. Products with padding count, elementwise
    operations and pooling do not. Nothing is computed: the network is traced with abstract values.

    Args:
        model: a network called as ``model(x, train=False)``.
        input_shape: shape of x, batch first: (batch, height, width, channel) for a `ResNet`,
            (clip, time, height, width, channel) for a `TSN`.
    """
    graphdef, state = nnx.split(model)

    def forward(state: nnx.State, x: jax.Array) -> Any:
        return nnx.merge(graphdef, state)(x, train=False)

    traced = jax.make_jaxpr(forward)(state, jax.ShapeDtypeStruct(input_shape, jnp.float32))
    return _count(traced.jaxpr)


def describe_cost(model: nnx.Module, input_shape: tuple[int, ...]) -> str:
    """One line for the log, such as "11.69 M parameters, 1.814 GMAC for an input of (1, ...)"."""
    parameters, flops = count_parameters(model), count_flops(model, input_shape)
    return f"{parameters / 1e6:.2f} M parameters, {flops / 1e9:.3f} GMAC for input {input_shape}"


def _count(jaxpr: core.Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            # The kernel's own input axis is already divided by the number of groups.
            kernel = _shape(equation.invars[1])
            out_axis = equation.params["dimension_numbers"].rhs_spec[0]
            total += math.prod(_shape(equation.outvars[0])) * math.prod(kernel) // kernel[out_axis]
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = _shape(equation.invars[0])
            terms = math.prod(left[axis] for axis in contracted)
            total += math.prod(_shape(equation.outvars[0])) * terms
        elif "branches" in equation.params:
            # The last is what platforms compute for which nothing else is written.
            total += _count(equation.params["branches"][-1].jaxpr)
        else:
            # A loop's body runs `length` times; every other nested program once.
            repeats = equation.params.get("length", 1)
            total += repeats * sum(_count(nested) for nested in _nested(equation.params))
    return total


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _nested(parameters: dict[str, Any]) -> Iterator[core.Jaxpr]:
    for value in parameters.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, core.ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, core.Jaxpr):
                yield item
