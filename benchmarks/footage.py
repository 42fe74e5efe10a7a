"""Footage to measure with: synthetic pairs in NTU RGB+D's layout, and the records made of them."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from configs import ntu
from rgb2ir_jax.data.source import DatasetNotFoundError, describe

_REPOSITORY = Path(__file__).resolve().parents[1]


class Pair(NamedTuple):
    """A clip's two video files."""

    name: str
    rgb: Path
    ir: Path


def film(folder: Path, clips: int, height: int) -> list[Pair]:
    """Films synthetic pairs with `rgb2ir_jax.synthesize`; what is there already is kept."""
    command = [sys.executable, "-m", "rgb2ir_jax.synthesize", f"--out={folder}"]
    subprocess.run(
        [*command, "--layout=ntu", f"--clips={clips}", f"--height={height}"],
        check=True,
        cwd=_REPOSITORY,
    )
    return find_pairs(folder)[:clips]


def find_pairs(folder: Path) -> list[Pair]:
    """Finds the pairs below a folder by NTU RGB+D's names."""
    infrared = {path.name.removesuffix("_ir.avi"): path for path in folder.rglob("*_ir.avi")}
    pairs = [
        Pair(name, path, infrared[name])
        for path in sorted(folder.rglob("*_rgb.avi"))
        if (name := path.name.removesuffix("_rgb.avi")) in infrared
    ]
    if not pairs:
        raise SystemExit(f"no pair of *_rgb.avi and *_ir.avi is below {folder}")
    return pairs


def build(footage: Path, folder: Path) -> ConfigDict:
    """Builds the ten classes' records of the footage with `tfds build`, unless they are there.

    Returns:
        The data section of configs/ntu.py, naming the records.
    """
    data = ntu.get_config().data.copy_and_resolve_references()
    data.unlock()
    data.dir = str(folder)
    try:
        describe(data)
    except DatasetNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [
                str(Path(sys.executable).with_name("tfds")),
                "build",
                str(_REPOSITORY / "data_builders" / data.name),
                f"--config={data.config}",
                f"--manual_dir={footage}",
                f"--data_dir={folder}",
            ],
            check=True,
            cwd=_REPOSITORY,
        )
    return data
