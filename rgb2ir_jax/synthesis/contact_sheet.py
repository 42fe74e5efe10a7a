"""A sheet of picture strips: every action in both modalities, to be looked at."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from rgb2ir_jax.synthesis.film import render_pair
from rgb2ir_jax.synthesis.naming import CLASS_NAMES, SampleName

_STRIP = 8
_CELL = (150, 120)
_LABEL = 92


def contact_sheet(
    names: list[SampleName], seed: int, height: int
) -> UInt8[np.ndarray, "height width 3"]:
    """One row of colour and one of infrared pictures a sample, eight moments each, cut to the middle."""
    rows = []
    for name in names:
        rgb, ir = render_pair(name, seed, height)
        lines = [
            f"A{name.action:03d}",
            *CLASS_NAMES[name.action - 1].split(" (")[0].split(),
            f"C{name.camera:03d}",
        ]
        strips = [strip(rgb), strip(np.repeat(ir[..., None], 3, axis=-1))]
        label = written(lines, (_LABEL, 2 * _CELL[1]))
        rows.append(np.concatenate([label, np.concatenate(strips)], axis=1))
    return np.concatenate(rows)


def written(lines: list[str], size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """Lines of text in black on white; `size` is (width, height)."""
    label = np.full((size[1], size[0], 3), 255, np.uint8)
    for i, line in enumerate(lines):
        place = (4, 22 + 20 * i)
        cv2.putText(label, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return label


def strip(
    clip: UInt8[np.ndarray, "frame height width 3"],
    count: int = _STRIP,
    cell: tuple[int, int] = _CELL,
) -> UInt8[np.ndarray, "cell_height strip_width 3"]:
    """Moments of a clip side by side, cut to the middle; `cell` is (width, height)."""
    width, height = cell
    moments = np.linspace(0.03, 0.97, count) * (len(clip) - 1)
    cells = []
    for moment in moments.round().astype(int):
        picture = clip[moment]
        keep = min(picture.shape[1], round(picture.shape[0] * width / height))
        left = (picture.shape[1] - keep) // 2
        middle = np.ascontiguousarray(picture[:, left : left + keep])
        shrink = picture.shape[0] > height
        cells.append(
            cv2.resize(middle, cell, interpolation=cv2.INTER_AREA if shrink else cv2.INTER_NEAREST)
        )
    return np.concatenate(cells, axis=1)


def one_sample_a_class(names: list[SampleName]) -> list[SampleName]:
    """The first sample of each class, in the classes' order."""
    first: dict[int, SampleName] = {}
    for name in names:
        first.setdefault(name.action, name)
    return [first[action] for action in sorted(first)]


def write_contact_sheet(path: Path, names: list[SampleName], seed: int, height: int) -> None:
    """Writes the sheet as JPEG or PNG, by the path's ending.

    Raises:
        OSError: when the file cannot be written.
    """
    save_sheet(path, contact_sheet(one_sample_a_class(names), seed, height))


def save_sheet(path: Path, sheet: UInt8[np.ndarray, "height width 3"]) -> None:
    """Writes a sheet as JPEG or PNG, by the path's ending.

    Raises:
        OSError: when the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    options = [cv2.IMWRITE_JPEG_QUALITY, 78] if jpeg else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), options):
        raise OSError(f"OpenCV could not write {path}")
