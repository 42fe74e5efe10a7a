"""What NTU RGB+D's owners fixed: the names of samples, the official splits, the sizes.

Shahroudy et al., "NTU RGB+D: A Large Scale Dataset for 3D Human Activity Analysis", CVPR 2016,
section 4.3; Liu et al., "NTU RGB+D 120", TPAMI 42(10), 2020, section 3.3.
"""

import dataclasses
import re
from typing import NamedTuple, Self

from data_builders.ntu_rgbd_ir.classes import CLASS_NAMES

SPLITS = ("train", "test")
EXAMPLE_FILE_NAME = "S001C002P003R002A008_rgb.avi"
CAMERAS = 3
REPLICATIONS = 2

_SAMPLE = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.IGNORECASE)
_FILE = re.compile(rf"({_SAMPLE.pattern})_(rgb|ir)\.avi", re.IGNORECASE)
# What a person still reads as a sample's name: digits lost or added, anything around it.
_ALIKE = re.compile(
    r"S(\d{1,4})[ _-]?C(\d{1,4})[ _-]?P(\d{1,4})[ _-]?R(\d{1,4})[ _-]?A(\d{1,4})(?!\d)",
    re.IGNORECASE,
)
_OTHER_MODALITY = re.compile(
    r"(depth|masked|skeleton|\.(skeleton|mat|npy|npz|png|jpe?g|txt|csv|json|md5|md)$)",
    re.IGNORECASE,
)


class Extent(NamedTuple):
    """How far the numbers of a data set go.

    Attributes:
        title: The owners' name of the set.
        setups: Camera set-ups 1 to this.
        performers: Performers 1 to this.
        actions: Actions 1 to this.
    """

    title: str
    setups: int
    performers: int
    actions: int


NTU60 = Extent("NTU RGB+D", 17, 40, 60)
NTU120 = Extent("NTU RGB+D 120", 32, 106, 120)


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

    def beyond(self, extent: Extent) -> str | None:
        """Returns which number lies outside a data set, in words; None if none does."""
        lasts = (extent.setups, CAMERAS, extent.performers, REPLICATIONS, extent.actions)
        for field, value, last in zip(self._fields, self, lasts, strict=True):
            if not 1 <= value <= last:
                return f"{field} {value}; {extent.title} has {field}s 1 to {last}"
        return None


def parse_file_name(name: str) -> tuple[Sample, str] | None:
    """Returns the sample and modality ("rgb", "ir") that a file's base name tells, or None."""
    match = _FILE.fullmatch(name)
    return (Sample.from_id(match[1]), match[7].lower()) if match else None


def parse_misnamed(name: str) -> Sample | None:
    """Returns the sample that a wrong name means, or None for names that mean none.

    Depth maps, skeletons and pictures of a sample are no misnamed videos.
    """
    match = _ALIKE.search(name)
    if not match or parse_file_name(name) or _OTHER_MODALITY.search(name):
        return None
    return Sample(*map(int, match.groups()))


@dataclasses.dataclass(frozen=True)
class Protocol:
    """An official split.

    Attributes:
        title: Its name in words.
        field: The number of a sample that decides.
        train: The values that train; all others test.
        extent: The data set it is made for.
        sizes: Number of samples of each split and class when the whole set is there; None where the
            owners give no number.
    """

    title: str
    field: str
    train: frozenset[int]
    extent: Extent
    sizes: dict[str, int] | None = None

    @property
    def everybody(self) -> range:
        """All values of the deciding number."""
        lasts = {
            "setup": self.extent.setups,
            "camera": CAMERAS,
            "performer": self.extent.performers,
        }
        return range(1, lasts[self.field] + 1)


_TRAIN_PERFORMERS = frozenset(
    (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
)
_TRAIN_PERFORMERS_120 = _TRAIN_PERFORMERS | {
    45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89,
    91, 92, 93, 94, 95, 97, 98, 100, 103,
}  # fmt: skip

PROTOCOLS: dict[str, Protocol] = {
    "xsub": Protocol(
        "cross-subject", "performer", _TRAIN_PERFORMERS, NTU60, {"train": 672, "test": 276}
    ),
    # Camera 1 tests; public loaders often have it the other way round.
    "xview": Protocol(
        "cross-view", "camera", frozenset((2, 3)), NTU60, {"train": 632, "test": 316}
    ),
    "xsub120": Protocol("cross-subject", "performer", _TRAIN_PERFORMERS_120, NTU120),
    "xsetup120": Protocol("cross-setup", "setup", frozenset(range(2, 33, 2)), NTU120),
}


def protocol_named(name: str) -> Protocol:
    """Returns a protocol: "xsub", "xview" (NTU RGB+D), "xsub120" or "xsetup120" (NTU RGB+D 120).

    Raises:
        ValueError: there is no such protocol.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"no protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def samples_of_class(action: int) -> int:
    """Returns how many samples of an action the whole set has (56,880 of 60; 114,480 of 120)."""
    return 948 if action <= NTU60.actions else 960


def split_members(protocol: str, split: str) -> tuple[str, list[int]]:
    """Returns the field that decides a sample's split, and its values that make up the split.

    Args:
        protocol: Name of the protocol.
        split: "train" or "test".

    Raises:
        ValueError: there is no such protocol.
    """
    rule = protocol_named(protocol)
    return rule.field, [n for n in rule.everybody if (n in rule.train) == (split == "train")]


def split_of(sample: Sample, protocol: str) -> str:
    """Returns the split ("train" or "test") to which a protocol assigns a sample.

    Args:
        sample: The sample.
        protocol: Name of the protocol.

    Raises:
        ValueError: there is no such protocol.
    """
    rule = protocol_named(protocol)
    return "train" if getattr(sample, rule.field) in rule.train else "test"


__all__ = [
    "CAMERAS", "CLASS_NAMES", "EXAMPLE_FILE_NAME", "NTU60", "NTU120", "PROTOCOLS", "REPLICATIONS",
    "SPLITS", "Extent", "Protocol", "Sample", "parse_file_name", "parse_misnamed",
    "protocol_named", "samples_of_class", "split_members", "split_of",
]  # fmt: skip
