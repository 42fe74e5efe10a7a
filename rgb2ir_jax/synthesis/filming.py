"""Runs filming jobs in worker processes, and keeps a folder to one world."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

MANIFEST = "synthesis.json"


class SynthesisError(Exception):
    """A folder cannot be filled as asked; the message says why and what to do."""


class FilmingStoppedError(Exception):
    """The parent asked this worker to leave its video unfinished."""


@dataclass(frozen=True)
class FilmingReport:
    """What one call filmed.

    Attributes:
        filmed: Pairs (of dark footage: clips) written by this call.
        reused: Those that were there already.
        seconds: Wall time of this call.
        megabytes: Size of what was written by this call, in 10^6 bytes.
    """

    filmed: int
    reused: int
    seconds: float
    megabytes: float

    @property
    def pairs_per_minute(self) -> float:
        """Speed of this call; 0 when nothing was filmed."""
        return 60 * self.filmed / self.seconds if self.filmed else 0.0


def claim_folder(folder: Path, wanted: dict[str, Any]) -> None:
    """Writes a folder's manifest, or checks that the one that is there says the same.

    Raises:
        SynthesisError: when the folder holds footage made with other settings, or cannot be written.
    """
    path = folder / MANIFEST
    if path.is_file():
        try:
            found = json.loads(path.read_text())
        except (ValueError, OSError) as error:
            raise SynthesisError(
                f"{path} cannot be read ({error}); remove the folder or choose another"
            ) from error
        if not isinstance(found, dict):
            raise SynthesisError(
                f"{path} is not a manifest of synthetic footage; choose another folder"
            )
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
        write_text(path, json.dumps(wanted, indent=2) + "\n")
    except OSError as error:
        raise SynthesisError(f"cannot write to {folder}: {error.strerror or error}") from error


def write_text(path: Path, text: str) -> None:
    """Writes a small file whole or not at all; its folder is made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


_stop: Event | None = None


def raise_if_stopped() -> None:
    """Ends a job in a worker whose parent was interrupted: a long video may have minutes to go.

    Raises:
        FilmingStoppedError: when that is so.
    """
    if _stop is not None and _stop.is_set():
        raise FilmingStoppedError


def _end_with_parent(parent: int) -> None:
    """Ends this worker soon after its parent was killed, which would leave it waiting for ever."""
    while os.getppid() == parent:
        time.sleep(2.0)
    os._exit(1)


def _start_worker(stop: Event) -> None:
    # Ctrl-C belongs to the parent, which then ends the workers; one thread each, as all cores have
    # a worker.
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    import cv2

    cv2.setNumThreads(1)


def film_jobs(
    jobs: Sequence[Callable[[], int]], workers: int, *, progress: bool, unit: str = "pairs"
) -> int:
    """Runs jobs, each of which films one pair or clip and returns its bytes; returns the bytes of all.

    Args:
        jobs: Functions that can be pickled.
        workers: Processes.
        progress: Whether to show a progress bar.
        unit: What a job films, in the plural, for the bar.

    Raises:
        SynthesisError: when a process was killed.
    """
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
        TextColumn(f"{unit}, elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # "spawn" is safe beside the threads that JAX may have started in the parent.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(stop,)
    )
    size = 0
    try:
        with Progress(*columns, disable=not progress) as bar:
            task = bar.add_task("filming", total=len(jobs))
            pending: set[Future[int]] = set()
            queue = iter(jobs)
            # A short queue: an interruption then has little to wait for.
            while True:
                for job in queue:
                    pending.add(pool.submit(job))
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
            f"(finished {unit} are kept)"
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    return size
