"""Chooses which samples of NTU RGB+D's grid are filmed when only N of them are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from rgb2ir_jax.synthesis.naming import (
    CAMERAS,
    CLASS_NAMES,
    PERFORMERS,
    REPLICATIONS,
    SETUPS,
    TRAIN_PERFORMERS,
    SampleName,
    random_stream,
)

# NTU RGB+D's ten classes are 158 sessions (setup, performer), most of them of training performers.
_SETUPS_OF_TRAIN_PERFORMER = 6
_SETUPS_OF_TEST_PERFORMER = 3

# Seven blocks of ten clips in ten belong to training performers (40,320 of 56,880 in the real set);
# the second block is a test block, so that twenty clips already hold both splits.
_BLOCK_IS_TRAIN = (True, False, True, True, False, True, True, False, True, True)

CLIPS_LIMIT = 10_280
"""The most clips for which seven in ten still belong to training performers."""


def setups_of(performer: int) -> tuple[int, ...]:
    """The setups (1-17) in which a performer appears; the same for every seed."""
    count = (
        _SETUPS_OF_TRAIN_PERFORMER if performer in TRAIN_PERFORMERS else _SETUPS_OF_TEST_PERFORMER
    )
    stride = 5 if performer in TRAIN_PERFORMERS else 7
    return tuple(sorted({(performer * 3 + k * stride) % SETUPS + 1 for k in range(count)}))


def _samples_of_class(seed: int, action: int, train: bool) -> Iterator[SampleName]:
    """All samples of one class in one split: in each round every performer of the split appears once."""
    rng = random_stream(seed, "casting", action, int(train))
    performers = [p for p in range(1, PERFORMERS + 1) if (p in TRAIN_PERFORMERS) == train]
    unused: dict[int, dict[int, list[tuple[int, int]]]] = {}
    for performer in performers:
        unused[performer] = {}
        for camera in range(1, CAMERAS + 1):
            takes = list(product(setups_of(performer), range(1, REPLICATIONS + 1)))
            unused[performer][camera] = [takes[i] for i in rng.permutation(len(takes))]
    position = action
    while any(takes for of_performer in unused.values() for takes in of_performer.values()):
        for i in rng.permutation(len(performers)):
            of_performer = unused[performers[i]]
            cameras = [(position + k) % CAMERAS + 1 for k in range(CAMERAS)]
            position += 1
            for camera in cameras:
                if of_performer[camera]:
                    setup, replication = of_performer[camera].pop()
                    yield SampleName(setup, camera, performers[i], replication, action)
                    break


def choose_samples(clips: int, seed: int) -> list[SampleName]:
    """The names of the clips to film, deterministic by the seed.

    Classes are equally frequent (plus or minus one) in the whole and in each cross-subject split;
    about seven clips in ten are of training performers; performers and cameras take turns. The
    choice for a larger number begins with the choice for a smaller one.

    Raises:
        ValueError: when the number is not between 1 and `CLIPS_LIMIT`.
    """
    if not 1 <= clips <= CLIPS_LIMIT:
        raise ValueError(f"{clips} clips were asked for; choose between 1 and {CLIPS_LIMIT}")
    actions = range(1, len(CLASS_NAMES) + 1)
    streams = {
        (a, train): _samples_of_class(seed, a, train) for a in actions for train in (True, False)
    }
    order = random_stream(seed, "casting")
    chosen: list[SampleName] = []
    block = 0
    while len(chosen) < clips:
        train = _BLOCK_IS_TRAIN[block % len(_BLOCK_IS_TRAIN)]
        chosen += [next(streams[int(a) + 1, train]) for a in order.permutation(len(CLASS_NAMES))]
        block += 1
    return chosen[:clips]
