"""The builder of data sets of colour videos alone: lists and the videos they name become a plan."""

from collections.abc import Callable, Mapping
from typing import Any

from data_builders.recording.builder import PairedBuilder, Plan
from data_builders.recording.report import BuildReport, FootageError
from rgb2ir_jax.video.recode import ClipSpans, RecodeTask
from rgb2ir_jax.video.source import VideoSource

from .footage import Footage, NotThereError, Rank, any_place
from .lists import Row, VideoList

NEEDED_SPLITS = ("train", "test")


class DarkVideoBuilder(
    PairedBuilder,
    skip_registration=True,  # type: ignore[call-arg]
):
    """Builds JPEG sequences of colour videos that lists assign to splits.

    A clip is a whole video; its `sample_id` is the listed path without the ending. Subclasses
    implement what `PairedBuilder` asks for, `plan` by `plan_of_lists`.
    """

    modalities = ("rgb",)

    def plan_of_lists(
        self,
        footage: Footage,
        lists: Mapping[str, VideoList],
        fields: Callable[[Row], dict[str, Any]],
        notes: Mapping[str, Any],
        rank: Rank = any_place,
    ) -> Plan:
        """Looks for the listed videos; those that are not there are skipped, and named.

        Args:
            footage: Where to look.
            lists: The list of each split, none of whose videos is in two of them.
            fields: Gives the label and the other fields of a line's record.
            notes: What the report says beside what was searched.
            rank: Tells which of the footage's folders are meant.

        Raises:
            FootageError: no listed video is there, or none of the training or test split.
            TooManyBadClipsError: more than allowed are not there.
        """
        report = BuildReport(
            sum(len(listed.rows) for listed in lists.values()), self.max_bad_fraction
        )
        splits: dict[str, list[RecodeTask]] = {}
        records: dict[str, dict[str, Any]] = {}
        for split, listed in lists.items():
            tasks = []
            for name, row in listed.rows.items():
                try:
                    tasks.append(self._task(name, footage.video(row, rank)))
                    records[name] = fields(row)
                except NotThereError as error:
                    report.skipped[name] = str(error)
            if tasks or split in NEEDED_SPLITS:
                splits[split] = tasks
        if not records:
            raise FootageError(_nothing_found(footage, lists))
        # Too many missing videos are the better explanation of an empty split.
        report.check()
        for split in NEEDED_SPLITS:
            if not splits[split]:
                raise FootageError(
                    f"The {split} split would be empty: none of the {len(lists[split].rows)} videos that "
                    f"{lists[split].source} names is below {footage.search.folder}"
                )
        repeated = {split: listed.repeated for split, listed in lists.items() if listed.repeated}
        report.notes = {
            **notes,
            "lists": {split: str(listed.source) for split, listed in lists.items()},
            "repeated_lines": repeated,
            **footage.notes(rank),
        }
        return Plan(splits, records, report)

    def _task(self, name: str, video: VideoSource) -> RecodeTask:
        return RecodeTask(
            name=name,
            rgb=video,
            ir=None,
            clips=(ClipSpans(name),),
            short_side=self.builder_config.short_side,
            quality=self.builder_config.jpeg_quality,
            frame_stride=self.builder_config.frame_stride,
        )


def whole_set(lists: Mapping[str, VideoList], num_videos: int) -> str:
    """Compares the lists with the number of videos that the owners publish.

    Args:
        lists: The list of each split.
        num_videos: The owners' number.
    """
    counts = {split: len(listed.rows) for split, listed in lists.items()}
    told = ", ".join(f"{count} {split}" for split, count in counts.items())
    total = sum(counts.values())
    if total == num_videos:
        return f"complete: {total} videos are listed ({told})"
    return f"the lists name {total} videos ({told}); the whole set has {num_videos}"


def _nothing_found(footage: Footage, lists: Mapping[str, VideoList]) -> str:
    listed = lists["train"]
    row = next(iter(listed.rows.values()))
    there = [found.source for alike in footage.videos.values() for found in alike]
    lines = [
        "None of the listed videos was found.",
        f"  searched: {footage.search.describe()}",
        f"  expected: {row.path}, and so on, as {listed.source} names them, in folders or zip archives",
        f"  found:    {len(there)} other videos{f', such as {there[0]}' if there else ''}",
    ]
    lines += [f"  found:    {problem}" for problem in footage.search.unreadable.values()]
    if footage.search.nested:
        lines.append(
            f"  found:    archives within archives, which are not read: "
            f"{', '.join(footage.search.nested[:3])}"
        )
    lines.append("  to do:    point --manual_dir at the folder that holds the videos and the lists")
    return "\n".join(lines)
