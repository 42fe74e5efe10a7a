"""Reading a checkpoint without trusting its bytes."""

from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from rgb2ir_jax.training.saving.digest import array_digest, json_digest


class DamagedError(Exception):
    """A checkpoint is not what was saved."""


def refuse_earlier_version(checkpoint: Path) -> None:
    """Raises ValueError for a checkpoint of a version that wrote no digests."""
    # They kept the position in the data as an item of its own, and no digests.
    if (checkpoint / "data").is_dir():
        raise ValueError(
            f"{checkpoint} was written by an earlier version of this project, whose runs cannot be read or "
            "gone on with; use that version for them, or train in another --workdir"
        )


def restore_checked(
    manager: ocp.CheckpointManager, step: int, shapes: dict[str, Any]
) -> dict[str, Any]:
    """The items and the record's content, held against the digests.

    Raises:
        DamagedError: a file is missing, cannot be read, or holds other bytes than were saved.
    """
    try:
        restored = manager.restore(
            step,
            args=ocp.args.Composite(
                **{name: ocp.args.StandardRestore(shape) for name, shape in shapes.items()},
                record=ocp.args.JsonRestore(),
            ),
        )
        record = restored["record"]
        content, digests = record["content"], record["digests"]
        expected = {name: digests[name] for name in (*shapes, "content")}
    # What broken bytes make the libraries beneath raise is without bounds.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise DamagedError(f"cannot be read: {type(error).__name__}: {reason}") from error
    found = {name: array_digest(restored[name]) for name in shapes}
    found["content"] = json_digest(content)
    differing = [name for name in expected if found[name] != expected[name]]
    if differing:
        raise DamagedError(f"{' and '.join(differing)} not as saved")
    return {**{name: restored[name] for name in shapes}, "content": content}
