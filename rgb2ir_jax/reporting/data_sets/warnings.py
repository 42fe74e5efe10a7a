"""What may spoil a training on a data set, found in its statistics."""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np
from jaxtyping import Float64, Int64
from ml_collections import ConfigDict

from rgb2ir_jax.data.sampling import Sampling
from rgb2ir_jax.reporting.data_sets.statistics import ClipFacts, DataStatistics
from rgb2ir_jax.reporting.page import Notice
from rgb2ir_jax.video.modalities import name_of

MOST_EXAMPLES = 8
FEW_CLIPS = 5
LENGTH_TOLERANCE = 0.1
# A frame or two may be alike by chance (a title, a black screen); a tenth of a clip is not.
_SHARED = 0.1

# The field that a protocol keeps apart, by a word in the name of the builder's config.
_PROTOCOLS = {
    "performer": {"xsub", "subject", "csub", "xsubject"},
    "camera": {"xview", "view", "cview", "camera", "xcamera"},
    "view": {"xview", "view", "cview"},
    "setup": {"xset", "setup", "xsetup", "cset"},
}


def find_warnings(statistics: DataStatistics, config_name: str, data: ConfigDict) -> list[Notice]:
    """Looks for all that a page on data should warn of.

    Args:
        statistics: Of the splits that will be used together.
        config_name: Name of the builder's config; tells the protocol ("ten_class_xsub").
        data: `config.data`; read are `segments`, `sampling`, `frame_stride` and `resize`.

    Returns:
        The warnings; a notice that all is well where there are none.
    """
    found = [
        *_classes(statistics),
        *_splits_that_share(statistics, config_name),
        *_duplicates(statistics),
        *_shared_frames(statistics),
        *_lengths(statistics, Sampling.from_config(data)),
        *_pictures(statistics, data.resize),
    ]
    if not statistics.complete:
        looked = len(statistics.clips)
        found.append(
            Notice(
                "note",
                f"Only {looked:,} of {sum(statistics.split_sizes.values()):,} clips were looked at, "
                "evenly spread over each split: all counts below are of these, classes and people may "
                "seem to be missing, and duplicates can be overlooked.",
            )
        )
    return found or [Notice("good", "Nothing to warn of was found.")]


def _notice(level: str, text: str, examples: Sequence[str]) -> Notice:
    return Notice(level, text, tuple(examples[:MOST_EXAMPLES]), len(examples))


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count:,} clips"


def _classes(statistics: DataStatistics) -> Iterable[Notice]:
    names = statistics.class_names
    nowhere = [
        name for name, total in zip(names, statistics.class_counts.sum(0), strict=True) if not total
    ]
    if nowhere:
        yield _notice("problem", f"{_classes_have(len(nowhere))} no clip in any split:", nowhere)
    for split, counts in zip(statistics.splits, statistics.class_counts, strict=True):
        missing = [n for n, c in zip(names, counts, strict=True) if not c and n not in nowhere]
        if missing:
            yield _notice(
                "problem",
                f"{_classes_have(len(missing))} no clip in the split “{split}”:",
                missing,
            )
        few = [
            f"{n}: {_clips(c)}"
            for n, c in zip(names, counts.tolist(), strict=True)
            if 0 < c < max(FEW_CLIPS, float(np.median(counts)) / 10)
        ]
        if few:
            yield _notice("note", f"{_classes_have(len(few))} very few clips in “{split}”:", few)


def _classes_have(count: int) -> str:
    return "1 class has" if count == 1 else f"{count} classes have"


def _splits_that_share(statistics: DataStatistics, config_name: str) -> Iterable[Notice]:
    words = set(re.split(r"[^a-z]+", config_name.lower()))
    for field in statistics.field_names:
        if field not in _PROTOCOLS and field != "video":
            continue
        both = [
            f"{field} {value}: "
            + ", ".join(f"{n} {s}" for s, n in zip(statistics.splits, counts, strict=True) if n)
            for value, counts in statistics.field_counts(field).items()
            if sum(map(bool, counts)) > 1
        ]
        if not both:
            continue
        several = f"1 {field} is" if len(both) == 1 else f"{len(both)} {field}s are"
        if field == "video":
            yield _notice(
                "problem",
                f"{several} cut into clips of more than one split: the test clips' room, light and "
                "person were seen in training.",
                both,
            )
        elif _PROTOCOLS[field] & words:
            yield _notice(
                "problem",
                f"{several} in more than one split, though “{config_name}” is a split by {field}.",
                both,
            )
        elif field == "performer":
            yield _notice(
                "note",
                f"{several} in more than one split: the test does not tell how well new people are "
                "recognised. That is as it should be where the split is not by person.",
                both,
            )


def _duplicates(statistics: DataStatistics) -> Iterable[Notice]:
    named = _groups(statistics.clips, lambda clip: clip.sample_id)
    if named:
        yield _notice(
            "problem",
            f"{_as_often('sample id', len(named))} more than once:",
            [f"{group[0].sample_id}: {_where(group)}" for group in named],
        )
    for modality in statistics.modalities:

        def content(clip: ClipFacts, modality: str = modality) -> Hashable:
            return clip.videos[modality].fingerprints.tobytes()

        same = _groups(statistics.clips, content)
        if same:
            yield _notice(
                "problem",
                f"{_as_often(f'{name_of(modality)} video', len(same))} in more than one clip, every frame "
                "alike to the byte:",
                [_listing(group) for group in same],
            )


def _as_often(what: str, count: int) -> str:
    return f"1 {what} is there" if count == 1 else f"{count} {what}s are there"


