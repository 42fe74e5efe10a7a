"""Saving and restoring a phase with Orbax: all that it knows at a step, or nothing."""

import contextlib
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import Sharding

from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.distributed import failing_together, is_main
from rgb2ir_jax.training.saving.damage import DamagedError, refuse_earlier_version, restore_checked
from rgb2ir_jax.training.saving.digest import array_digest, json_digest
from rgb2ir_jax.training.saving.files import write_json
from rgb2ir_jax.training.saving.retention import LatestAndBest, Retention
from rgb2ir_jax.training.state import Split, TrainState

__all__ = ["NETWORK_FILE", "Checkpoints", "Retention", "find_teacher", "load_network", "write_json"]

NETWORK_FILE = "network.json"
_FOLDER = "checkpoints"
_DAMAGED = "damaged_checkpoints"

_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one phase, in `folder/checkpoints/STEP`.

    Each holds `network` (what is evaluated and deployed), `training` (step, optimizer, connectors,
    and the network that learns where it is another one) and `record` (everything on the host:
    position in the data, best evaluation, scalars not logged yet), with digests of all three. Orbax
    writes into a temporary folder and renames it, so that a killed run leaves no half checkpoint.

    Args:
        folder: of the phase.
        retention: what stays on disk.
    """

    def __init__(self, folder: Path, retention: Retention):
        self._folder = folder
        self._policy = LatestAndBest(retention)
        self._manager = ocp.CheckpointManager(
            (folder / _FOLDER).absolute(),
            options=ocp.CheckpointManagerOptions(
                create=True,
                # What a killed run had not finished writing.
                cleanup_tmp_directories=True,
                lightweight_initialize=True,
                preservation_policy=self._policy,
            ),
        )
        for step in self._manager.all_steps():
            with contextlib.suppress(DamagedError):
                self._policy.ranks[step] = restore_checked(self._manager, step, {})["content"][
                    "rank"
                ]

    def latest(self) -> int | None:
        """The newest step that is saved or being saved, or None."""
        return self._manager.latest_step()

    def save(
        self, state: TrainState, content: dict[str, Any], rank: float | None, step: int
    ) -> None:
        """Starts to save in the background; `state` may be donated as soon as this returns.

        Args:
            state: of the phase.
            content: everything on the host that a resumed run must know; JSON.
            rank: of the evaluation at this step, higher is better; None without one.
            step: `state.step`, as a Python number.
        """
        rank = rank if rank is not None and math.isfinite(rank) else None
        self._policy.ranks[step] = rank
        content = {**content, "rank": rank}
        network, training = _items(state)
        record = {
            "content": content,
            "digests": {
                "network": array_digest(network),
                "training": array_digest(training),
                "content": json_digest(content),
            },
        }
        self._manager.save(
            step,
            args=ocp.args.Composite(
                network=ocp.args.StandardSave(network),
                training=ocp.args.StandardSave(training),
                record=ocp.args.JsonSave(record),
            ),
        )

    def restore(self, state: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """The newest whole checkpoint in the shapes and shardings of `state`; None without any.

        Damaged ones are reported and moved to `folder/damaged_checkpoints`.

        Raises:
            ValueError: there are checkpoints, but none is whole, or an older version made them.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            refuse_earlier_version(self._folder / _FOLDER / str(step))
            if (read := self._read_together(step, state)) is not None:
                return read
        if steps:
            raise ValueError(
                f"none of the checkpoints in {self._folder / _FOLDER} is whole ({len(steps)} damaged, now in "
                f"{self._folder / _DAMAGED}); choose another --workdir, or remove {self._folder} to train "
                "it anew"
            )
        return None

    def _read(self, step: int, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        network, training = _items(state)
        restored = restore_checked(
            self._manager, step, {"network": _abstract(network), "training": _abstract(training)}
        )
        network, training = restored["network"], restored["training"]
        learner = training.pop("learner", network)
        average = None if state.average is None else network
        return TrainState(network=learner, average=average, **training), restored["content"]

    def _read_together(self, step: int, state: TrainState) -> tuple[TrainState, Any] | None:
        """The checkpoint, or None where a process finds it damaged: all go on from the same one."""
        read = None
        try:
            with failing_together():
                try:
                    read = self._read(step, state)
                except DamagedError as error:
                    raise ValueError(str(error)) from error
        except ValueError as error:
            self._set_aside(step, error)
            return None
        return read

    def _set_aside(self, step: int, error: Exception) -> None:
        found = self._folder / _FOLDER / str(step)
        kept = self._folder / _DAMAGED / str(step)
        _log.warning("checkpoint %s is damaged (%s): trying the one before it", found, error)
        if is_main():
            if kept.exists():
                shutil.rmtree(kept)
            kept.parent.mkdir(exist_ok=True)
            found.rename(kept)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices(f"set aside {found}")
        self._manager.reload()

    def close(self) -> None:
        """Waits for the last save."""
        self._manager.wait_until_finished()
        self._manager.close()


def _items(state: TrainState) -> tuple[Any, dict[str, Any]]:
    training = {"step": state.step, "objective": state.objective, "optimizer": state.optimizer}
    if state.average is None:
        return state.network, training
    return state.average, {**training, "learner": state.network}


def load_network(
    folder: Path, sharding: Sharding, dtype: Any = jnp.float32, *, step: int | None = None
) -> tuple[NetworkSpec, Split, dict[str, Any]]:
    """Reads a trained network from a phase's folder: (description, network, the run's record of it).

    Args:
        folder: of the phase.
        sharding: of the arrays.
        dtype: compute dtype.
        step: one of the checkpoints; None takes the newest.

    Raises:
        ValueError: the folder holds no such checkpoint of a phase of this project, or a damaged one.
    """
    description = folder / NETWORK_FILE
    if not description.is_file() or not (folder / _FOLDER).is_dir():
        raise ValueError(
            f"{folder} holds no trained network: expected {NETWORK_FILE} and {_FOLDER}/ in it; "
            "name the folder of a phase that was trained, such as WORKDIR/teacher"
        )
    spec = NetworkSpec.load(description)
    graph, shapes = Split.abstract(spec.shapes(dtype), sharding)
    with ocp.CheckpointManager((folder / _FOLDER).absolute()) as manager:
        steps = sorted(manager.all_steps())
        if not steps:
            raise ValueError(
                f"{folder / _FOLDER} is empty: the training was stopped before its first save"
            )
        if step is None:
            step = steps[-1]
        if step not in steps:
            raise ValueError(f"{folder / _FOLDER} has no step {step}; it has {steps}")
        refuse_earlier_version(folder / _FOLDER / str(step))
        try:
            restored = restore_checked(manager, step, {"network": shapes})
        except DamagedError as error:
            raise ValueError(
                f"the checkpoint {folder / _FOLDER / str(step)} is damaged ({error}); copy it anew from "
                "where it was trained, or train again"
            ) from error
    return spec, Split(graph, restored["network"]), restored["content"]


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
