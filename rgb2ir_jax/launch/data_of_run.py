"""The data that a trained network is tested on: its run's, or the same built elsewhere."""

from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from rgb2ir_jax.launch.exported_network import ExportedNetwork
from rgb2ir_jax.launch.fused_streams import FusedStreams
from rgb2ir_jax.launch.trained_network import TrainedNetwork


def data_of_run(network: TrainedNetwork | FusedStreams, folder: str | None) -> ConfigDict:
    """The run's `config.data`, with another folder of the data set where one is given.

    A cache of decoded frames that the run has is used; for a single pass none is made.
    """
    data = network.config.data.copy_and_resolve_references()
    if folder is not None:
        data.dir = folder
    if folder is not None or not (data.cache and Path(data.cache).expanduser().is_dir()):
        data.cache = ""
    return data


def check_classes(
    network: TrainedNetwork | FusedStreams | ExportedNetwork,
    data: ConfigDict,
    class_names: Sequence[str],
) -> None:
    """Raises ValueError unless the data set has the classes that the network tells apart."""
    found = tuple(class_names)
    if found == network.class_names:
        return
    differing = [
        pair for pair in zip(network.class_names, found, strict=False) if pair[0] != pair[1]
    ]
    what = (
        f", the first other one is {differing[0][1]!r} for {differing[0][0]!r}" if differing else ""
    )
    raise ValueError(
        f"the network in {network.folder} tells {len(network.class_names)} classes apart, "
        f"{data.name}/{data.config} in {data.dir} has {len(found)}{what}; expected the same ones"
    )
