"""What a run needs of the machine, looked at before any work: devices, a folder to write in, disk."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections
from flax import nnx
from jax.typing import DTypeLike

from rgb2ir_jax.models.network import NetworkSpec

# Of the parameters, for the optimizer's state.
_SLOTS = {"sgd": 1, "adamw": 2}


def check_devices() -> None:
    """Raises ValueError unless JAX finds the devices that it was told to use."""
    try:
        jax.devices()
    # Which one depends on what is missing; the second one comes without a text.
    except (RuntimeError, AssertionError) as error:
        reason = (
            " ".join(str(error).split())
            or f"JAX_PLATFORMS is {jax.config.values['jax_platforms']!r}"
        )
        raise ValueError(
            f"JAX finds no device to compute on: {reason}. Look at JAX_PLATFORMS and the driver, or set "
            "JAX_PLATFORMS=cpu"
        ) from error


def compute_dtype(name: str) -> DTypeLike:
    """The dtype that `config.compute_dtype` means here: bfloat16 pays on accelerators alone."""
    if name == "auto":
        name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jnp.dtype(name)


def check_writable(workdir: Path) -> None:
    """Raises ValueError unless files can be written in `workdir`, or where it would be made."""
    folder = _existing(workdir)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"--workdir {workdir} cannot be written: {error.strerror or error} ({folder}); choose another"
        ) from error


def check_disk(
    workdir: Path,
    config: ml_collections.ConfigDict,
    phases: Iterable[str],
    num_classes: int,
    dtype: DTypeLike = jnp.float32,
) -> None:
    """Raises ValueError unless the checkpoints of the phases will fit on the disk.

    Args:
        workdir: of the run.
        config: of the run.
        phases: names of its networks.
        num_classes: that they tell apart.
        dtype: that they compute in, in which their shapes are needed later too; checkpoints are float32.
    """
    # One more is written before the oldest is deleted.
    kept = config.checkpoint.keep + config.checkpoint.keep_best + 1
    needed = sum(
        kept * checkpoint_bytes(config, NetworkSpec.from_config(config[name], num_classes), dtype)
        for name in phases
        if not (workdir / name / "checkpoints").is_dir()
    )
    free = shutil.disk_usage(_existing(workdir)).free
    if needed > free:
        raise ValueError(
            f"--workdir {workdir} has {free / 1e9:.1f} GB free, and the checkpoints of this run will take "
            f"about {needed / 1e9:.1f} GB ({kept} for each network); free some, choose another --workdir, "
            "or lower config.checkpoint.keep and keep_best"
        )


def checkpoint_bytes(
    config: ml_collections.ConfigDict, spec: NetworkSpec, dtype: DTypeLike = jnp.float32
) -> int:
    """About how large a checkpoint of a network is: connectors, a few megabytes, are not counted."""
    graph = spec.shapes(dtype)
    params = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(graph, nnx.Param)))
    stats = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(graph, nnx.BatchStat)))
    copies = 2 if config.optimizer.average_decay else 1
    return 4 * (params * (copies + _SLOTS[config.optimizer.name]) + copies * stats)


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
