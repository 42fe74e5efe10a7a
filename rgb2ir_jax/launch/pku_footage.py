"""PKU-MMD's long test videos and labels, where their owners' files lie."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import NamedTuple

from data_builders.pku_mmd_ir.footage import find_footage
from data_builders.pku_mmd_ir.labels import parse_labels
from data_builders.pku_mmd_ir.protocol import CLASS_NAMES
from data_builders.recording.report import is_synthetic
from rgb2ir_jax.video.source import VideoSource


class PkuVideos(NamedTuple):
    """The test videos of a split.

    Attributes:
        sources: the file of each video, by its name.
        labels: its labelled actions, rows [class, start, end, 1], the class from 1.
        absent: videos of the split whose file or labels are not there.
        synthetic: whether the footage was made up.
    """

    sources: dict[str, VideoSource]
    labels: dict[str, list[list[int]]]
    absent: list[str]
    synthetic: bool


def find_test_videos(
    folder: Path, phase: int, protocol: str, modality: str, classes: Container[int]
) -> PkuVideos:
    """Searches a folder for the videos that a split tests on.

    Labels are read as the builder reads them: swapped ends are put right.

    Args:
        folder: PKU-MMD's files, see `data_builders.pku_mmd_ir`.
        phase: 1 or 2.
        protocol: "xsub" or "xview".
        modality: "rgb" or "ir".
        classes: The wanted classes, from 1; labels of others are left out.

    Raises:
        ValueError: no test video is there, or no footage at all.
    """
    footage = find_footage(folder, phase, protocol)
    found = PkuVideos({}, {}, [], is_synthetic(folder))
    for video in sorted(footage.lists.test):
        if modality not in footage.videos.get(video, {}) or video not in footage.labels:
            found.absent.append(footage.label_problems.get(video, video.name))
            continue
        found.sources[video.name] = footage.videos[video][modality]
        found.labels[video.name] = [
            [row.class_number, row.start, row.end, 1]
            for row in parse_labels(footage.labels[video], classes).instances
        ]
    if not found.sources:
        raise ValueError(
            f"of the {len(footage.lists.test)} test videos in {footage.split_file} none is there with "
            f"its {modality} file and labels"
        )
    return found


def class_numbers(class_names: Sequence[str], *, required: bool) -> list[int]:
    """PKU-MMD's number of each class of a network, or 1, 2, ... where it knows other classes.

    Names are compared without what they add in brackets: NTU RGB+D's "standing up (from sitting
    position)" is PKU-MMD's "standing up".

    Raises:
        ValueError: PKU-MMD's numbers are `required`, and a class is none of its.
    """
    official = {_plain(name): number for number, name in enumerate(CLASS_NAMES, start=1)}
    unknown = [name for name in class_names if _plain(name) not in official]
    if not unknown:
        return [official[_plain(name)] for name in class_names]
    if required:
        raise ValueError(
            f"the network's classes {', '.join(map(repr, unknown[:3]))} are none of PKU-MMD's; "
            "expected a run on PKU-MMD, or on classes of the same names"
        )
    return list(range(1, len(class_names) + 1))


def _plain(name: str) -> str:
    return name.partition(" (")[0].lower()
