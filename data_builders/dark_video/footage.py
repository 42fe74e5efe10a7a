"""Finding the videos that lists name: at any depth, in zip archives, with whatever video's ending."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from data_builders.recording.search import Search
from rgb2ir_jax.video.source import VideoSource

from .lists import VIDEO_ENDINGS, Row, without_ending

TEXT_ENDINGS = (".txt", ".lst", ".list")
_LISTED = 20

Rank = Callable[[tuple[str, ...]], int | None]
"""From the folders of a file to its place among copies, the lowest first; None: it is not meant."""


class Found(NamedTuple):
    """A file that the search met.

    Attributes:
        source: The file.
        folders: Those between the searched folder and the file, outermost first; an archive counts
            as a folder of its name.
    """

    source: VideoSource
    folders: tuple[str, ...]


class NotThereError(ValueError):
    """A listed video has no file; the message says what was looked for and what there is."""


def any_place(folders: tuple[str, ...]) -> int | None:
    """The rank of data sets that have one set of videos alone."""
    del folders
    return 0


@dataclasses.dataclass
class Footage:
    """What lies below the searched folder.

    Attributes:
        search: Where it was searched.
        videos: The videos, by their names without endings, in the search's order.
        texts: The text files.
        copies: Files that were left aside, each with the one that is used.
        used: Those that were given out.
    """

    search: Search
    videos: dict[str, list[Found]] = dataclasses.field(default_factory=dict)
    texts: list[VideoSource] = dataclasses.field(default_factory=list)
    copies: list[str] = dataclasses.field(default_factory=list)
    used: set[VideoSource] = dataclasses.field(default_factory=set)

    def video(self, row: Row, rank: Rank = any_place) -> VideoSource:
        """Returns the file that a line of a list means.

        Its folders must end with those of the line. Of several the best-ranked is taken, then one
        with the listed ending, then the first of the search.

        Args:
            row: The line.
            rank: Tells which folders are meant.

        Raises:
            NotThereError: there is none, or the line fits several of which none is a copy.
        """
        known = self.videos.get(row.stem, [])
        fitting = []
        for place, found in enumerate(known):
            position = rank(found.folders)
            if position is not None and _ends_with(found.folders, row.folders):
                other_ending = Path(found.source.name).suffix != Path(row.path).suffix
                fitting.append((position, other_ending, place, found))
        if not fitting:
            raise NotThereError(self._absent(row, known))
        fitting.sort(key=lambda candidate: candidate[:3])
        if not row.folders and len({found.folders[-1:] for *_, found in fitting}) > 1:
            raise NotThereError(
                f"{len(fitting)} files are called so, {fitting[0][-1].source} and "
                f"{fitting[1][-1].source} among them, and the list does not say in which folder"
            )
        kept = fitting[0][-1].source
        self.used.add(kept)
        for *_, other in fitting[1:]:
            self.used.add(other.source)
            self.copies.append(f"{other.source} (used: {kept})")
        return kept

    def notes(self, rank: Rank = any_place) -> dict[str, Any]:
        """Returns what a build's report says of the search, once all videos were asked for.

        Args:
            rank: Tells which folders are meant.
        """
        meant = (
            found.source
            for alike in self.videos.values()
            for found in alike
            if rank(found.folders) is not None
        )
        copies = self.copies
        if len(copies) > _LISTED:
            copies = [f"{len(copies)} files", *copies[:_LISTED], "..."]
        return {
            **self.search.notes(),
            "copies_left_aside": copies,
            "videos_in_no_list": sum(source not in self.used for source in meant),
        }

    def _absent(self, row: Row, known: list[Found]) -> str:
        text = f"there is no {row.path}, nor a video of this name with another ending"
        if known:
            text += f" (a file of this name lies elsewhere: {known[0].source})"
        if self.search.unreadable:
            text += f" ({len(self.search.unreadable)} archives could not be read)"
        return text


def find_footage(folder: Path) -> Footage:
    """Searches a folder for videos and text files.

    Args:
        folder: Where to search; links to folders are followed, zip archives read in place.
    """
    footage = Footage(Search(folder))
    for source in footage.search.sources():
        name = source.name.lower()
        if name.endswith(VIDEO_ENDINGS):
            found = Found(source, _folders(source, folder))
            footage.videos.setdefault(without_ending(source.name), []).append(found)
        elif name.endswith(TEXT_ENDINGS):
            footage.texts.append(source)
    return footage


def _folders(source: VideoSource, root: Path) -> tuple[str, ...]:
    parts = Path(source.path).relative_to(root).parts
    if source.member is not None:
        # "Drink.zip" may hold what the folder "Drink" would.
        inner = [part for part in source.member.replace("\\", "/").split("/") if part]
        parts = (*parts[:-1], parts[-1][: -len(".zip")], *inner)
    return parts[:-1]


def _ends_with(folders: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return folders[max(0, len(folders) - len(wanted)) :] == wanted
