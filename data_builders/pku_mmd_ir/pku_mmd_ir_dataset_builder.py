"""PKU-MMD as paired RGB and infrared clips: TFDS builder for the stock `tfds build` command."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets.public_api as tfds

try:
    from data_builders.recording.builder import PairedBuilder, Plan, RecordingConfig
    from data_builders.recording.report import BuildReport, FootageError
    from rgb2ir_jax.video.recode import ClipSpans, RecodeTask, Span
except ModuleNotFoundError as error:
    # As an ImportError, the tfds command would swallow it and report something else.
    raise RuntimeError(
        f"The builder needs the package rgb2ir_jax ({error}). Install it into the "
        "environment of the tfds command: `make install`, or `pip install -e .`, in the "
        "root of the repository."
    ) from error

from .clips import VideoCuts, cut_footage
from .complaints import empty_split
from .footage import find_footage
from .notes import build_notes
from .protocol import ALL_CLASSES, CLASS_NAMES, DAILY_CLASSES, PROTOCOLS, SPLITS


@dataclasses.dataclass
class PkuConfig(RecordingConfig):
    """Which phase, split and classes.

    Attributes:
        phase: 1 (long videos of 51 classes) or 2 (shorter ones with less rest in between).
        protocol: "xsub" (cross-subject) or "xview" (cross-view).
        classes: The owners' numbers of the wanted classes; a label is the place in here.
    """

    phase: int = 1
    protocol: str = "xsub"
    classes: tuple[int, ...] = ALL_CLASSES


def _config(phase: int, protocol: str, classes: tuple[int, ...], suffix: str = "") -> PkuConfig:
    return PkuConfig(
        name=f"phase{phase}{suffix}_{protocol}",
        description=f"Phase {phase}, {len(classes)} classes, cross-{PROTOCOLS[protocol]} split.",
        phase=phase,
        protocol=protocol,
        classes=classes,
    )


class Builder(PairedBuilder):
    """Cuts the labelled instances out of the owners' long videos, in both modalities."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012 - TFDS's own declaration
    BUILDER_CONFIGS = [  # noqa: RUF012
        *(_config(1, protocol, ALL_CLASSES) for protocol in PROTOCOLS),
        *(_config(2, protocol, DAILY_CLASSES) for protocol in PROTOCOLS),
        # Descriptions of phase 2 differ in the number of its classes; its labels count to 51.
        *(_config(2, protocol, ALL_CLASSES, "_51_classes") for protocol in PROTOCOLS),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "phase1_xsub"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
PKU-MMD may not be redistributed: request it from its owners
(https://www.icst.pku.edu.cn/struct/Projects/PKUMMD.html) and put the RGB and the infrared videos,
the label files (unpack Label_PKUMMD.7z, for phase 2 Label_PKUMMD_v2.7z) and the split files
anywhere below the folder given as --manual_dir. Files are found at any depth, and inside zip
archives, by their names: 0002-L.avi, 0002-L-infrared.avi, 0002-L.txt, cross-subject.txt.
Synthetic footage of the same layout comes from
  python -m rgb2ir_jax.synthesize --layout=pku_mmd --out=DIR --videos=20
"""
    HOMEPAGE = "https://www.icst.pku.edu.cn/struct/Projects/PKUMMD.html"

    def class_names(self) -> list[str]:
        """Returns the config's classes in the owners' order."""
        return [CLASS_NAMES[number - 1] for number in self.builder_config.classes]

    def extra_features(self) -> dict[str, Any]:
        """Returns what a record holds beside the two clips and the label."""
        return {
            "video": tfds.features.Text(),
            "view": tfds.features.Text(),
            "start": np.int32,
            "end": np.int32,
            "performer": np.int32,
        }

    def plan(self, manual_dir: Path) -> Plan:
        """Finds videos, labels and the split file, and decides what is cut.

        Raises:
            FootageError: one of these is missing altogether, or a split would be empty.
            TooManyBadClipsError: more of the labelled instances than allowed cannot be cut.
        """
        config = self.builder_config
        footage = find_footage(manual_dir, config.phase, config.protocol)
        cuts = cut_footage(footage, config.classes)
        report = BuildReport(
            cuts.num_clips + len(cuts.skipped),
            self.max_bad_fraction,
            cuts.skipped,
            notes=build_notes(footage, cuts, config.phase, config.protocol),
        )
        report.check()
        for split, listed in zip(SPLITS, footage.lists, strict=True):
            if not cuts.splits[split]:
                raise FootageError(
                    empty_split(split, len(listed), cuts.present[split], footage.split_file)
                )
        return Plan(
            splits={
                split: [self._task(video) for video in videos]
                for split, videos in cuts.splits.items()
            },
            records={
                name: {
                    "label": config.classes.index(instance.class_number),
                    "video": cut.video.name,
                    "view": cut.video.view,
                    "start": instance.start,
                    "end": instance.end,
                    "performer": cut.video.performer,
                }
                for videos in cuts.splits.values()
                for cut in videos
                for name, instance in cut.instances.items()
            },
            report=report,
        )

    def _task(self, cut: VideoCuts) -> RecodeTask:
        config = self.builder_config
        spans = {
            name: Span(instance.start, instance.end + 1) for name, instance in cut.instances.items()
        }
        return RecodeTask(
            name=cut.video.name,
            rgb=cut.rgb,
            ir=cut.ir,
            clips=tuple(ClipSpans(name, span, span) for name, span in spans.items()),
            short_side=config.short_side,
            quality=config.jpeg_quality,
            frame_stride=config.frame_stride,
        )
