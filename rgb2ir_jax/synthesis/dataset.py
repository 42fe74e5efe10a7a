"""Films many samples into a folder in NTU RGB+D's layout, on several cores, and goes on after an interruption."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from rgb2ir_jax.synthesis.casting import choose_samples
from rgb2ir_jax.synthesis.naming import SampleName

MANIFEST = "synthesis.json"
WORLD_VERSION = 2
"""Raised whenever the same name and seed would give other pictures."""


class SynthesisError(Exception):
    """A folder cannot be filled as asked; the message says why and what to do."""


@dataclass(frozen=True)
class FilmingReport:
    """What `film_dataset` did.

    Attributes:
        filmed: Pairs written by this call.
        reused: Pairs that were there already.
        seconds: Wall time of this call.
        megabytes: Size of the pairs written by this call, in 10^6 bytes.
    """

    filmed: int
    reused: int
    seconds: float
    megabytes: float

    @property
    def pairs_per_minute(self) -> float:
        """Speed of this call; 0 when nothing was filmed."""
        return 60 * self.filmed / self.seconds if self.filmed else 0.0


def film_dataset(
    out: str | os.PathLike[str],
    clips: int,
    height: int = 1080,
    seed: int = 0,
    workers: int | None = None,
    *,
    progress: bool = True,
) -> FilmingReport:
    """Films the first `clips` pairs of the synthetic world into a folder.

    Pairs that are there from an earlier call with the same height and seed are kept.

    Args:
        out: The folder; made when missing.
        clips: Number of pairs; see `casting.choose_samples` for which.
        height: Lines of the colour picture.
        seed: Seed of the world: another seed has other people, rooms and motions.
        workers: Processes; all cores when None.
        progress: Whether to show a progress bar.

    Raises:
        SynthesisError: when the folder holds pairs of another height, seed or version of the world.
        ValueError: when the number of clips is out of range.
    """
    started = time.monotonic()
    folder = Path(out)
    names = choose_samples(clips, seed)
    _claim(folder, height, seed)
    missing = [name for name in names if not _is_filmed(folder, name)]
    size = 0
    if missing:
        count = min(workers or os.cpu_count() or 1, len(missing))
        size = _film_all(folder, missing, seed, height, count, progress)
    return FilmingReport(
        len(missing), len(names) - len(missing), time.monotonic() - started, size / 1e6
    )


def _is_filmed(folder: Path, name: SampleName) -> bool:
    from rgb2ir_jax.synthesis.film import pair_paths

    return all(path.is_file() for path in pair_paths(folder, name))


def _claim(folder: Path, height: int, seed: int) -> None:
    """Writes the folder's manifest, or checks the one that is there."""
    wanted = {"world": WORLD_VERSION, "layout": "ntu", "height": height, "seed": seed}
    path = folder / MANIFEST
    if path.is_file():
        try:
            found = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise SynthesisError(
                f"{path} cannot be read ({error}); remove the folder or choose another"
            ) from error
        differing = [
            f"{k}={found.get(k)} (asked for {v})" for k, v in wanted.items() if found.get(k) != v
        ]
        if differing:
            raise SynthesisError(
                f"{folder} holds footage made with {', '.join(differing)}; "
                "choose another folder, or remove this one to film it anew"
            )
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(wanted, indent=2) + "\n")
        partial.replace(path)
    except OSError as error:
        raise SynthesisError(f"cannot write to {folder}: {error.strerror or error}") from error


def _end_with_parent(parent: int) -> None:
    """Ends this worker soon after its parent was killed, which would leave it waiting for ever."""
    while os.getppid() == parent:
        time.sleep(2.0)
    os._exit(1)


def _start_worker() -> None:
    # Ctrl-C belongs to the parent, which then ends the workers; one thread each, as all cores have
    # a worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    import cv2

    cv2.setNumThreads(1)


def _film_one(folder: str, name: str, seed: int, height: int) -> int:
    from rgb2ir_jax.synthesis.film import film_pair

    return film_pair(Path(folder), SampleName.parse(name), seed, height)


def _film_all(
    folder: Path, names: list[SampleName], seed: int, height: int, workers: int, progress: bool
) -> int:
    """Films in `workers` processes; returns the bytes written."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("filming"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pairs, elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # "spawn" is safe beside the threads that JAX may have started in the parent.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    size = 0
    try:
        with Progress(*columns, disable=not progress) as bar:
            task = bar.add_task("filming", total=len(names))
            pending: set[Future[int]] = set()
            queue = iter(names)
            # A short queue: an interruption then has little to wait for.
            while True:
                for name in queue:
                    pending.add(pool.submit(_film_one, str(folder), str(name), seed, height))
                    if len(pending) >= 2 * workers:
                        break
                if not pending:
                    break
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    size += future.result()
                    bar.advance(task)
    except BrokenProcessPool as error:
        raise SynthesisError(
            "a filming process was killed, probably for lack of memory; start again with fewer --workers "
            "(finished pairs are kept)"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return size
