"""What enhances a network's frames, written into its ONNX graph."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rgb2ir_jax.models.enhancement.stage import Enhancement
from rgb2ir_jax.models.enhancement.zero_dce import ITERATIONS, LAYERS

# Whose maps each of Zero-DCE's convolutions sees, by the convolutions' numbers from 1.
_INPUTS = {2: (1,), 3: (2,), 4: (3,), 5: (3, 4), 6: (2, 5), 7: (1, 6)}


@runtime_checkable
class Graph(Protocol):
    """A graph that is being written, see `onnx_graph`."""

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        """Adds a constant and returns its name."""
        ...

    def add(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Adds an operator and returns the name of its output."""
        ...


def add_enhancement(graph: Graph, x: str, enhancement: Enhancement, channels: int) -> str:
    """Writes the operators of an enhancement.

    Args:
        graph: gets them.
        x: planes of pixels in [0, 1], (picture, channel, height, width).
        enhancement: what they do.
        channels: of the planes; one channel counts as three, whose mean comes back.

    Returns:
        The name of the enhanced planes, as many channels.
    """
    if enhancement.name == "gamma":
        exponent = graph.constant("gamma", 1 / enhancement.gamma, np.float32)
        return graph.add("Pow", [x, exponent], "enhanced")
    if channels == 1:
        x = graph.add("Concat", [x, x, x], "zero_dce.rgb", axis=1)
    maps: dict[int, str] = {}
    for number, name in enumerate(LAYERS, 1):
        seen = [maps[other] for other in _INPUTS.get(number, ())] or [x]
        joined = seen[0]
        if len(seen) > 1:
            joined = graph.add("Concat", seen, f"zero_dce.{name}.input", axis=1)
        weights = [
            graph.constant(
                f"zero_dce.{name}.{part}", enhancement.tensors[f"{name}.{part}"], np.float32
            )
            for part in ("weight", "bias")
        ]
        convolved = graph.add(
            "Conv",
            [joined, *weights],
            f"zero_dce.{name}",
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
        )
        last = number == len(LAYERS)
        maps[number] = graph.add("Tanh" if last else "Relu", [convolved], f"zero_dce.{name}.output")
    axes = graph.constant("zero_dce.channel", [1], np.int64)
    for step in range(ITERATIONS):
        name = f"zero_dce.step{step}"
        bounds = [
            graph.constant(f"{name}.{end}", [3 * place], np.int64)
            for end, place in (("first", step), ("last", step + 1))
        ]
        r = graph.add("Slice", [maps[len(LAYERS)], *bounds, axes], f"{name}.r")
        bend = graph.add("Sub", [graph.add("Mul", [x, x], f"{name}.square"), x], f"{name}.bend")
        x = graph.add("Add", [x, graph.add("Mul", [r, bend], f"{name}.change")], name)
    return graph.add("ReduceMean", [x], "enhanced", axes=[1], keepdims=1) if channels == 1 else x
