"""First weights from elsewhere: what `config.teacher.init` and `config.student.init` name."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.pretrained import initialise, named_module, torchvision_tensors
from rgb2ir_jax.training.checkpoints import load_network
from rgb2ir_jax.training.distributed import found_by_main
from rgb2ir_jax.training.saving.files import write_json
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.state import Split, TrainState, merge

REPORT_FILE = "initial_weights.json"

_log = logging.getLogger(__name__)


def has_begun(folder: Path) -> bool:
    """Whether a phase has a checkpoint to go on from, so that its first weights are history."""
    return found_by_main(
        lambda: any(path.name.isdecimal() for path in (folder / "checkpoints").glob("*"))
    )


def check_initial_weights(field: str, source: str, spec: NetworkSpec, folder: Path) -> None:
    """Reads the weights and compares them with the network, before any work; downloads named ones.

    Args:
        field: of the config, for the message.
        source: what it says; "" is random weights.
        spec: of the network.
        folder: of the phase.

    Raises:
        ValueError: the source is not there, is damaged or does not fit; see `initialise`.
    """
    if not source or has_begun(folder):
        return
    # Its own, not the shared one of `spec.shapes()`: it is written to.
    network = nnx.eval_shape(lambda: spec.build(seed=0))
    try:
        initialise(network, source, spec=spec, read_checkpoint=_read_phase)
    except ValueError as error:
        raise ValueError(f"config.{field}: {error}") from error


def start_from(
    source: str, spec: NetworkSpec, graph: nnx.GraphDef, state: TrainState, mesh: Mesh, folder: Path
) -> TrainState:
    """Puts the weights that `source` names into a new phase's network, and notes what was done.

    Args:
        source: see docs/weights.md.
        spec: of the network.
        graph: of the network.
        state: as `create_state` made it.
        mesh: the devices.
        folder: of the phase; gets `initial_weights.json`.

    Returns:
        The state, its network (and the network's average) starting from the weights.
    """
    network = merge(graph, state.network)
    report = initialise(network, source, spec=spec, read_checkpoint=_read_phase)
    _log.info("first weights: %s", report)
    noted = {**dataclasses.asdict(report), "path": str(report.path)}
    write_json(folder / REPORT_FILE, noted)
    variables = jax.device_put(Split.of(network).variables, replicated(mesh))
    average = None if state.average is None else jax.tree.map(jnp.copy, variables)
    return state.replace(network=variables, average=average)  # type: ignore[attr-defined]


def initial_weights(folder: Path) -> dict[str, Any] | None:
    """What `start_from` noted in a phase's folder; None where the weights were random."""
    path = folder / REPORT_FILE
    return found_by_main(lambda: json.loads(path.read_text()) if path.is_file() else None)


def _read_phase(folder: Path) -> Mapping[str, np.ndarray]:
    """The tensors of a trained phase, under torchvision's names."""
    _, network, _ = load_network(folder, replicated(make_mesh()))
    return torchvision_tensors(named_module(merge(network.graph, network.variables)))
