"""ARID's folders, names and list files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rgb2ir_jax.synthesis.dark.clips import SPLITS, DarkClip, split_clips
from rgb2ir_jax.synthesis.filming import write_text

CLIP_FOLDER, LIST_FOLDER = "clips_v1", "list_cvt"


def clip_path(out: Path, clip: DarkClip) -> Path:
    """Where ARID's layout has a clip."""
    return out / CLIP_FOLDER / clip.path


def list_text(clips: Sequence[DarkClip]) -> str:
    """The lines of a list file: running index from 0, label and path, separated by tabs."""
    return "".join(f"{i}\t{clip.label}\t{clip.path}\n" for i, clip in enumerate(clips))


def write_lists(out: Path, clips: Sequence[DarkClip]) -> None:
    """Writes `ARID_split{1,2,3}_{train,test,other}.txt` for clips in the order of casting."""
    for split in SPLITS:
        for kind, listed in split_clips(clips, split).items():
            write_text(out / LIST_FOLDER / f"ARID_split{split}_{kind}.txt", list_text(listed))
