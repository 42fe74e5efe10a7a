"""The mark of a running build, by which the next one knows what a killed one left behind."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_LOCK_FILE = "build.lock"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Marks TFDS's temporary folder as in use, and removes its dead siblings.

    TFDS builds in "incomplete.XXXXXX_1.0.0" and renames that at the very end, so that a killed build
    never reads as whole; but its folder would stay for ever. The system gives a lock up when its
    process dies, however it dies: a sibling whose lock can be had belongs to nobody.

    Args:
        folder: The temporary folder of this build.

    Yields:
        None; the mark is gone afterwards.
    """
    unfinished, _, version = folder.name.rpartition("_")
    if unfinished.startswith("incomplete."):
        for sibling in folder.parent.glob(f"incomplete.*_{version}/{_LOCK_FILE}"):
            if sibling.parent != folder:
                _remove_if_dead(sibling)
    path = folder / _LOCK_FILE
    with path.open("w") as file:
        # Some network file systems know no locks; there the leftovers stay, and nothing else.
        _try_lock(file)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _remove_if_dead(lock_file: Path) -> None:
    # Opened for writing, as locks on NFS ask for it.
    with contextlib.suppress(FileNotFoundError), lock_file.open("r+") as file:
        if _try_lock(file):
            shutil.rmtree(lock_file.parent, ignore_errors=True)


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