def _groups(
    clips: Iterable[ClipFacts], key: Callable[[ClipFacts], Hashable]
) -> list[list[ClipFacts]]:
    groups: dict[Hashable, list[ClipFacts]] = defaultdict(list)
    for clip in clips:
        groups[key(clip)].append(clip)
    return [group for group in groups.values() if len(group) > 1]


def _where(group: Sequence[ClipFacts]) -> str:
    splits = [clip.split for clip in group]
    return ", ".join(f"{splits.count(split)} in {split}" for split in dict.fromkeys(splits))


def _listing(group: Sequence[ClipFacts]) -> str:
    shown = " = ".join(f"{clip.sample_id} ({clip.split})" for clip in group[:4])
    return shown if len(group) <= 4 else f"{shown} = {len(group) - 4} more"


def _shared_frames(statistics: DataStatistics) -> Iterable[Notice]:
    """Clips that are not alike as a whole but show frames of a clip in another split."""
    for modality in statistics.modalities:
        seen: dict[str, np.ndarray] = {}
        whole: dict[str, set[bytes]] = {}
        sharing = []
        for split in statistics.splits:
            clips = [clip for clip in statistics.clips if clip.split == split]
            if not clips:
                continue
            prints = [clip.videos[modality].fingerprints for clip in clips]
            for other, theirs in seen.items():
                shares = _shares(prints, theirs)
                sharing += [
                    f"{clips[place].sample_id} ({split}): {shares[place]:.0%} of its frames are in {other} too"
                    for place in np.flatnonzero(shares >= _SHARED).tolist()
                    if prints[place].tobytes() not in whole[other]
                ]
            seen[split] = np.sort(np.concatenate(prints))
            whole[split] = {own.tobytes() for own in prints}
        if sharing:
            clips_show = "1 clip shows" if len(sharing) == 1 else f"{len(sharing):,} clips show"
            yield _notice(
                "problem",
                f"{clips_show} {name_of(modality)} frames that clips of another split show as well (cut from "
                "the same seconds of one video?):",
                sharing,
            )


def _shares(
    clips: Sequence[Int64[np.ndarray, " _"]], sorted_others: Int64[np.ndarray, " frame"]
) -> Float64[np.ndarray, " clip"]:
    """The share of each clip's frames that are among the others."""
    frames = np.concatenate(clips)
    # Sorted questions walk through memory in order: for millions of frames, seconds and not minutes.
    order = np.argsort(frames)
    places = np.searchsorted(sorted_others, frames[order])
    found = np.empty(len(frames), np.bool_)
    found[order] = sorted_others[np.minimum(places, len(sorted_others) - 1)] == frames[order]
    lengths = np.array([len(clip) for clip in clips])
    starts = np.cumsum(lengths) - lengths
    return np.add.reduceat(found, starts, dtype=np.int64) / lengths


def _lengths(statistics: DataStatistics, sampling: Sampling) -> Iterable[Notice]:
    differing = []
    pair = statistics.modalities[:2]
    for clip in statistics.clips if len(pair) == 2 else ():
        one, other = (clip.videos[modality] for modality in pair)
        if one.seconds and other.seconds:
            lengths, unit = (one.seconds, other.seconds), "s"
        else:
            lengths, unit = (float(one.frames), float(other.frames)), "frames"
        difference = abs(lengths[0] - lengths[1]) / max(lengths)
        if difference > LENGTH_TOLERANCE:
            line = (
                f"{clip.sample_id} ({clip.split}): {name_of(pair[0])} {lengths[0]:.4g} {unit}, "
                f"{name_of(pair[1])} {lengths[1]:.4g} {unit}"
            )
            differing.append((difference, line))
    if differing:
        differing.sort(key=lambda entry: -entry[0])
        pairs = "1 pair differs" if len(differing) == 1 else f"{len(differing):,} pairs differ"
        yield _notice(
            "problem",
            f"{pairs} in length by more than {LENGTH_TOLERANCE:.0%}: frames at the same share of the two "
            "videos then show different moments. The worst:",
            [line for _, line in differing],
        )
    needed = f"{sampling.span} {'segments' if sampling.kind == 'segments' else 'that a clip spans'}"
    for modality in statistics.modalities:
        short = [clip for clip in statistics.clips if clip.videos[modality].frames < sampling.span]
        if short:
            yield _notice(
                "note",
                f"{_clips(len(short))} with fewer {name_of(modality)} frames than the {needed}, so "
                "that frames are shown twice:",
                [f"{c.sample_id} ({c.split}): {c.videos[modality].frames}" for c in short],
            )


def _pictures(statistics: DataStatistics, resize: int) -> Iterable[Notice]:
    texts = {
        "black": ("problem", "black in the middle of the clip"),
        "flat": ("problem", "of one brightness everywhere in the middle of the clip"),
        "grey": ("problem", "without any colour; are they infrared, or copies of it?"),
        "unreadable": ("problem", "not to be decoded in the middle of the clip"),
    }
    for modality in statistics.modalities:
        odd = defaultdict(list)
        for clip in statistics.clips:
            if look := clip.videos[modality].look:
                kind, _, why = look.partition(": ")
                odd[kind].append(f"{clip.sample_id} ({clip.split})" + (f": {why}" if why else ""))
        for kind, (level, text) in texts.items():
            if odd[kind]:
                name = name_of(modality)
                of = f"{name[0].upper()}{name[1:]} pictures of {_clips(len(odd[kind]))} are {text}"
                yield _notice(level, of if of.endswith("?") else f"{of}:", odd[kind])
        sides = [min(s) for clip in statistics.clips if (s := clip.videos[modality].size)]
        small = sum(side < resize for side in sides)
        if small:
            yield Notice(
                "note",
                f"The {name_of(modality)} pictures of {_clips(small)} have a short side of {min(sides)} pixels or "
                f"more, below the {resize} to which testing scales them: they are enlarged.",
            )
