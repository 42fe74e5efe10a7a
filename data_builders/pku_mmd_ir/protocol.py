"""What PKU-MMD's owners fixed: names of videos and files, the action classes, the counts.

Liu et al., "PKU-MMD: A Large Scale Benchmark for Continuous Multi-Modal Human Action
Understanding", arXiv:1703.07475, 2017, and the README of the owners' evaluation code
(ECHO960/PKU-MMD).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple, Self

# In the order of the class number in label files, 1 first; the spelling is the owners'.
CLASS_NAMES: tuple[str, ...] = (
    "bow",
    "brushing hair",
    "brushing teeth",
    "check time (from watch)",
    "cheer up",
    "clapping",
    "cross hands in front (say stop)",
    "drink water",
    "drop",
    "eat meal/snack",
    "falling",
    "giving something to other person",
    "hand waving",
    "handshaking",
    "hopping (one foot jumping)",
    "hugging other person",
    "jump up",
    "kicking other person",
    "kicking something",
    "make a phone call/answer phone",
    "pat on back of other person",
    "pickup",
    "playing with phone/tablet",
    "point finger at the other person",
    "pointing to something with finger",
    "punching/slapping other person",
    "pushing other person",
    "put on a hat/cap",
    "put something inside pocket",
    "reading",
    "rub two hands together",
    "salute",
    "sitting down",
    "standing up",
    "take off a hat/cap",
    "take off glasses",
    "take off jacket",
    "take out something from pocket",
    "taking a selfie",
    "tear up paper",
    "throw",
    "touch back (backache)",
    "touch chest (stomachache/heart pain)",
    "touch head (headache)",
    "touch neck (neckache)",
    "typing on a keyboard",
    "use a fan (with hand or paper)/feeling warm",
    "wear jacket",
    "wear on glasses",
    "wipe face",
    "writing",
)
ALL_CLASSES: tuple[int, ...] = tuple(range(1, len(CLASS_NAMES) + 1))
# Two performers take part in these ten, those with a pocket included.
INTERACTION_CLASSES = frozenset((12, 14, 16, 18, 21, 24, 26, 27, 29, 38))
DAILY_CLASSES: tuple[int, ...] = tuple(
    number for number in ALL_CLASSES if number not in INTERACTION_CLASSES
)

SPLITS = ("train", "test")
PROTOCOLS: Mapping[str, str] = {"xsub": "subject", "xview": "view"}
UNKNOWN_PERFORMER = -1

_MODALITIES = {
    "": "rgb",
    "color": "rgb",
    "rgb": "rgb",
    "infrared": "ir",
    "ir": "ir",
}
_VIDEO = {
    1: re.compile(r"(?P<number>\d{4})-(?P<view>[LMR])", re.IGNORECASE),
    2: re.compile(r"A(?P<number>\d{2})N(?P<performer>\d{2})-(?P<view>[LMR])", re.IGNORECASE),
}
_FILE = re.compile(
    r"(?P<video>(?:\d{4}|A\d{2}N\d{2})-[LMR])"
    r"(?:(?:[-_](?P<modality>color|rgb|infrared|ir))?\.(?:avi|mp4|mkv)|(?P<label>\.txt|\.label))",
    re.IGNORECASE,
)
_SPLIT_FILE = re.compile(r"cross[-_ ]?(subject|view)(?:[-_ ]?v?[12])?\.txt", re.IGNORECASE)


class Video(NamedTuple):
    """A long recording in one view, as its name says.

    Attributes:
        name: The owners' name, e.g. "0002-L" (phase 1) or "A19N03-M" (phase 2).
        phase: 1 or 2.
        view: "L", "M" or "R": the camera on the left, in the middle, on the right.
        performer: The performer's number, from 1; phase 1's names do not tell it
            (UNKNOWN_PERFORMER).
    """

    name: str
    phase: int
    view: str
    performer: int

    @classmethod
    def from_name(cls, name: str) -> Self | None:
        """Reads a video's name in any case; None where the text is none."""
        for phase, pattern in _VIDEO.items():
            match = pattern.fullmatch(name)
            if match:
                # The owners' cross-subject list of phase 2 holds N02, N03 and N07 out with all
                # their sessions: N is the performer, A the session.
                performer = match.groupdict().get("performer")
                return cls(
                    name.upper(),
                    phase,
                    match["view"].upper(),
                    int(performer) if performer else UNKNOWN_PERFORMER,
                )
        return None


class Phase(NamedTuple):
    """One of the two releases: an example of its names, and the counts of the whole set.

    Attributes:
        example: Name of one video.
        videos: Number of videos in all views.
        instances: Number of labelled instances; None where the owners do not say.
        split_videos: Number of training and validation videos by protocol, where known.
        label_archive: The archive in which the owners hand out the label files.
        split_suffix: What ends the names of the split files.
    """

    example: str
    videos: int
    instances: int | None
    split_videos: Mapping[str, tuple[int, int]]
    label_archive: str
    split_suffix: str


PHASES: Mapping[int, Phase] = {
    1: Phase("0002-L", 1076, 21545, {"xsub": (944, 132)}, "Label_PKUMMD.7z", ""),
    2: Phase("A19N03-M", 1009, None, {"xsub": (775, 234)}, "Label_PKUMMD_v2.7z", "_v2"),
}


def parse_file_name(name: str) -> tuple[Video, str] | None:
    """Returns the video and kind ("rgb", "ir", "label") that a file's base name tells, or None.

    Skeleton files have the names of label files; `labels.is_label_text` tells them apart.
    """
    match = _FILE.fullmatch(name)
    video = Video.from_name(match["video"]) if match else None
    if not match or not video:
        return None
    if match["label"]:
        return video, "label"
    return video, _MODALITIES[(match["modality"] or "").lower()]


def is_split_file(name: str, protocol: str) -> bool:
    """Tells whether a base name is that of a protocol's ("xsub", "xview") split file."""
    match = _SPLIT_FILE.fullmatch(name)
    return match is not None and match[1].lower() == PROTOCOLS[protocol]


def clip_name(video: str, row: int, class_number: int) -> str:
    """Returns the name of an instance: its video, row of the label file (from 1) and class.

    For example "0002-L_003_drink-water".
    """
    slug = re.sub(r"[^a-z0-9]+", "-", CLASS_NAMES[class_number - 1]).strip("-")
    return f"{video}_{row:03}_{slug}"
