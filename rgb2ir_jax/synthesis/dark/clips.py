"""Which clips are filmed in ARID's layout: classes, groups of clips, and the three splits of the groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rgb2ir_jax.synthesis.naming import random_stream

DARK_CLASS_NAMES: tuple[str, ...] = (
    "Drink",
    "Jump",
    "Pick",
    "Pour",
    "Push",
    "Run",
    "Sit",
    "Stand",
    "Turn",
    "Walk",
    "Wave",
)
"""ARID's classes in the order of their labels 0-10 (Xu et al., 2020)."""

SPLITS = (1, 2, 3)

PERFORMERS = 18
GROUPS = 27
"""Groups, each a performer in one place: the first nine performers act in two places."""

MOST_CLIPS = 10_280

# One clip of five of the training groups is set aside for validation. (Not of six: groups of the
# three splits take turns, and a class's validation clips would all be of one split's.)
_OTHER_EVERY = 5


@dataclass(frozen=True, order=True)
class DarkClip:
    """One clip: what its file's name says.

    Attributes:
        label: 0-10, in the order of `DARK_CLASS_NAMES`.
        group: 1-27, the performer and the place.
        number: From 1, among the clips of the same class and group.
    """

    label: int
    group: int
    number: int

    @property
    def path(self) -> str:
        """Its path in the lists, such as "Drink/Drink_10_1.avi"."""
        name = DARK_CLASS_NAMES[self.label]
        return f"{name}/{name}_{self.group}_{self.number}.avi"

    @property
    def performer(self) -> int:
        """1-18."""
        return (self.group - 1) % PERFORMERS + 1

    def is_tested_by(self, split: int) -> bool:
        """Whether a split (1, 2 or 3) holds this clip's performer out of its training."""
        return self.performer % len(SPLITS) == split % len(SPLITS)


def _groups_in_turn(seed: int, lap: int) -> list[int]:
    """All groups, shuffled, but such that the three splits' test groups take turns."""
    rng = random_stream(seed, "dark casting", 0, lap)
    held_out = [[g for g in range(1, GROUPS + 1) if g % 3 == rest] for rest in range(3)]
    shuffled = [[groups[i] for i in rng.permutation(len(groups))] for groups in held_out]
    return [group for turn in zip(*shuffled, strict=True) for group in turn]


def choose_clips(clips: int, seed: int) -> list[DarkClip]:
    """The clips to film, deterministic by the seed.

    Classes are equally frequent (plus or minus one). Every class comes from every group once
    before it comes from one twice. A larger number begins with a smaller one.

    Raises:
        ValueError: when the number is not between 1 and `MOST_CLIPS`.
    """
    if not 1 <= clips <= MOST_CLIPS:
        raise ValueError(f"{clips} clips were asked for; choose between 1 and {MOST_CLIPS}")
    classes = len(DARK_CLASS_NAMES)
    ahead = random_stream(seed, "dark casting", 1).permutation(classes)
    order = random_stream(seed, "dark casting", 2)
    chosen: list[DarkClip] = []
    groups: list[int] = []
    while len(chosen) < clips:
        lap, turn = divmod(len(chosen) // classes, GROUPS)
        if turn == 0:
            groups = _groups_in_turn(seed, lap)
        for label in order.permutation(classes).tolist():
            group = groups[(turn + int(ahead[label])) % GROUPS]
            chosen.append(DarkClip(label, group, lap + 1))
    return chosen[:clips]


def split_clips(clips: Sequence[DarkClip], split: int) -> dict[str, list[DarkClip]]:
    """Deals clips out to the lists "train", "test" and "other" of a split.

    A clip stays in its list when more clips follow.

    Args:
        clips: In the order of `choose_clips`.
        split: 1, 2 or 3.

    Returns:
        The clips of each list, sorted by their paths. "test" has the groups of the performers whom
        the split holds out; "other", for validation, has one clip in five of all other groups.
    """
    lists: dict[str, list[DarkClip]] = {"train": [], "test": [], "other": []}
    for i, clip in enumerate(clips):
        turn = i // len(DARK_CLASS_NAMES)
        if clip.is_tested_by(split):
            lists["test"].append(clip)
        elif (turn + clip.label) % _OTHER_EVERY == _OTHER_EVERY - 1:
            lists["other"].append(clip)
        else:
            lists["train"].append(clip)
    return {kind: sorted(of_kind, key=lambda clip: clip.path) for kind, of_kind in lists.items()}
