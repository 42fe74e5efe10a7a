"""Where arrays live: the batch is split over all devices, everything else is on each of them."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

DATA_AXIS = "data"


def make_mesh() -> Mesh:
    """A mesh of all devices with the one axis "data".

    Auto axes let the compiler place the collectives; in Explicit mode (JAX's default) gathers and
    the gradient of the cross-entropy raise ShardingTypeError.
    """
    return jax.make_mesh((jax.device_count(),), (DATA_AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of parameters, statistics and optimizer state: a copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split_batch(mesh: Mesh) -> NamedSharding:
    """The sharding of a batch: its first axis over the devices.

    Reductions over that axis (BatchNorm statistics, batch graphs, mean losses) stay global: the
    compiler inserts the all-reduce.
    """
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, Any]:
    """Copies this process's part of a batch to the devices, split over them."""
    sharding = split_batch(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, array)
        for name, array in batch.items()
    }


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
