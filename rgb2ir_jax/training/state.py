"""What a training phase knows at a step: two modules' variables and the optimizer's."""

from collections.abc import Callable
from typing import Any, NamedTuple, no_type_check

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Sharding
from jaxtyping import Array, Int


# Both are also rebuilt with shapes, or what Orbax restores, for leaves (jax.eval_shape, lowering),
# which a runtime check of the annotations would refuse.
@no_type_check
@flax.struct.dataclass
class Variables:
    """A module's arrays: trainable parameters and BatchNorm statistics."""

    params: nnx.State
    stats: nnx.State


class Split(NamedTuple):
    """A module taken apart for plain `jax.jit`: what is static, and what is an array.

    `nnx.jit` would do this at every call, at eight times the dispatch cost for a ResNet.
    """

    graph: nnx.GraphDef
    variables: Variables

    @classmethod
    def of(cls, module: nnx.Module) -> "Split":
        """Splits `module`; its variables must all be parameters or BatchNorm statistics."""
        graph, *states = nnx.split(module, nnx.Param, nnx.BatchStat)
        return cls(graph, Variables(*states))

    @classmethod
    def abstract(cls, module: nnx.Module, sharding: Sharding) -> "Split":
        """A module that has shapes in place of arrays, taken apart, and where its arrays are to be."""
        graph, shapes = cls.of(module)
        return cls(
            graph,
            jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes
            ),
        )

    @classmethod
    def create(cls, make: Callable[[], nnx.Module], sharding: Sharding) -> "Split":
        """The module that `make` makes, initialised in one compiled program.

        Operation by operation, a ResNet50 would take a quarter of a minute.
        """
        graphs: list[nnx.GraphDef] = []

        def arrays() -> Variables:
            graph, variables = cls.of(make())
            # Known when it is traced: tracing a ResNet50's construction again takes a fifth of a second.
            graphs.append(graph)
            return variables

        variables = jax.jit(arrays, out_shardings=sharding)()
        return cls(graphs[0], variables)


@no_type_check
@flax.struct.dataclass
class TrainState:
    """State of one phase, all of it donated to the jitted step.

    Attributes:
        step: number of updates done.
        network: the variables of the network that learns.
        objective: the variables of the methods' connectors (empty for methods without any).
        optimizer: the optimizer's state for the parameters of both.
        average: the moving average of `network`, where the config asks for one.
    """

    step: Int[Array, ""]
    network: Variables
    objective: Variables
    optimizer: optax.OptState
    average: Variables | None = None

    def trainable(self) -> dict[str, nnx.State]:
        """The parameters that the optimizer updates."""
        return {"network": self.network.params, "objective": self.objective.params}

    def deployed(self) -> Variables:
        """The network that is evaluated and exported: the average, where there is one."""
        return self.network if self.average is None else self.average


def create_state(
    make_network: Callable[[], nnx.Module],
    make_objective: Callable[[], nnx.Module],
    optimizer: optax.GradientTransformation,
    sharding: Sharding,
    *,
    average: bool = False,
) -> tuple[nnx.GraphDef, nnx.GraphDef, TrainState]:
    """Makes both modules and starts the optimizer: (network graph, objective graph, state).

    Args:
        make_network: makes the network that learns.
        make_objective: makes its objective.
        optimizer: of both.
        sharding: of all arrays.
        average: whether to keep a moving average of the network.
    """
    network_graph, network_variables = Split.create(make_network, sharding)
    objective_graph, objective_variables = Split.create(make_objective, sharding)
    trainable = {"network": network_variables.params, "objective": objective_variables.params}
    # One program in place of an operation for each array, of which a ResNet50 has three hundred.
    started = jax.jit(optimizer.init, out_shardings=sharding)(trainable)
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        network=network_variables,
        objective=objective_variables,
        optimizer=started,
        # In memory of its own: the step takes all of the state, each array once.
        average=jax.tree.map(jnp.copy, network_variables) if average else None,
    )
    return network_graph, objective_graph, jax.device_put(state, sharding)


def merge(graph: nnx.GraphDef, variables: Variables) -> Any:
    """Puts a module back together, inside the jitted step.

    Copied, because a module inside `jax.grad` may not write to statistics from outside of it.
    """
    return nnx.merge(graph, variables.params, variables.stats, copy=True)
