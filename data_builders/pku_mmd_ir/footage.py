"""Finding the footage: videos, label files and the split file, in folders and zips alike."""

import dataclasses
from pathlib import Path

from data_builders.recording.report import FootageError
from data_builders.recording.search import Search
from rgb2ir_jax.video.source import SourceError, VideoSource, opened

from . import complaints
from .labels import is_label_text
from .protocol import Video, is_split_file, parse_file_name
from .splits import SplitFileError, SplitLists, parse_split

# The owners' longest label and split files have a few thousand characters.
TEXT_LIMIT = 2**20
_HEAD = 4096


@dataclasses.dataclass
class Found:
    """The files of one phase by what their names say.

    Attributes:
        videos: The sources of each video's modalities, "rgb" and "ir"; of copies the first.
        labels: All files with the name of a video's label file.
        split_files: All files with the name of the protocol's split file.
        other_phase: Number of files of the other phase.
        packed: Names of archives that are not zips.
        unlike: Names of some other files.
    """

    videos: dict[Video, dict[str, VideoSource]] = dataclasses.field(default_factory=dict)
    labels: dict[Video, list[VideoSource]] = dataclasses.field(default_factory=dict)
    split_files: list[VideoSource] = dataclasses.field(default_factory=list)
    other_phase: int = 0
    packed: list[str] = dataclasses.field(default_factory=list)
    unlike: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Footage:
    """What lies below the searched folder, of one phase.

    Attributes:
        videos: The sources of each video's modalities, "rgb" and "ir", one or both.
        labels: The text of each video's label file.
        lists: The videos of the two splits.
        split_file: Where the lists were read.
        label_problems: Why a video's label file cannot be used.
        search: What was searched.
    """

    videos: dict[Video, dict[str, VideoSource]]
    labels: dict[Video, str]
    lists: SplitLists
    split_file: VideoSource
    label_problems: dict[Video, str]
    search: Search


def find_footage(folder: Path, phase: int, protocol: str) -> Footage:
    """Searches a folder, at any depth and inside zips, for the files of one phase.

    Files are known by their base name alone. Of two copies of a video the first is taken; label
    and split files that differ from their copies are refused.

    Args:
        folder: Where to search; links to folders are followed.
        phase: 1 or 2.
        protocol: "xsub" (cross-subject) or "xview" (cross-view): whose split file is read.

    Returns:
        What was found; videos may lack a modality or their labels.

    Raises:
        FootageError: there is no video in both modalities, no label file, or no split file.
    """
    search = Search(folder)
    found = _sort(search, phase, protocol)
    if not any(len(files) == 2 for files in found.videos.values()):
        raise FootageError(complaints.no_pair(found, search, phase))
    labels, problems = _read_labels(found)
    if not labels and not problems:
        raise FootageError(complaints.no_label(found, search, phase))
    lists, split_file = _read_split(found, search, phase, protocol)
    return Footage(found.videos, labels, lists, split_file, problems, search)


def _sort(search: Search, phase: int, protocol: str) -> Found:
    found = Found()
    for source in search.sources():
        parsed = parse_file_name(source.name)
        if parsed and parsed[0].phase != phase:
            found.other_phase += 1
        elif parsed and parsed[1] == "label":
            found.labels.setdefault(parsed[0], []).append(source)
        elif parsed:
            found.videos.setdefault(parsed[0], {}).setdefault(parsed[1], source)
        elif is_split_file(source.name, protocol):
            found.split_files.append(source)
        elif source.name.lower().endswith((".7z", ".rar")):
            found.packed.append(source.name)
        elif len(found.unlike) < 3:
            found.unlike.append(source.name)
    return found


def _read_text(source: VideoSource, limit: int) -> str:
    """Returns the first so many bytes of a file or of a member of a zip archive as text."""
    with opened(source) as file:
        if isinstance(file, str):
            with Path(file).open("rb") as plain:
                data = plain.read(limit)
        else:
            data = file.read(limit)
    # Labels and lists are ASCII; what else is there is for their readers to judge.
    return data.decode("utf-8", errors="replace")


def _read_labels(found: Found) -> tuple[dict[Video, str], dict[Video, str]]:
    texts: dict[Video, str] = {}
    problems: dict[Video, str] = {}
    for video, sources in sorted(found.labels.items()):
        copies: dict[str, VideoSource] = {}
        for source in sources:
            try:
                if not is_label_text(_read_text(source, _HEAD)):
                    continue
                text = _read_text(source, TEXT_LIMIT + 1)
            except (OSError, SourceError) as error:
                problems[video] = f"its label file cannot be read: {error}"
                continue
            if len(text) > TEXT_LIMIT:
                problems[video] = f"its label file {source} is larger than {TEXT_LIMIT} bytes"
            copies.setdefault(text, source)
        if len(copies) > 1:
            problems[video] = f"its label files disagree: {', '.join(map(str, copies.values()))}"
        if copies and video not in problems:
            texts[video] = next(iter(copies))
    return texts, problems


def _read_split(
    found: Found, search: Search, phase: int, protocol: str
) -> tuple[SplitLists, VideoSource]:
    read: dict[SplitLists, VideoSource] = {}
    refused: dict[VideoSource, str] = {}
    for source in found.split_files:
        try:
            lists = parse_split(_read_text(source, TEXT_LIMIT))
        except (OSError, SourceError, SplitFileError) as error:
            refused[source] = str(error)
            continue
        if lists.phase == phase:
            read.setdefault(lists, source)
        else:
            refused[source] = f"it lists videos of phase {lists.phase}"
    if len(read) != 1:
        raise FootageError(
            complaints.no_split_file(list(read.values()), refused, search, phase, protocol)
        )
    return next(iter(read.items()))
