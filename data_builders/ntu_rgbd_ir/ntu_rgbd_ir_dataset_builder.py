"""NTU RGB+D as paired RGB and infrared clips: TFDS builder for the stock `tfds build` command."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets.public_api as tfds

try:
    from data_builders.ntu_rgbd_ir.completeness import completeness
    from data_builders.ntu_rgbd_ir.footage import find_footage
    from data_builders.ntu_rgbd_ir.protocol import (
        CLASS_NAMES,
        SPLITS,
        Sample,
        protocol_named,
        split_members,
        split_of,
    )
    from data_builders.recording.builder import PairedBuilder, Plan, RecordingConfig
    from data_builders.recording.report import BuildReport, FootageError
    from rgb2ir_jax.video.recode import ClipSpans, RecodeTask
except ModuleNotFoundError as error:
    # As an ImportError, the tfds command would swallow it and report something else.
    raise RuntimeError(
        f"The builder needs the packages rgb2ir_jax and data_builders ({error}). Install them into "
        "the environment of the tfds command: `make install`, or `pip install -e .`, in the "
        "root of the repository."
    ) from error


@dataclasses.dataclass
class NtuConfig(RecordingConfig):
    """Which classes and which official split.

    Attributes:
        num_classes: The first so many of the owners' classes, A001 on.
        protocol: "xsub" (cross-subject) or "xview" (cross-view) of NTU RGB+D; "xsub120"
            (cross-subject) or "xsetup120" (cross-setup) of NTU RGB+D 120.
    """

    num_classes: int = 60
    protocol: str = "xsub"

    def __post_init__(self) -> None:
        """Checks that the protocol exists and has so many classes."""
        super().__post_init__()
        extent = protocol_named(self.protocol).extent
        if not 1 <= self.num_classes <= extent.actions:
            raise ValueError(
                f"num_classes is {self.num_classes}; {extent.title} has 1 to {extent.actions}"
            )


def _config(name: str, num_classes: int, protocol: str) -> NtuConfig:
    rule = protocol_named(protocol)
    return NtuConfig(
        name=name,
        description=(
            f"The classes A001-A{num_classes:03} of {rule.extent.title}, {rule.title} split."
        ),
        num_classes=num_classes,
        protocol=protocol,
    )


class Builder(PairedBuilder):
    """Builds paired RGB and infrared JPEG sequences from the owners' AVI files."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012 - TFDS's own declaration
    BUILDER_CONFIGS = [  # noqa: RUF012
        _config("ten_class_xsub", 10, "xsub"),
        _config("ten_class_xview", 10, "xview"),
        _config("all_xsub", 60, "xsub"),
        _config("all_xview", 60, "xview"),
        _config("all120_xsub", 120, "xsub120"),
        _config("all120_xsetup", 120, "xsetup120"),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "ten_class_xsub"
    HOMEPAGE = "https://rose1.ntu.edu.sg/dataset/actionRecognition"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
NTU RGB+D may not be redistributed: request it from its owners
(https://rose1.ntu.edu.sg/dataset/actionRecognition) and put the archives of the RGB and the
infrared videos (nturgbd_rgb_s001.zip, nturgbd_ir_s001.zip, ...), or what they hold, anywhere below
the folder given as --manual_dir. Archives need not be unpacked. Videos are found at any depth by
their names, S001C001P001R001A001_rgb.avi and S001C001P001R001A001_ir.avi.
Synthetic footage of the same layout comes from
  python -m rgb2ir_jax.synthesize --layout=ntu --out=DIR --clips=200
"""

    def class_names(self) -> Sequence[str]:
        """Returns the owners' names of the chosen classes."""
        return CLASS_NAMES[: self.builder_config.num_classes]

    def extra_features(self) -> dict[str, Any]:
        """Returns the numbers of a sample's name."""
        return dict.fromkeys(("performer", "camera", "setup", "replication"), np.int32)

    def plan(self, manual_dir: Path) -> Plan:
        """Finds the pairs and assigns them to the splits.

        Raises:
            FootageError: nothing was found, or a split would be empty.
        """
        config = self.builder_config
        protocol = protocol_named(config.protocol)
        actions = range(1, config.num_classes + 1)
        footage = find_footage(manual_dir, actions, protocol.extent)
        samples = list(footage.pairs)
        report = BuildReport(
            len(samples) + len(footage.problems),
            self.max_bad_fraction,
            footage.problems,
            notes={**completeness(samples, actions, protocol), **footage.notes()},
        )
        splits: dict[str, list[RecodeTask]] = {split: [] for split in SPLITS}
        for sample, (rgb, ir) in footage.pairs.items():
            splits[split_of(sample, config.protocol)].append(
                RecodeTask(
                    sample.sample_id,
                    rgb,
                    ir,
                    (ClipSpans(sample.sample_id),),
                    config.short_side,
                    config.jpeg_quality,
                    config.frame_stride,
                )
            )
        for split, tasks in splits.items():
            if not tasks:
                # Too many unusable samples are the better explanation of an empty split.
                report.check()
                raise FootageError(_empty_split(split, config.protocol, manual_dir, samples))
        return Plan(splits, {sample.sample_id: _fields(sample) for sample in samples}, report)


def _fields(sample: Sample) -> dict[str, Any]:
    return {
        "label": sample.action - 1,
        "performer": sample.performer,
        "camera": sample.camera,
        "setup": sample.setup,
        "replication": sample.replication,
    }


def _empty_split(split: str, protocol: str, folder: Path, samples: list[Sample]) -> str:
    field, wanted = split_members(protocol, split)
    found = sorted({getattr(sample, field) for sample in samples})
    return (
        f"The {split} split would be empty: the {len(samples)} pairs below {folder} have the "
        f"{field}s {found}, and the {protocol} protocol's {split} split is "
        f"made of the {field}s {wanted}. "
        "Add footage of these, or build the other protocol's config."
    )
