"""What the processes of a run on several hosts do together: fail, find, wait and decide alike.

A process that goes another way than the others leaves them waiting for it in the next collective
operation. With one process, all of this does nothing.
"""

import collections
import contextlib
import json
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from rgb2ir_jax.training.sharding import replicated, split_batch

LAG = 2
"""Steps between a vote and its outcome: what is asked of the devices is there by then."""

_SECONDS_UNTIL_SEEN = 60.0

T = TypeVar("T")


class ToldError(ValueError):
    """A mistake that process 0 reports in the same words."""


def is_main() -> bool:
    """Whether this process writes the run's files and talks: the only one, or process 0."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0


@contextlib.contextmanager
def failing_together() -> Iterator[None]:
    """What raises inside on one process raises on all; inside, nobody may wait for another process.

    Raises:
        ToldError: this process failed as process 0 did.
        ValueError: another process failed; says which one.
    """
    if jax.process_count() == 1:
        yield
        return
    try:
        yield
    except Exception as error:
        said = str(error) or type(error).__name__
        if _gather_texts(said)[0] == said and not is_main():
            raise ToldError(said) from error
        raise
    for index, said in enumerate(_gather_texts("")):
        if said:
            raise ValueError(f"process {index} of {jax.process_count()}: {said}")


def found_by_main(find: Callable[[], T]) -> T:
    """What process 0 finds, for every process; it must be JSON.

    File systems that hosts share may show a new file to one of them seconds after another.
    """
    if jax.process_count() == 1:
        return find()
    found = ""
    with failing_together():
        if is_main():
            found = json.dumps(find())
    return json.loads(_gather_texts(found)[0])


def check_processes() -> None:
    """Raises ValueError unless all processes bring equally many devices, and of one kind."""
    if jax.process_count() == 1:
        return
    devices = collections.Counter(device.process_index for device in jax.devices())
    if len(set(devices.values())) > 1:
        found = ", ".join(f"process {index} has {n}" for index, n in sorted(devices.items()))
        raise ValueError(
            f"the processes of a run must have equally many devices: {found}; hide some "
            "(CUDA_VISIBLE_DEVICES), or start a process for each device"
        )
    kinds = sorted({device.device_kind for device in jax.devices()})
    if len(kinds) > 1:
        raise ValueError(
            f"the processes of a run must have one kind of device, found {' and '.join(kinds)}"
        )


def check_alike(facts: Mapping[str, str]) -> None:
    """Raises ValueError unless all processes were started with the same `facts`; names the others."""
    if jax.process_count() == 1:
        return
    everyone = [json.loads(text) for text in _gather_texts(json.dumps(dict(facts)))]
    for index, other in enumerate(everyone):
        differing = [
            f"{name} is {other.get(name)} in process {index}, {everyone[0].get(name)} in process 0"
            for name in sorted({*everyone[0], *other})
            if other.get(name) != everyone[0].get(name)
        ]
        if differing:
            raise ToldError(_unlike(differing)) if not is_main() else ValueError(_unlike(differing))


def _unlike(differing: list[str]) -> str:
    return (
        f"the processes of a run must be started alike: {'; '.join(differing[:8])}"
        + ("; ..." if len(differing) > 8 else "")
        + ". Start all of them with the same command, records and versions"
    )


def check_shared(folder: Path) -> None:
    """Raises ValueError unless all processes see in `folder` what process 0 writes there."""
    if jax.process_count() == 1:
        return
    with contextlib.ExitStack() as stack:
        name = ""
        with failing_together():
            if is_main():
                file = tempfile.NamedTemporaryFile(dir=folder, prefix=".shared-")  # noqa: SIM115
                name = Path(stack.enter_context(file).name).name
        wait_until_seen(folder / _gather_texts(name)[0])
        # Until now the file must stay.


def wait_until_seen(path: Path) -> None:
    """Waits until every process sees a file that process 0 has written by now.

    Raises:
        ValueError: one does not, within a minute.
    """
    if jax.process_count() == 1:
        return
    multihost_utils.sync_global_devices(f"{path.name} was written")
    with failing_together():
        until = time.monotonic() + _SECONDS_UNTIL_SEEN
        while not path.exists():
            if time.monotonic() > until:
                raise ValueError(
                    f"process 0 has written {path}, and process {jax.process_index()} on "
                    f"{socket.gethostname()} does not see it; expected a --workdir that all hosts share"
                )
            time.sleep(0.05)


def _gather_texts(text: str) -> list[str]:
    """The text of each process, in their order."""
    raw = np.frombuffer(text.encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.asarray(raw.size, np.int32)).tolist()
    padded = np.zeros(max(*sizes, 1), np.uint8)
    padded[: raw.size] = raw
    rows = multihost_utils.process_allgather(padded)
    return [bytes(row[:size]).decode() for row, size in zip(rows, sizes, strict=True)]


class Decision(NamedTuple):
    """What all processes do after a step.

    Attributes:
        signal_name: of the signal that asked the run to end; None while none has.
        save: whether the last checkpoint is old enough.
    """

    signal_name: str | None
    save: bool


class Council:
    """Decides after each step what only one process may know: that a signal came, that time is up.

    Each process gives a vote at each step. The devices reduce the votes behind the step that was
    just started, and the outcome is read `LAG` steps later, when it is there: nobody waits, and all
    decide at the same step. A single process decides at once, and asks no device.

    Args:
        mesh: the devices.
    """

    def __init__(self, mesh: Mesh):
        self._votes: collections.deque[tuple[int, jax.Array]] = collections.deque()
        self._saved = 0
        if jax.process_count() > 1:
            self._sharding = split_batch(mesh)
            self._rows = jax.local_device_count()
            self._greatest = jax.jit(
                lambda votes: jnp.max(votes, axis=0), out_shardings=replicated(mesh)
            )

    def decide(self, step: int, signal_name: str | None, save: bool) -> Decision:
        """Gives this process's vote of a step, and returns what is to be done after it.

        Args:
            step: its number.
            signal_name: of the signal that this process got.
            save: whether the last checkpoint is old enough by the clock of this process; that of
                process 0 counts.
        """
        if jax.process_count() == 1:
            return Decision(signal_name, save)
        number = signal.Signals[signal_name].value if signal_name else 0
        vote = np.tile(np.array([number, save and is_main()], np.int32), (self._rows, 1))
        votes = jax.make_array_from_process_local_data(self._sharding, vote)
        self._votes.append((step, self._greatest(votes)))
        if len(self._votes) <= LAG:
            return Decision(None, False)
        voted, outcome = self._votes.popleft()
        number, old = np.asarray(outcome.addressable_data(0)).tolist()
        # Votes that were given before the last save do not know of it.
        return Decision(
            signal.Signals(number).name if number else None, bool(old) and voted > self._saved
        )

    def saved(self, step: int) -> None:
        """Notes that a checkpoint of this step was saved."""
        self._saved = step


def any_process(signal_name: str | None) -> str | None:
    """The signal that any process got, for all of them; waits for all."""
    if jax.process_count() == 1:
        return signal_name
    return next(filter(None, _gather_texts(signal_name or "")), None)


def rows_of_all(rows: np.ndarray) -> Any:
    """The rows of every process, in their order; equally many on each."""
    return multihost_utils.process_allgather(rows, tiled=True)
