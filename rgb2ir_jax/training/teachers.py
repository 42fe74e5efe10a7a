"""A trained network that others learn from."""

from pathlib import Path
from typing import NamedTuple

import jax
from jax.sharding import Mesh
from jax.typing import DTypeLike

from rgb2ir_jax.models.folding import fold_batch_norm
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.checkpoints import NETWORK_FILE, load_network
from rgb2ir_jax.training.saving.files import RESULT_FILE
from rgb2ir_jax.training.sharding import replicated
from rgb2ir_jax.training.state import Split, merge


class Teacher(NamedTuple):
    """A trained and frozen network."""

    spec: NetworkSpec
    network: Split


def load_teacher(
    folder: Path, class_names: tuple[str, ...], *, mesh: Mesh, dtype: DTypeLike
) -> Teacher:
    """Reads a trained teacher and checks that it knows the data set's classes.

    Raises:
        ValueError: there is none, its training did not end, or it was for another number of classes.
    """
    if (folder / NETWORK_FILE).is_file() and not (folder / RESULT_FILE).is_file():
        raise ValueError(
            f"the training of the teacher in {folder} did not end (there is no {RESULT_FILE}); "
            "start that run again with its own command, and it goes on where it stopped"
        )
    spec, network, _ = load_network(folder, replicated(mesh), dtype)
    if spec.num_classes != len(class_names):
        raise ValueError(
            f"the teacher in {folder} tells {spec.num_classes} classes apart, the data set has "
            f"{len(class_names)}; expected a teacher that was trained on the same classes"
        )
    # With its BatchNorm folded it computes the same in fewer passes over memory.
    folded = Split.of(fold_batch_norm(merge(network.graph, network.variables)))
    return Teacher(spec, jax.device_put(folded, replicated(mesh)))
