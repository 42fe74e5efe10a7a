"""Finding the footage: which pairs of files lie below a folder, and what is wrong with the rest."""

import dataclasses
import os
from collections.abc import Container
from pathlib import Path

from .protocol import EXAMPLE_FILE_NAME, Sample, parse_file_name


class FootageError(ValueError):
    """The footage cannot be built from; the message says what was found and what was expected."""


@dataclasses.dataclass
class Footage:
    """What lies below the searched folder.

    Attributes:
        pairs: The RGB and the infrared file of each complete sample of the wanted actions.
        problems: For each sample of the wanted actions that cannot be used, why.
        files_seen: Number of files looked at, whatever their name.
        other_actions: Number of files of actions that were not wanted.
    """

    pairs: dict[Sample, tuple[Path, Path]] = dataclasses.field(default_factory=dict)
    problems: dict[str, str] = dataclasses.field(default_factory=dict)
    files_seen: int = 0
    other_actions: int = 0


def find_footage(folder: Path, actions: Container[int]) -> Footage:
    """Searches a folder, at any depth, for the files of some actions and pairs their modalities.

    Files are known by their base name alone: the archives of different mirrors unpack into
    different folders.

    Args:
        folder: Where to search; links to folders are followed.
        actions: The wanted action numbers, counted from 1.

    Returns:
        The pairs, sorted by sample, and what cannot be used.

    Raises:
        FootageError: no file of the wanted actions was found, or none has its partner.
    """
    footage = Footage()
    found: dict[Sample, dict[str, Path]] = {}
    unlike: list[str] = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()  # so that of two copies of a file the same one is always taken
        for name in sorted(names):
            footage.files_seen += 1
            parsed = parse_file_name(name)
            if parsed is None:
                if len(unlike) < 3:
                    unlike.append(name)
            elif parsed[0].action not in actions:
                footage.other_actions += 1
            else:
                sample, modality = parsed
                found.setdefault(sample, {}).setdefault(modality, Path(parent, name))
    for sample, files in sorted(found.items()):
        if len(files) == 2:
            footage.pairs[sample] = (files["rgb"], files["ir"])
        else:
            (modality,) = files
            missing = "ir" if modality == "rgb" else "rgb"
            footage.problems[sample.sample_id] = (
                f"only {files[modality].name} is there, {sample.sample_id}_{missing}.avi is missing"
            )
    if not footage.pairs:
        raise FootageError(_nothing_found(folder, footage, unlike))
    return footage


def _nothing_found(folder: Path, footage: Footage, unlike: list[str]) -> str:
    infrared = EXAMPLE_FILE_NAME.replace("_rgb", "_ir")
    lines = [
        "No pair of RGB and infrared videos was found.",
        f"  searched: {folder} and every folder below it ({footage.files_seen} files)",
        f"  expected: pairs of files named like {EXAMPLE_FILE_NAME} and {infrared}",
    ]
    if footage.other_actions:
        lines.append(
            f"  found:    {footage.other_actions} files of actions that this config leaves out"
        )
    if footage.problems:
        name, problem = next(iter(footage.problems.items()))
        lines.append(
            f"  found:    {len(footage.problems)} samples in one modality only; {name}: {problem}"
        )
    if unlike:
        lines.append(f"  found:    other files, such as {', '.join(unlike)}")
    lines.append("  to do:    point --manual_dir at the folder that holds the unpacked videos")
    return "\n".join(lines)
