"""Finding the footage: which pairs of files lie below a folder, and what is wrong with the rest."""

import dataclasses
from collections.abc import Container
from pathlib import Path
from typing import Any

from data_builders.ntu_rgbd_ir.protocol import (
    EXAMPLE_FILE_NAME,
    NTU60,
    Extent,
    Sample,
    parse_file_name,
    parse_misnamed,
)
from data_builders.recording.report import FootageError
from data_builders.recording.search import Search
from rgb2ir_jax.video.source import VideoSource

_LISTED = 20


@dataclasses.dataclass
class Footage:
    """What lies below the searched folder.

    Attributes:
        search: Where it was searched, and which archives could not be read.
        pairs: The RGB and the infrared video of each complete sample of the wanted actions.
        problems: For each sample of the wanted actions that cannot be used, why.
        other_actions: Number of videos of actions that were not wanted.
        other_files: A few names of files that are nothing of the set.
        misnamed: Videos whose names are only nearly right.
        duplicates: Copies that were left aside, each with the one that is used.
    """

    search: Search
    pairs: dict[Sample, tuple[VideoSource, VideoSource]] = dataclasses.field(default_factory=dict)
    problems: dict[str, str] = dataclasses.field(default_factory=dict)
    other_actions: int = 0
    other_files: list[str] = dataclasses.field(default_factory=list)
    misnamed: dict[Sample, list[VideoSource]] = dataclasses.field(default_factory=dict)
    duplicates: list[tuple[VideoSource, VideoSource]] = dataclasses.field(default_factory=list)

    def notes(self) -> dict[str, Any]:
        """Returns what a build's report says of the search."""
        names = [str(source) for files in self.misnamed.values() for source in files]
        return {
            "searched": self.search.describe(),
            "unreadable_archives": list(self.search.unreadable.values()),
            "archives_within_archives_(not_read)": self.search.nested,
            "misnamed_files": names,
            "copies_left_aside": _counted(
                [f"{copy} (used: {kept})" for copy, kept in self.duplicates]
            ),
        }


def find_footage(folder: Path, actions: Container[int], extent: Extent = NTU60) -> Footage:
    """Searches a folder, at any depth and in zip archives, and pairs the modalities' videos.

    Videos are known by their base name alone: the archives of different mirrors have different
    folders inside. Of several copies the first is used, plain files before archives' members, in
    the order of their paths.

    Args:
        folder: Where to search; links to folders are followed.
        actions: The wanted action numbers, counted from 1.
        extent: The data set; samples with numbers outside it cannot be used.

    Returns:
        The pairs, sorted by sample, and what cannot be used.

    Raises:
        FootageError: no video of the wanted actions was found, or none has its partner.
    """
    footage = Footage(Search(folder))
    found: dict[Sample, dict[str, VideoSource]] = {}
    for source in footage.search.sources():
        _file(source, footage, found, actions)
    for sample in sorted(found.keys() | footage.misnamed.keys()):
        files = found.get(sample, {})
        beyond = sample.beyond(extent)
        if beyond:
            first = next(iter([*files.values(), *footage.misnamed.get(sample, [])]))
            footage.problems[sample.sample_id] = f"misnamed: {first} tells {beyond}"
        elif len(files) == 2:
            footage.pairs[sample] = (files["rgb"], files["ir"])
        else:
            footage.problems[sample.sample_id] = _incomplete(sample, files, footage)
    if not footage.pairs:
        raise FootageError(_nothing_found(footage))
    return footage


def _file(
    source: VideoSource,
    footage: Footage,
    found: dict[Sample, dict[str, VideoSource]],
    actions: Container[int],
) -> None:
    """Files one source where it belongs."""
    parsed = parse_file_name(source.name)
    sample = parsed[0] if parsed else parse_misnamed(source.name)
    if sample is None:
        if len(footage.other_files) < 3:
            footage.other_files.append(source.name)
    elif sample.action not in actions and 1 <= sample.action <= 120:
        footage.other_actions += 1
    elif parsed is None:
        footage.misnamed.setdefault(sample, []).append(source)
    else:
        kept = found.setdefault(sample, {}).setdefault(parsed[1], source)
        if kept is not source:
            footage.duplicates.append((source, kept))


def _incomplete(sample: Sample, files: dict[str, VideoSource], footage: Footage) -> str:
    missing = [f"{sample.sample_id}_{m}.avi" for m in ("rgb", "ir") if m not in files]
    there = [source.name for source in files.values()]
    text = f"only {there[0]} is there, " if there else ""
    text += f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    if sample in footage.misnamed:
        alike = ", ".join(str(source) for source in footage.misnamed[sample])
        text += f" (misnamed? {alike}; expected a name like {EXAMPLE_FILE_NAME})"
    if footage.search.unreadable:
        text += f" ({len(footage.search.unreadable)} archives could not be read)"
    return text


def _counted(lines: list[str]) -> list[str]:
    if len(lines) > _LISTED:
        return [f"{len(lines)} files", *lines[:_LISTED], "..."]
    return lines


def _nothing_found(footage: Footage) -> str:
    infrared = EXAMPLE_FILE_NAME.replace("_rgb", "_ir")
    lines = [
        "No pair of RGB and infrared videos was found.",
        f"  searched: {footage.search.describe()}",
        f"  expected: pairs of files named like {EXAMPLE_FILE_NAME} and {infrared},",
        "            in folders or in zip archives like nturgbd_rgb_s001.zip and nturgbd_ir_s001.zip",
    ]
    if footage.other_actions:
        lines.append(
            f"  found:    {footage.other_actions} files of actions that this config leaves out"
        )
    if footage.problems:
        name, problem = next(iter(footage.problems.items()))
        lines.append(
            f"  found:    {len(footage.problems)} samples that cannot be used; {name}: {problem}"
        )
    lines += [f"  found:    {problem}" for problem in footage.search.unreadable.values()]
    if footage.search.nested:
        lines.append(
            f"  found:    archives within archives, which are not read: "
            f"{', '.join(footage.search.nested[:3])}"
        )
    if footage.other_files:
        lines.append(f"  found:    other files, such as {', '.join(footage.other_files)}")
    lines.append("  to do:    point --manual_dir at the folder that holds the videos or archives")
    return "\n".join(lines)
