"""Films long videos into a folder in PKU-MMD's layout, on several cores, and goes on after an interruption."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from rgb2ir_jax.synthesis.dataset import WORLD_VERSION
from rgb2ir_jax.synthesis.filming import FilmingReport, claim_folder, film_jobs
from rgb2ir_jax.synthesis.long_videos import MOST_VIDEOS, VIEWS, LongVideo, choose_videos


def film_long_videos(
    out: str | os.PathLike[str],
    videos: int,
    actions_per_video: int = 20,
    height: int = 1080,
    seed: int = 0,
    workers: int | None = None,
    *,
    progress: bool = True,
) -> FilmingReport:
    """Films the first `videos` performances, each from three sides, with label and split files.

    Views that are there from an earlier call with the same settings are kept. The split files are
    written last and list every video that is there from all three sides, without a gap in the
    numbers.

    Args:
        out: The folder; made when missing.
        videos: Number of performances; see `long_videos.choose_videos` for which.
        actions_per_video: Actions in each; the owners' videos have twenty on average.
        height: Lines of the colour picture.
        seed: Seed of the world: another seed has other people, rooms and motions.
        workers: Processes; all cores when None.
        progress: Whether to show a progress bar.

    Returns:
        What was done; a pair is one view of one performance.

    Raises:
        SynthesisError: when the folder holds footage made with other settings.
        ValueError: when a number is out of range.
    """
    started = time.monotonic()
    folder = Path(out)
    cast = choose_videos(videos, actions_per_video, seed)
    claim_folder(
        folder,
        {
            "world": WORLD_VERSION,
            "layout": "pku_mmd",
            "height": height,
            "seed": seed,
            "actions_per_video": actions_per_video,
        },
    )
    views = [(video, view) for video in cast for view in VIEWS]
    missing = [(video, view) for video, view in views if not _is_filmed(folder, video, view)]
    size = 0
    if missing:
        jobs = [partial(_film_one, folder, video, view, seed, height) for video, view in missing]
        count = min(workers or os.cpu_count() or 1, len(jobs))
        size = film_jobs(jobs, count, progress=progress)
    for video in choose_videos(MOST_VIDEOS, actions_per_video, seed)[videos:]:
        if not all(_is_filmed(folder, video, view) for view in VIEWS):
            break
        cast.append(video)
    _write_splits(folder, cast)
    return FilmingReport(
        len(missing), len(views) - len(missing), time.monotonic() - started, size / 1e6
    )


def _is_filmed(folder: Path, video: LongVideo, view: str) -> bool:
    from rgb2ir_jax.synthesis.pku_layout import view_paths

    return all(path.is_file() for path in view_paths(folder, video.name(view)))


def _write_splits(folder: Path, videos: list[LongVideo]) -> None:
    from rgb2ir_jax.synthesis.pku_layout import write_splits

    write_splits(folder, videos)


def _film_one(folder: Path, video: LongVideo, view: str, seed: int, height: int) -> int:
    from rgb2ir_jax.synthesis.pku_layout import film_view

    return film_view(folder, video, view, seed, height)
