"""Names of NTU RGB+D samples, the official split of its performers, and random streams that follow from a name."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

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
)
"""NTU RGB+D's names of A001-A010, the ten classes of the paper."""

TRAIN_PERFORMERS: frozenset[int] = frozenset(
    (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
)
"""Training performers of the official cross-subject protocol (Shahroudy et al., CVPR 2016, sec. 4.1)."""

PERFORMERS = 40
SETUPS = 17
CAMERAS = 3
REPLICATIONS = 2

_NAME = re.compile(r"^S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})$")


@dataclass(frozen=True, order=True)
class SampleName:
    """What NTU RGB+D's file names say: `SsssCcccPpppRrrrAaaa`; every number counts from 1."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int

    def __post_init__(self) -> None:
        limits = {
            "setup": SETUPS,
            "camera": CAMERAS,
            "performer": PERFORMERS,
            "replication": REPLICATIONS,
            "action": len(CLASS_NAMES),
        }
        for field, last in limits.items():
            value = getattr(self, field)
            if not 1 <= value <= last:
                raise ValueError(
                    f"{field} is {value}; the synthetic world has {field}s 1 to {last}"
                )

    @classmethod
    def parse(cls, text: str) -> SampleName:
        """Reads `S001C002P003R002A010`.

        Raises:
            ValueError: when the text does not follow the pattern or a number is out of range.
        """
        found = _NAME.match(text)
        if found is None:
            raise ValueError(f"{text!r} is not a sample name; expected SsssCcccPpppRrrrAaaa")
        return cls(*(int(number) for number in found.groups()))

    def __str__(self) -> str:
        return (
            f"S{self.setup:03d}C{self.camera:03d}P{self.performer:03d}"
            f"R{self.replication:03d}A{self.action:03d}"
        )

    @property
    def in_cross_subject_training(self) -> bool:
        """Whether the official cross-subject protocol trains on this performer."""
        return self.performer in TRAIN_PERFORMERS


_PURPOSES = (
    "casting",
    "performer",
    "clothes",
    "setup",
    "room",
    "stage",
    "motion",
    "view",
    "sensor",
    "codec",
    # Of long videos, whose numbers must not meet those of clips.
    "long casting",
    "long motion",
    "long sensor",
    "long codec",
    # Of the dark clips, the same.
    "dark casting",
    "dark stage",
    "dark motion",
    "dark view",
    "dark light",
    "dark sensor",
    "dark codec",
)


def random_stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A generator that follows from seed, purpose and the numbers of a name alone.

    Streams of different purposes are independent, so that what is drawn for the room, say, cannot
    depend on the action.
    """
    return np.random.default_rng([seed, _PURPOSES.index(purpose), *numbers])
