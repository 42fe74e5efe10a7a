"""Films dark clips into a folder in ARID's layout, on several cores, and goes on after an interruption."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from rgb2ir_jax.synthesis.dark.clips import MOST_CLIPS, DarkClip, choose_clips
from rgb2ir_jax.synthesis.dataset import WORLD_VERSION
from rgb2ir_jax.synthesis.filming import FilmingReport, claim_folder, film_jobs

DARK_WORLD_VERSION = 1
"""Raised whenever the same clip and seed would give other dark pictures."""


def film_dark_dataset(
    out: str | os.PathLike[str],
    clips: int,
    height: int = 240,
    seed: int = 0,
    workers: int | None = None,
    *,
    progress: bool = True,
) -> FilmingReport:
    """Films the first `clips` clips of the dark world into a folder, and writes the lists of its splits.

    Clips that are there from an earlier call with the same height and seed are kept. The lists are
    written last; they hold every clip that is there, without a gap in the order of casting.

    Args:
        out: The folder; made when missing.
        clips: Number of clips; see `clips.choose_clips` for which.
        height: Lines of the picture.
        seed: Seed of the world: another seed has other people, rooms and motions.
        workers: Processes; all cores when None.
        progress: Whether to show a progress bar.

    Raises:
        SynthesisError: when the folder holds footage made with other settings.
        ValueError: when the number of clips is out of range.
    """
    started = time.monotonic()
    folder = Path(out)
    cast = choose_clips(clips, seed)
    claim_folder(
        folder,
        {
            "world": WORLD_VERSION,
            "dark_world": DARK_WORLD_VERSION,
            "layout": "arid",
            "height": height,
            "seed": seed,
        },
    )
    missing = [clip for clip in cast if not _is_filmed(folder, clip)]
    size = 0
    if missing:
        jobs = [partial(_film_one, folder, clip, seed, height) for clip in missing]
        count = min(workers or os.cpu_count() or 1, len(jobs))
        size = film_jobs(jobs, count, progress=progress, unit="clips")
    reused = len(cast) - len(missing)
    for clip in choose_clips(MOST_CLIPS, seed)[clips:]:
        if not _is_filmed(folder, clip):
            break
        cast.append(clip)
    _write_lists(folder, cast)
    return FilmingReport(len(missing), reused, time.monotonic() - started, size / 1e6)


def _is_filmed(folder: Path, clip: DarkClip) -> bool:
    from rgb2ir_jax.synthesis.dark.layout import clip_path

    return clip_path(folder, clip).is_file()


def _write_lists(folder: Path, clips: list[DarkClip]) -> None:
    from rgb2ir_jax.synthesis.dark.layout import write_lists

    write_lists(folder, clips)


def _film_one(folder: Path, clip: DarkClip, seed: int, height: int) -> int:
    # OpenCV and PyAV are imported by the workers alone.
    from rgb2ir_jax.synthesis.dark.film import film_clip

    return film_clip(folder, clip, seed, height)
