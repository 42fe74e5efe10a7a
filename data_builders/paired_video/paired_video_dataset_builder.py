"""Videos of one's own, paired by a CSV file: TFDS builder for the stock `tfds build` command."""

from pathlib import Path
from typing import Any

import tensorflow_datasets.public_api as tfds

try:
    from data_builders.recording.builder import PairedBuilder, Plan, RecordingConfig
    from data_builders.recording.report import BuildReport, FootageError
    from rgb2ir_jax.video.recode import ClipSpans, RecodeTask, Span
    from rgb2ir_jax.video.source import VideoSource
except ModuleNotFoundError as error:
    # As an ImportError, the tfds command would swallow it and report something else.
    raise RuntimeError(
        f"The builder needs the package rgb2ir_jax ({error}). Install it into the "
        "environment of the tfds command: `make install`, or `pip install -e .`, in the "
        "root of the repository."
    ) from error

from .classes import class_names
from .doubts import doubts
from .footage import Files, find_files, group_by_files
from .listing import EXAMPLE, LISTING_FILE, VIDEO_COLUMNS, Row, read_listing

NEEDED_SPLITS = ("train", "test")


class Builder(PairedBuilder):
    """Builds JPEG sequences from the videos that a CSV file lists: RGB, infrared, depth, flow, or some."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012 - TFDS's own declaration
    BUILDER_CONFIGS = [  # noqa: RUF012
        RecordingConfig(name="default", description="The clips that pairs.csv lists.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
The folder given as --manual_dir holds the videos and a {LISTING_FILE} that lists them, such as
{EXAMPLE}
data_builders/paired_video/FORMAT.md describes it.
"""
    HOMEPAGE = ""

    def class_names(self) -> None:
        """Returns None: the listing names the classes."""
        return

    def extra_features(self) -> dict[str, Any]:
        """Returns what a record holds beside the videos and the label."""
        return {"performer": tfds.features.Text(), "camera": tfds.features.Text()}

    def plan(self, manual_dir: Path) -> Plan:
        """Reads the listing, finds its files and assigns its clips to the splits.

        Raises:
            FootageError: the listing cannot be read, or leaves a split or all classes but one empty.
            TooManyBadClipsError: more of its rows than allowed cannot be used.
        """
        listing = read_listing(manual_dir)
        self.take_modalities(listing.modalities)
        found, unusable = find_files(manual_dir, listing.rows, listing.further)
        classes = class_names(manual_dir, listing.labels)
        known = set(classes)
        for row in [row for row in found if row.label not in known]:
            unusable[row.clip_name] = f"the label {row.label!r} is not in classes.txt"
            del found[row]
        report = BuildReport(
            len(listing.rows) + len(listing.problems),
            self.max_bad_fraction,
            dict(sorted({**listing.problems, **unusable}.items(), key=_line)),
        )
        report.check()
        splits = group_by_files(found)
        _check_splits(listing.path, splits, len(report.skipped))
        report.notes |= {"columns_not_used": listing.ignored_columns, **doubts(found, classes)}
        self.info.features["label"].names = classes
        return Plan(
            splits={
                split: [self._task(files, rows) for files, rows in groups]
                for split, groups in splits.items()
            },
            records={
                row.clip_name: {
                    "label": row.label,
                    "performer": row.performer,
                    "camera": row.camera,
                }
                for row in found
            },
            report=report,
        )

    def _task(self, files: Files, rows: list[Row]) -> RecodeTask:
        sources: dict[str, VideoSource | None] = {
            modality: None if file is None else VideoSource(str(file))
            for modality, file in zip(VIDEO_COLUMNS, files, strict=False)
        }
        return RecodeTask(
            name=rows[0].clip_name,
            rgb=sources["rgb"],
            ir=sources["ir"],
            depth=sources.get("depth"),
            flow=sources.get("flow"),
            clips=tuple(
                ClipSpans(row.clip_name, **dict.fromkeys(VIDEO_COLUMNS, _span(row))) for row in rows
            ),
            short_side=self.builder_config.short_side,
            quality=self.builder_config.jpeg_quality,
            frame_stride=self.builder_config.frame_stride,
        )


def _span(row: Row) -> Span | None:
    if row.start is None and row.end is None:
        return None
    return Span(row.start or 0.0, float("inf") if row.end is None else row.end, "seconds")


def _line(problem: tuple[str, str]) -> int:
    return int(problem[0].split(":")[1])


def _check_splits(
    path: Path, splits: dict[str, list[tuple[Files, list[Row]]]], skipped: int
) -> None:
    absent = [split for split in NEEDED_SPLITS if split not in splits]
    if not absent:
        return
    counts = {split: sum(len(rows) for _, rows in groups) for split, groups in splits.items()}
    found = ", ".join(f"{split} ({count})" for split, count in sorted(counts.items())) or "none"
    raise FootageError(
        f"{path} has no usable row of the split {' and none of '.join(absent)}. Splits found: "
        f"{found}; rows that cannot be used: {skipped}. Training needs train and test; others may "
        "stand beside them."
    )
