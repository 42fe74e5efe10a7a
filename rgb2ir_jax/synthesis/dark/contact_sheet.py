"""A sheet of the dark clips: every class as it was filmed, and brightened for the eye beside it."""

import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rgb2ir_jax.synthesis.contact_sheet import save_sheet, strip, written
from rgb2ir_jax.synthesis.dark.clips import DARK_CLASS_NAMES, DarkClip
from rgb2ir_jax.synthesis.dark.film import film_clip
from rgb2ir_jax.synthesis.dark.layout import clip_path
from rgb2ir_jax.video.decode import open_video

_MOMENTS = 4
_CELL = (88, 66)
_LABEL, _GAP, _TITLE = 60, 6, 30
_GAMMA = 2.2
# Noise takes nearly all of a PNG's bytes; in the bright half the eye does not miss the lowest bits.
_KEPT_BITS = 0xF8


def brightened(
    pictures: UInt8[np.ndarray, "*shape"], gamma: float = _GAMMA
) -> UInt8[np.ndarray, "*shape"]:
    """Gamma correction: (pixels / 255) ** (1 / gamma)."""
    table = np.round(255 * np.linspace(0, 1, 256) ** (1 / gamma)).astype(np.uint8)
    return table[pictures]


def dark_contact_sheet(
    clips: list[DarkClip], seed: int, height: int
) -> UInt8[np.ndarray, "height width 3"]:
    """One row a clip: moments of it as its file shows them, then the same moments brightened."""
    rows = []
    for clip in clips:
        dark = strip(_filmed(clip, seed, height), _MOMENTS, _CELL)
        name = [DARK_CLASS_NAMES[clip.label], f"group {clip.group}"]
        gap = np.full((_CELL[1], _GAP, 3), 255, np.uint8)
        cells = [written(name, (_LABEL, _CELL[1])), dark, gap, brightened(dark) & _KEPT_BITS]
        rows.append(np.concatenate(cells, axis=1))
    half = _LABEL + _MOMENTS * _CELL[0] + _GAP
    left = written(["Synthetic footage (rendered, not recorded): as filmed"], (half, _TITLE))
    right = written([f"the same frames, gamma {_GAMMA}"], (rows[0].shape[1] - half, _TITLE))
    return np.concatenate([np.concatenate([left, right], axis=1), *rows])


def _filmed(clip: DarkClip, seed: int, height: int) -> UInt8[np.ndarray, "frame height width 3"]:
    with tempfile.TemporaryDirectory() as folder:
        film_clip(Path(folder), clip, seed, height)
        with open_video(clip_path(Path(folder), clip)) as (_, frames):
            return np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


def write_dark_contact_sheet(path: Path, clips: list[DarkClip], seed: int, height: int) -> None:
    """Writes the sheet of one clip of each class as JPEG or PNG, by the path's ending.

    Raises:
        OSError: when the file cannot be written.
    """
    first: dict[int, DarkClip] = {}
    for clip in clips:
        first.setdefault(clip.label, clip)
    save_sheet(path, dark_contact_sheet([first[label] for label in sorted(first)], seed, height))
