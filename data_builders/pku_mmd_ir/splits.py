"""The owners' split files: which videos train and which validate.

Training videos:
0002-L, 0002-M, 0002-R, 0003-L,
Validataion videos:
0291-L, 0291-M,
"""

import re
from typing import NamedTuple

from .protocol import Video

# "Validataion" is the owners' spelling; a list may begin on the line of its header.
_HEADER = re.compile(
    r"\s*(?:(?P<train>train)|valid|test)[a-z]{0,20}(?:[ \t]+videos?)?[ \t]*:?(?P<rest>.*)",
    re.IGNORECASE,
)
_SHAPE = (
    "a line 'Training videos:', a line of names between commas, a line 'Validataion videos:' "
    "and a line of names"
)


class SplitFileError(ValueError):
    """A split file is not as the owners write them; the message says what was found."""


class SplitLists(NamedTuple):
    """The videos of both splits, each in the file's order, without repetitions."""

    train: tuple[Video, ...]
    test: tuple[Video, ...]

    @property
    def phase(self) -> int:
        """The phase to which the videos belong."""
        return self.train[0].phase


def parse_split(text: str) -> SplitLists:
    """Reads a split file; spaces, trailing commas, empty lines and Windows line ends are fine.

    Args:
        text: The file's contents.

    Returns:
        Its two lists.

    Raises:
        SplitFileError: a header is missing, a name is none of PKU-MMD's, a list is empty, a video
            is in both lists, or both phases are mixed.
    """
    lists: dict[str, dict[Video, None]] = {}
    current: dict[Video, None] | None = None
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        header = _HEADER.fullmatch(line)
        if header:
            current = lists.setdefault("train" if header["train"] else "test", {})
        names = header["rest"] if header else line
        for name in filter(None, re.split(r"[\s,;]+", names)):
            video = Video.from_name(name)
            if video is None or current is None:
                raise SplitFileError(
                    f"line {number} has {name[:30]!r} where "
                    f"{'a header' if current is None else 'the name of a video'} is expected; "
                    f"expected is {_SHAPE}"
                )
            current[video] = None
    train, test = lists.get("train", {}), lists.get("test", {})
    if not train or not test:
        raise SplitFileError(
            f"{len(train)} training and {len(test)} validation videos were found; expected {_SHAPE}"
        )
    both = [video.name for video in train if video in test]
    if both:
        raise SplitFileError(
            f"{len(both)} videos are in both lists, {', '.join(both[:5])} among them; a video must "
            "be in one only"
        )
    if len({video.phase for video in (*train, *test)}) > 1:
        raise SplitFileError("videos of phase 1 (0002-L) and of phase 2 (A19N03-M) are mixed")
    return SplitLists(tuple(train), tuple(test))
