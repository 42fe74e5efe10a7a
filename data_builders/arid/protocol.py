"""What ARID's owners fixed: classes, names of files and lists, the sizes of the two releases.

Xu et al., "ARID: A New Dataset for Recognizing Action in the Dark", DL-HAR 2020 (arXiv:2006.03876), and
the lists in the authors' repository, xuyu0010/ARID_v1.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_builders.dark_video.lists import Row, VideoList

CLASS_NAMES = (
    "Drink", "Jump", "Pick", "Pour", "Push", "Run", "Sit", "Stand", "Turn", "Walk", "Wave",
)  # fmt: skip
SPLITS = ("train", "test", "others")
UNKNOWN_GROUP = -1

_VIDEO = re.compile(r"(?P<action>[A-Za-z]+)_(?P<group>\d{1,6})_\d{1,6}", re.ASCII)
# Names of folders and archives: clips_v1, ARID_v1; clips_v1.5, ARID_v1_5_211015.
_VERSION = r"(?:^|[^a-z]|arid|clips)v1"
_V1 = re.compile(rf"{_VERSION}(?![._]5|\d)", re.IGNORECASE)
_V1_5 = re.compile(rf"{_VERSION}[._]5(?!\d)", re.IGNORECASE)


class Release(NamedTuple):
    """A version of the data set.

    Attributes:
        title: The owners' name.
        splits: The numbers of its official splits.
        videos: How many videos it has.
        list_name: Its lists' names, with places for the split's number and part.
        folder: The folder of its videos.
    """

    title: str
    splits: tuple[int, ...]
    videos: int
    list_name: str
    folder: str

    def list_pattern(self, split: int, part: str) -> re.Pattern[str]:
        """Returns what the name of a list looks like.

        Args:
            split: Number of the split.
            part: One of SPLITS.
        """
        name = re.escape(self.list_name.format(split=split, part="PART"))
        # "other" and "others" are both the owners'.
        part = "others?" if part == "others" else part
        return re.compile(name.replace("PART", part), re.IGNORECASE)


RELEASES: dict[str, Release] = {
    "v1": Release("ARID v1", (1, 2, 3), 3784, "ARID_split{split}_{part}.txt", "clips_v1"),
    "v1_5": Release("ARID v1.5", (0, 1), 5572, "split{split}_{part}.txt", "clips_v1.5"),
}


def release_named(name: str) -> Release:
    """Returns a release: "v1" or "v1_5".

    Raises:
        ValueError: there is no such release.
    """
    if name not in RELEASES:
        raise ValueError(f"no release {name!r} of ARID; there are {', '.join(RELEASES)}")
    return RELEASES[name]


def rank_of(folders: tuple[str, ...], release: str) -> int | None:
    """Tells whether videos in a folder are of a release: both use the same names for other videos.

    The innermost folder that names a release decides.

    Args:
        folders: The folders in which a file lies, outermost first.
        release: "v1" or "v1_5".

    Returns:
        0 for the owners' folder of videos, 1 for others of the release, 2 where no folder tells; None
        in the other release's folders.
    """
    if RELEASES[release].folder in folders:
        return 0
    for folder in reversed(folders):
        for name, pattern in (("v1", _V1), ("v1_5", _V1_5)):
            if pattern.search(folder):
                return 1 if name == release else None
    return 2


def check_labels(listed: VideoList) -> None:
    """Raises FootageError where a list's label is no class, or not that of the video's name."""
    for row in listed.rows.values():
        if row.label >= len(CLASS_NAMES):
            raise listed.refuse(
                row, f"the label is {row.label}; ARID's are 0 to {len(CLASS_NAMES) - 1}"
            )
        name = _VIDEO.fullmatch(row.stem)
        for told in (row.class_folder, name["action"] if name else ""):
            if told and told != CLASS_NAMES[row.label]:
                raise listed.refuse(
                    row, f"the label {row.label} is {CLASS_NAMES[row.label]}, the path says {told}"
                )


def group_of(row: Row) -> int:
    """Returns the first number of a video's name, -1 where the name is another."""
    name = _VIDEO.fullmatch(row.stem)
    return int(name["group"]) if name else UNKNOWN_GROUP


def shared_groups(lists: Mapping[str, VideoList]) -> Sequence[str]:
    """Returns the groups of a class that are both in the training and in the test list."""
    train, test = (
        {(row.label, group_of(row)) for row in lists[split].rows.values()}
        for split in ("train", "test")
    )
    return [
        f"{CLASS_NAMES[label]}_{group}"
        for label, group in sorted(train & test)
        if group != UNKNOWN_GROUP
    ]
