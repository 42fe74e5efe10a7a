"""From the footage to its clips: which instances are cut from which videos, and what is wrong."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from rgb2ir_jax.video.source import VideoSource

from .avi_header import announced_frames
from .footage import Footage
from .labels import Instance, fit, parse_labels
from .protocol import SPLITS, Video, clip_name

_UNKNOWN_LENGTH = 2**31 - 1


@dataclasses.dataclass
class VideoCuts:
    """The clips to cut from one video.

    Attributes:
        video: The video.
        rgb: Its colour file.
        ir: Its infrared file.
        instances: What to cut, by the clip's name.
    """

    video: Video
    rgb: VideoSource
    ir: VideoSource
    instances: dict[str, Instance] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Cuts:
    """What is to be cut, and what cannot be.

    Attributes:
        splits: The videos of each split that give clips, sorted by name.
        skipped: Why something that is wanted cannot be had: clips, rows of label files
            ("0002-L_003") and whole videos ("0002-L"), by their names.
        present: Number of listed videos that are there in both modalities, by split.
        absent: The listed videos of which no file is there, by split.
        quirks: What the label files were forgiven, see `labels.LabelFile`, and
            "clipped_instances", which ended after their video did.
        rows: Number of rows in the label files of the listed videos, empty ones aside.
    """

    splits: dict[str, list[VideoCuts]] = dataclasses.field(
        default_factory=lambda: {split: [] for split in SPLITS}
    )
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    present: dict[str, int] = dataclasses.field(default_factory=dict)
    absent: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    quirks: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    rows: int = 0

    @property
    def num_clips(self) -> int:
        """Number of clips in all splits."""
        return sum(len(video.instances) for videos in self.splits.values() for video in videos)


def cut_footage(footage: Footage, classes: Sequence[int]) -> Cuts:
    """Decides what is cut from the footage; reads headers of videos and decodes nothing.

    Args:
        footage: What was found.
        classes: The wanted class numbers.

    Returns:
        The clips of both splits, and what is wrong with the rest.
    """
    cuts = Cuts()
    listed = [video for videos in footage.lists for video in videos]
    frames = announced_frames(
        source for video in listed for source in footage.videos.get(video, {}).values()
    )
    for split, videos in zip(SPLITS, footage.lists, strict=True):
        cuts.absent[split] = [video.name for video in sorted(videos) if video not in footage.videos]
        cuts.present[split] = sum(len(footage.videos.get(video, {})) == 2 for video in videos)
        for video in sorted(videos):
            if video in footage.videos:
                found = _cut_video(video, footage, classes, frames, cuts)
                if found and found.instances:
                    cuts.splits[split].append(found)
    return cuts


def _cut_video(
    video: Video,
    footage: Footage,
    classes: Sequence[int],
    frames: Mapping[VideoSource, int],
    cuts: Cuts,
) -> VideoCuts | None:
    """Returns what is cut from a video; notes in `cuts` what cannot be."""
    text = footage.labels.get(video)
    if text is None:
        cuts.skipped[video.name] = footage.label_problems.get(
            video, f"its label file {video.name}.txt is missing"
        )
        return None
    labels = parse_labels(text, classes)
    cuts.quirks.update(labels.quirks)
    cuts.rows += labels.num_rows
    if not labels.num_rows:
        cuts.skipped[video.name] = f"its label file {video.name}.txt has no row"
    for row, problem in labels.problems.items():
        cuts.skipped[f"{video.name}_{row:03}"] = f"{video.name}.txt: {problem}"
    named = {
        clip_name(video.name, instance.row, instance.class_number): instance
        for instance in labels.instances
    }
    files = footage.videos[video]
    if len(files) < 2:
        (there,) = files.values()
        missing = f"{video.name}-infrared.avi" if "rgb" in files else f"{video.name}.avi"
        reason = f"only {there.name} is there, {missing} is missing"
        cuts.skipped.update(dict.fromkeys(named, reason))
        return None
    found = VideoCuts(video, files["rgb"], files["ir"])
    # Where no header tells a length, decoding does, which knows the same rule.
    shorter, source = min(
        ((frames[source], source) for source in files.values() if source in frames),
        default=(_UNKNOWN_LENGTH, found.rgb),
    )
    for name, instance in named.items():
        fitted = fit(instance, shorter)
        if fitted is None:
            cuts.skipped[name] = (
                f"{video.name}.txt: row {instance.row} is about the frames {instance.start} to "
                f"{instance.end}; {source} ends after {shorter} frames"
            )
            continue
        cuts.quirks["clipped_instances"] += fitted != instance
        found.instances[name] = fitted
    return found
