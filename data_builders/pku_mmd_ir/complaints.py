"""What the person who builds is told when the footage cannot be built from."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from data_builders.recording.search import Search
from rgb2ir_jax.video.source import VideoSource

from .protocol import PHASES, PROTOCOLS

if TYPE_CHECKING:
    from .footage import Found


def no_pair(found: "Found", search: Search, phase: int) -> str:
    """Says that no recording is there in both modalities."""
    example = PHASES[phase].example
    videos = found.videos.values()
    rgb, ir = (sum(modality in files for files in videos) for modality in ("rgb", "ir"))
    lines = [
        f"No pair of RGB and infrared videos of PKU-MMD's phase {phase} was found.",
        f"  searched: {search.describe()}",
        f"  expected: pairs of files named like {example}.avi and {example}-infrared.avi",
    ]
    if videos:
        lines.append(
            f"  found:    {rgb} RGB and {ir} infrared videos, no two of them of one recording"
        )
    if found.other_phase:
        lines.append(
            f"  found:    {found.other_phase} files of phase {3 - phase}, which the configs "
            f"phase{3 - phase}_xsub and phase{3 - phase}_xview build"
        )
    if found.unlike:
        lines.append(f"  found:    other files, such as {', '.join(found.unlike)}")
    lines += _archives(found, search)
    lines.append("  to do:    point --manual_dir at the folder that holds the owners' files")
    return "\n".join(lines)


def no_label(found: "Found", search: Search, phase: int) -> str:
    """Says that videos are there and no label file is."""
    example, archive = PHASES[phase].example, PHASES[phase].label_archive
    lines = [
        f"No label file of PKU-MMD's phase {phase} was found.",
        f"  searched: {search.describe()}",
        f"  expected: a file like {example}.txt for each video, of rows class,start,end,confidence",
    ]
    if found.labels:
        lines.append(f"  found:    files of such names for {len(found.labels)} videos: skeletons")
    lines += _archives(found, search)
    lines.append(f"  to do:    unpack the owners' {archive} anywhere below --manual_dir")
    return "\n".join(lines)


def no_split_file(
    read: Sequence[VideoSource],
    refused: Mapping[VideoSource, str],
    search: Search,
    phase: int,
    protocol: str,
) -> str:
    """Says that no split file is there, or that several disagree."""
    name = f"cross-{PROTOCOLS[protocol]}{PHASES[phase].split_suffix}.txt"
    if read:
        return (
            f"{len(read)} split files of PKU-MMD's phase {phase} disagree: "
            f"{', '.join(map(str, read))}. Keep the owners' one alone below --manual_dir."
        )
    lines = [
        f"No {name}, which assigns the videos of PKU-MMD's phase {phase} to the splits, was found.",
        f"  searched: {search.describe()}",
        f"  expected: {name} or {name.replace('-', '_')}",
        *(f"  found:    {source}, which is of no use: {why}" for source, why in refused.items()),
        *_archives(None, search),
        f"  to do:    put the owners' {name} (in their folder Split) anywhere below --manual_dir",
    ]
    return "\n".join(lines)


def empty_split(split: str, listed: int, present: int, split_file: VideoSource) -> str:
    """Says that a split would have no clip."""
    return (
        f"The {split} split would be empty: of the {listed} videos that {split_file} lists for it, "
        f"{present} are below --manual_dir in both modalities, and these give no clip. Add videos "
        "of it with their label files, or build the other protocol's config."
    )


def _archives(found: "Found | None", search: Search) -> list[str]:
    lines = [f"  found:    {reason}" for reason in search.unreadable.values()]
    if search.nested:
        lines.append(f"  found:    {search.nested[0]}, an archive in an archive; unpack the outer")
    if found and found.packed:
        lines.append(f"  found:    {found.packed[0]}, which is packed; unpack it")
    return lines
