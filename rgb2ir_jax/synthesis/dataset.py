"""Films many samples into a folder in NTU RGB+D's layout, on several cores, and goes on after an interruption."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from rgb2ir_jax.synthesis.casting import choose_samples
from rgb2ir_jax.synthesis.filming import FilmingReport, SynthesisError, claim_folder, film_jobs
from rgb2ir_jax.synthesis.naming import SampleName

__all__ = ["WORLD_VERSION", "FilmingReport", "SynthesisError", "film_dataset"]

WORLD_VERSION = 2
"""Raised whenever the same name and seed would give other pictures."""


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
    claim_folder(folder, {"world": WORLD_VERSION, "layout": "ntu", "height": height, "seed": seed})
    missing = [name for name in names if not _is_filmed(folder, name)]
    size = 0
    if missing:
        count = min(workers or os.cpu_count() or 1, len(missing))
        size = film_jobs(
            [partial(_film_one, folder, name, seed, height) for name in missing],
            count,
            progress=progress,
        )
    return FilmingReport(
        len(missing), len(names) - len(missing), time.monotonic() - started, size / 1e6
    )


def _is_filmed(folder: Path, name: SampleName) -> bool:
    from rgb2ir_jax.synthesis.film import pair_paths

    return all(path.is_file() for path in pair_paths(folder, name))


def _film_one(folder: Path, name: SampleName, seed: int, height: int) -> int:
    # OpenCV and PyAV are imported by the workers alone.
    from rgb2ir_jax.synthesis.film import film_pair

    return film_pair(folder, name, seed, height)
