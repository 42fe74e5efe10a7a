"""Where arrays live: the batch is split over all devices, everything else is on each of them.

With a model axis, the classifier and its optimizer state are split as well.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

DATA_AXIS, MODEL_AXIS = "data", "model"


def make_mesh(model: int = 1) -> Mesh:
    """A mesh of the devices of all processes: the one axis "data", or "data" and "model".

    Auto axes let the compiler place the collectives; in Explicit mode (JAX's default) gathers and
    the gradient of the cross-entropy raise ShardingTypeError.

    Args:
        model: size of the model axis; 1: there is none.
    """
    shape: tuple[int, ...] = (jax.device_count(),)
    names: tuple[str, ...] = (DATA_AXIS,)
    if model > 1:
        shape, names = (jax.device_count() // model, model), (DATA_AXIS, MODEL_AXIS)
    kinds = (AxisType.Auto,) * len(names)
    if jax.process_count() == 1:
        return jax.make_mesh(shape, names, axis_types=kinds)
    # Rows of a batch come from the processes in their order, and lie on the devices in this one.
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices).reshape(shape), names, axis_types=kinds)


def replicated(mesh: Mesh | AbstractMesh) -> NamedSharding:
    """The sharding of parameters, statistics and optimizer state: a copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split_batch(mesh: Mesh | AbstractMesh) -> NamedSharding:
    """The sharding of a batch: its first axis over all devices, whatever axes the mesh has.

    Reductions over that axis (BatchNorm statistics, batch graphs, mean losses) stay global: the
    compiler inserts the all-reduce.
    """
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names))


def put_batch(batch: Mapping[str, np.ndarray | jax.Array], mesh: Mesh) -> dict[str, Any]:
    """Copies this process's part of a batch to its devices; the processes' parts make up the batch.

    What is there already, split as a batch is, stays as it is.
    """
    sharding = split_batch(mesh)
    if jax.process_count() == 1:
        return jax.device_put(dict(batch), sharding)  # The quicker of the two.
    return {
        name: array
        if isinstance(array, jax.Array)
        else jax.make_array_from_process_local_data(sharding, array)
        for name, array in batch.items()
    }


def place(tree: Any, mesh: Mesh | AbstractMesh) -> Any:
    """The sharding of each array of a state, or of variables.

    A copy on every device; but with a model axis the classifier's kernel, (feature, class), is
    split by features over it, and so are the optimizer's arrays and the moving average of it.
    Features can be shared equally where the number of classes is prime.
    """
    everywhere = replicated(mesh)
    if MODEL_AXIS not in mesh.axis_names:
        return jax.tree.map(lambda _: everywhere, tree)
    by_feature = NamedSharding(mesh, PartitionSpec(MODEL_AXIS, None))

    def choose(path: Any, leaf: Any) -> NamedSharding:
        names = [str(getattr(key, "key", getattr(key, "name", key))) for key in path]
        return by_feature if "fc" in names and leaf.ndim == 2 else everywhere

    return jax.tree.map_with_path(choose, tree)


def check_divisible(batch_size: int, name: str, parts: int = 1) -> None:
    """Raises ValueError unless a batch, or each of its micro-batches, divides evenly over the devices."""
    devices = jax.device_count()
    if parts > 1 and batch_size % (parts * devices):
        raise ValueError(
            f"{name} is {batch_size}, which {parts} micro-batches (accumulate) on {devices} device(s) cannot "
            f"share equally; expected a multiple of {parts * devices}"
        )
    if batch_size % devices:
        raise ValueError(
            f"{name} is {batch_size}, which {devices} devices cannot share equally; "
            f"expected a multiple of {devices}"
        )


def check_model_axis(model: int, features: Mapping[str, int]) -> None:
    """Raises ValueError unless the devices, and the features of each network, divide evenly over it.

    Args:
        model: size of the axis, `config.mesh.model`.
        features: of the classifier, by the name of the network.
    """
    devices = jax.device_count()
    if devices % model:
        raise ValueError(
            f"config.mesh.model is {model}, which {devices} device(s) cannot make up; "
            f"expected a divisor of {devices}"
        )
    for who, count in features.items():
        if count % model:
            raise ValueError(
                f"config.mesh.model is {model}, which cannot share the {count} features of the {who}'s "
                f"classifier equally; expected a divisor of {count}"
            )
