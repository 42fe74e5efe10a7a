"""Which long videos are filmed in PKU-MMD's layout: their performers, rooms and sequences of actions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rgb2ir_jax.synthesis.casting import setups_of
from rgb2ir_jax.synthesis.naming import (
    CLASS_NAMES,
    PERFORMERS,
    TRAIN_PERFORMERS,
    SampleName,
    random_stream,
)

CLASS_NUMBERS: tuple[int, ...] = (8, 10, 3, 2, 9, 22, 41, 33, 34, 6)
"""PKU-MMD's numbers (1-51) of the ten actions, in the order of `naming.CLASS_NAMES`."""

VIEWS: dict[str, int] = {"L": 3, "M": 1, "R": 2}
"""PKU-MMD's views and the cameras that film them: from the left (-45 degrees), the middle, the right."""

SIT_DOWN, STAND_UP = 8, 9
FIRST_NUMBER = 2
"""PKU-MMD's own videos begin with 0002."""

FEWEST_VIDEOS, MOST_VIDEOS = 2, 1000
MOST_ACTIONS = 60

# As in the clips' layout: seven videos in ten are of training performers, and two videos already
# are of both kinds.
_IS_TRAIN = (True, False, True, True, False, True, True, False, True, True)


@dataclass(frozen=True)
class LongVideo:
    """One performance of several actions, which three cameras film.

    Attributes:
        number: Its number in the files' names.
        performer: 1-40.
        setup: 1-17, the room and the heights of the cameras.
        actions: What is done, in order (1-10, in the order of `naming.CLASS_NAMES`).
    """

    number: int
    performer: int
    setup: int
    actions: tuple[int, ...]

    def name(self, view: str) -> str:
        """The name of a view's files, such as "0002-L"."""
        return f"{self.number:04d}-{view}"

    def session(self, view: str) -> SampleName:
        """A sample of the same room, performer and camera, by which these are looked up."""
        return SampleName(self.setup, VIEWS[view], self.performer, 1, 1)

    @property
    def in_cross_subject_training(self) -> bool:
        """Whether the cross-subject protocol trains on this video."""
        return self.performer in TRAIN_PERFORMERS


def choose_videos(videos: int, actions_per_video: int, seed: int) -> list[LongVideo]:
    """Casts the first videos of the synthetic world in PKU-MMD's layout.

    In each cross-subject split performers take turns, and the ten classes are dealt in shuffled
    decks, so that their counts differ by two at most. Who sat down stands up next, and nobody
    stands up who does not sit; where a deck is cut between the two, a video ends seated and the
    split's next one begins so. A larger number of videos begins with a smaller one.

    Raises:
        ValueError: when a number is out of range.
    """
    for value, low, high, what in (
        (videos, FEWEST_VIDEOS, MOST_VIDEOS, "videos"),
        (actions_per_video, 1, MOST_ACTIONS, "actions a video"),
    ):
        if not low <= value <= high:
            raise ValueError(f"{value} {what} were asked for; choose between {low} and {high}")
    people = {train: _performers(seed, train) for train in (True, False)}
    actions = {train: _actions(seed, train) for train in (True, False)}
    chosen = []
    for i in range(videos):
        train = _IS_TRAIN[i % len(_IS_TRAIN)]
        performer = next(people[train])
        setups = setups_of(performer)
        rng = random_stream(seed, "long casting", 2, i)
        chosen.append(
            LongVideo(
                FIRST_NUMBER + i,
                performer,
                setups[int(rng.integers(len(setups)))],
                tuple(next(actions[train]) for _ in range(actions_per_video)),
            )
        )
    return chosen


def _performers(seed: int, train: bool) -> Iterator[int]:
    rng = random_stream(seed, "long casting", 0, int(train))
    pool = [p for p in range(1, PERFORMERS + 1) if (p in TRAIN_PERFORMERS) == train]
    while True:
        yield from (pool[i] for i in rng.permutation(len(pool)))


def _actions(seed: int, train: bool) -> Iterator[int]:
    rng = random_stream(seed, "long casting", 1, int(train))
    singles = [a for a in range(1, len(CLASS_NAMES) + 1) if a not in (SIT_DOWN, STAND_UP)]
    deck = [(action,) for action in singles] + [(SIT_DOWN, STAND_UP)]
    while True:
        for i in rng.permutation(len(deck)):
            yield from deck[i]
