"""Saving and restoring a phase with Orbax: network, rest of the training, data position."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import Sharding

from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.state import Split, TrainState

NETWORK_FILE = "network.json"
_FOLDER = "checkpoints"


class Checkpoints:
    """The checkpoints of one phase, in `folder/checkpoints/STEP`.

    Each holds `network` (what a student is deployed with), `training` (optimizer, connectors,
    step), `data` (the position of the input pipeline) and `record` (epoch, seconds, metrics so
    far). Orbax writes into a temporary folder and renames it, so that a killed run leaves no half
    checkpoint.
    """

    def __init__(self, folder: Path, *, keep: int):
        self._manager = ocp.CheckpointManager(
            (folder / _FOLDER).absolute(),
            options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
        )

    def latest(self) -> int | None:
        """The newest step, or None."""
        return self._manager.latest_step()

    def save(self, state: TrainState, data: Any, record: dict[str, Any]) -> None:
        """Starts to save in the background; `state` may be donated as soon as this returns."""
        training = {"step": state.step, "objective": state.objective, "optimizer": state.optimizer}
        self._manager.save(
            int(state.step),
            args=ocp.args.Composite(
                network=ocp.args.StandardSave(state.network),
                training=ocp.args.StandardSave(training),
                data=ocp.args.JsonSave({"position": data}),
                record=ocp.args.JsonSave(record),
            ),
        )

    def restore(self, state: TrainState) -> tuple[TrainState, Any, dict[str, Any]]:
        """The newest checkpoint in the shapes and shardings of `state`: (state, data position, record)."""
        network = _abstract(state.network)
        training = _abstract(
            {"step": state.step, "objective": state.objective, "optimizer": state.optimizer}
        )
        restored = self._manager.restore(
            self._manager.latest_step(),
            args=ocp.args.Composite(
                network=ocp.args.StandardRestore(network),
                training=ocp.args.StandardRestore(training),
                data=ocp.args.JsonRestore(),
                record=ocp.args.JsonRestore(),
            ),
        )
        state = TrainState(network=restored["network"], **restored["training"])
        return state, restored["data"]["position"], restored["record"]

    def close(self) -> None:
        """Waits for the last save."""
        self._manager.wait_until_finished()
        self._manager.close()


def load_network(
    folder: Path, sharding: Sharding, dtype: Any = jnp.float32
) -> tuple[NetworkSpec, Split, dict[str, Any]]:
    """Reads a trained network from a phase's folder: (description, network, the run's record of it).

    Raises:
        ValueError: the folder holds no finished phase of this project.
    """
    description = folder / NETWORK_FILE
    if not description.is_file() or not (folder / _FOLDER).is_dir():
        raise ValueError(
            f"{folder} holds no trained network: expected {NETWORK_FILE} and {_FOLDER}/ in it; "
            "name the folder of a phase that was trained, such as WORKDIR/teacher"
        )
    spec = NetworkSpec.load(description)
    graph, shapes = Split.abstract(lambda: spec.build(seed=0, dtype=dtype), sharding)
    with ocp.CheckpointManager((folder / _FOLDER).absolute()) as manager:
        step = manager.latest_step()
        if step is None:
            raise ValueError(
                f"{folder / _FOLDER} is empty: the training was stopped before its first save"
            )
        restored = manager.restore(
            step,
            args=ocp.args.Composite(
                network=ocp.args.StandardRestore(shapes),
                record=ocp.args.JsonRestore(),
            ),
        )
    return spec, Split(graph, restored["network"]), restored["record"]


def find_teacher(path: Path, field: str) -> Path:
    """The phase folder that a config means by a teacher: itself, or `teacher/` in a work directory.

    Args:
        path: what the config says.
        field: where it says it, such as "config.teacher.checkpoint".

    Raises:
        ValueError: there is no teacher.
    """
    for folder in (path, path / "teacher"):
        if (folder / NETWORK_FILE).is_file():
            return folder
    raise ValueError(
        f"{field} names {str(path)!r}, which holds no trained teacher: expected {NETWORK_FILE} in it or "
        "in its folder teacher/; give the work directory of a run that trained one"
    )


def _abstract(tree: Any) -> Any:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), tree
    )


def write_json(path: Path, content: Any) -> None:
    """Writes JSON so that a reader never sees half of it."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(path)
