"""How much of the whole set was found: by split against the owners' numbers, and by set-up."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from data_builders.ntu_rgbd_ir.protocol import (
    CAMERAS,
    REPLICATIONS,
    SPLITS,
    Protocol,
    Sample,
    samples_of_class,
)


def completeness(
    samples: Sequence[Sample], actions: Sequence[int], protocol: Protocol
) -> dict[str, Any]:
    """Compares the found pairs with the whole set.

    Every performer of a set-up did every action of it twice before three cameras. So what a set-up
    lacks follows from the performers seen in it; that a performer is missing altogether shows only
    in the total.

    Args:
        samples: The complete pairs of the wanted actions.
        actions: The wanted action numbers.
        protocol: The split.

    Returns:
        Notes for the build's report: `whole_set` in words, and the set-ups that are incomplete
        (`setups_found_of_expected`, "found of expected" by set-up) or absent (`setups_missing`).
    """
    expected = sum(map(samples_of_class, actions))
    found = Counter(
        "train" if getattr(sample, protocol.field) in protocol.train else "test"
        for sample in samples
    )
    counts = ", ".join(f"{found[split]} {split}" for split in SPLITS)
    of_setup = {
        setup: _found_and_expected([s for s in samples if s.setup == setup], actions)
        for setup in sorted({sample.setup for sample in samples})
    }
    notes: dict[str, Any] = {}
    if len(samples) == expected:
        notes["whole_set"] = f"complete: {expected} pairs ({counts})"
        wanted = {split: (protocol.sizes or {}).get(split, 0) * len(actions) for split in SPLITS}
        if protocol.sizes and any(found[split] != wanted[split] for split in SPLITS):
            notes["whole_set"] = (
                f"WRONG: as many pairs as the whole set has, but {counts}; the {protocol.title} "
                f"protocol has {wanted['train']} train, {wanted['test']} test. Are files misnamed?"
            )
        return notes
    notes["whole_set"] = f"incomplete: {len(samples)} of {expected} pairs ({counts})"
    incomplete = {s: f"{have} of {want}" for s, (have, want) in of_setup.items() if have != want}
    notes["setups_found_of_expected"] = incomplete
    notes["setups_missing"] = _ranges(
        setup for setup in _setups_of(actions, protocol) if setup not in of_setup
    )
    return notes


def _found_and_expected(samples: Sequence[Sample], actions: Sequence[int]) -> tuple[int, int]:
    # Set-ups 1 to 17 hold actions 1 to 60 and set-ups 18 to 32 the others.
    acted = [a for a in actions if (a <= 60) == (samples[0].setup <= 17)]
    performers = len({sample.performer for sample in samples})
    return len(samples), performers * CAMERAS * REPLICATIONS * len(acted)


def _setups_of(actions: Sequence[int], protocol: Protocol) -> Iterable[int]:
    for setup in range(1, protocol.extent.setups + 1):
        if any((action <= 60) == (setup <= 17) for action in actions):
            yield setup


def _ranges(numbers: Iterable[int]) -> str:
    """Writes 1, 2, 3, 7 as "1-3, 7"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)
