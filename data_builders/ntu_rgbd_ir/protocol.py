"""What NTU RGB+D's owners fixed: the names of samples, the action classes, the two splits.

Shahroudy et al., "NTU RGB+D: A Large Scale Dataset for 3D Human Activity Analysis", CVPR 2016,
section 4.3.
"""

import re
from typing import NamedTuple, Self

# In the order of the action number, A001 first; the spelling is the owners'.
CLASS_NAMES: tuple[str, ...] = (
    "drink water",
    "eat meal/snack",
    "brushing teeth",
    "brushing hair",
    "drop",
    "pickup",
    "throw",
    "sitting down",
    "standing up (from sitting position)",
    "clapping",
    "reading",
    "writing",
    "tear up paper",
    "wear jacket",
    "take off jacket",
    "wear a shoe",
    "take off a shoe",
    "wear on glasses",
    "take off glasses",
    "put on a hat/cap",
    "take off a hat/cap",
    "cheer up",
    "hand waving",
    "kicking something",
    "reach into pocket",
    "hopping (one foot jumping)",
    "jump up",
    "make a phone call/answer phone",
    "playing with phone/tablet",
    "typing on a keyboard",
    "pointing to something with finger",
    "taking a selfie",
    "check time (from watch)",
    "rub two hands together",
    "nod head/bow",
    "shake head",
    "wipe face",
    "salute",
    "put the palms together",
    "cross hands in front (say stop)",
    "sneeze/cough",
    "staggering",
    "falling",
    "touch head (headache)",
    "touch chest (stomachache/heart pain)",
    "touch back (backache)",
    "touch neck (neckache)",
    "nausea or vomiting condition",
    "use a fan (with hand or paper)/feeling warm",
    "punching/slapping other person",
    "kicking other person",
    "pushing other person",
    "pat on back of other person",
    "point finger at the other person",
    "hugging other person",
    "giving something to other person",
    "touch other person's pocket",
    "handshaking",
    "walking towards each other",
    "walking apart from each other",
)

CROSS_SUBJECT_TRAIN_PERFORMERS = frozenset(
    (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
)
# Camera 1 tests; public loaders often have it the other way round.
CROSS_VIEW_TRAIN_CAMERAS = frozenset((2, 3))

SPLITS = ("train", "test")
PROTOCOLS = ("xsub", "xview")
EXAMPLE_FILE_NAME = "S001C002P003R002A008_rgb.avi"

_SAMPLE = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.IGNORECASE)
_FILE = re.compile(rf"({_SAMPLE.pattern})_(rgb|ir)\.avi", re.IGNORECASE)


class Sample(NamedTuple):
    """One recorded action, as its name says; numbers count from 1; sorts as the records do."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int

    @property
    def sample_id(self) -> str:
        """The owners' name of the sample, e.g. "S001C002P003R002A008"."""
        return (
            f"S{self.setup:03}C{self.camera:03}P{self.performer:03}"
            f"R{self.replication:03}A{self.action:03}"
        )

    @classmethod
    def from_id(cls, sample_id: str) -> Self:
        """Reads a sample's name.

        Raises:
            ValueError: the text is no sample's name.
        """
        match = _SAMPLE.fullmatch(sample_id)
        if not match:
            raise ValueError(
                f"{sample_id!r} is no sample's name; one looks like S001C002P003R002A008"
            )
        return cls(*map(int, match.groups()))


def parse_file_name(name: str) -> tuple[Sample, str] | None:
    """Returns the sample and modality ("rgb", "ir") that a file's base name tells, or None."""
    match = _FILE.fullmatch(name)
    return (Sample.from_id(match[1]), match[7].lower()) if match else None


def split_members(protocol: str, split: str) -> tuple[str, list[int]]:
    """Returns the field that decides a sample's split, and its values that make up the split.

    Args:
        protocol: "xsub" (cross-subject) or "xview" (cross-view).
        split: "train" or "test".

    Raises:
        ValueError: there is no such protocol.
    """
    if protocol == "xsub":
        field, everybody, train = "performer", range(1, 41), CROSS_SUBJECT_TRAIN_PERFORMERS
    elif protocol == "xview":
        field, everybody, train = "camera", range(1, 4), CROSS_VIEW_TRAIN_CAMERAS
    else:
        raise ValueError(f"no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    return field, [number for number in everybody if (number in train) == (split == "train")]


def split_of(sample: Sample, protocol: str) -> str:
    """Returns the split ("train" or "test") to which a protocol assigns a sample.

    Args:
        sample: The sample.
        protocol: "xsub" (cross-subject) or "xview" (cross-view).

    Raises:
        ValueError: there is no such protocol.
    """
    field, train = split_members(protocol, "train")
    return "train" if getattr(sample, field) in train else "test"
