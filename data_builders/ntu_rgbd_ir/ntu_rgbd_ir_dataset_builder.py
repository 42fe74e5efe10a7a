"""NTU RGB+D as paired RGB and infrared clips: TFDS builder for the stock `tfds build` command."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets.public_api as tfds
import tqdm

try:
    from rgb2ir_jax.video.pool import ordered_map, worker_count
    from rgb2ir_jax.video.recode import JpegVideo, PairTask, recode_pair
except ModuleNotFoundError as error:
    # As an ImportError, the tfds command would swallow it and report something else.
    raise RuntimeError(
        f"The builder needs the package rgb2ir_jax ({error}). Install it into the "
        "environment of the tfds command: `make install`, or `pip install -e .`, in the "
        "root of the repository."
    ) from error

from .footage import FootageError, find_footage
from .protocol import CLASS_NAMES, PROTOCOLS, SPLITS, Sample, split_members, split_of
from .report import BuildReport

WORKERS_VARIABLE = "RGB2IR_BUILD_WORKERS"

# TFDS sorts by key and puts what exceeds 1 GB into 1000 temporary files by the key's highest bits,
# each read back whole. Keys spread over all 128 bits keep both the order and the memory's bound; 0,
# 1, 2, ... would fill one file with everything.
_KEY_RANGE = 2**128


@dataclasses.dataclass
class NtuConfig(tfds.core.BuilderConfig):
    """Which classes and which official split.

    Attributes:
        num_classes: The first so many of the owners' classes, A001 on.
        protocol: "xsub" (cross-subject) or "xview" (cross-view).
        short_side: Shorter side of the stored frames in pixels; smaller sources keep their size.
        jpeg_quality: 1-100, of both modalities.
        max_bad_fraction: Share of the samples that may be skipped as damaged or unpaired.
    """

    num_classes: int = len(CLASS_NAMES)
    protocol: str = "xsub"
    short_side: int = 256
    jpeg_quality: int = 90
    max_bad_fraction: float = 0.01


def _config(prefix: str, num_classes: int, protocol: str) -> NtuConfig:
    classes = f"the classes A001-A{num_classes:03}"
    split = {"xsub": "cross-subject", "xview": "cross-view"}[protocol]
    return NtuConfig(
        name=f"{prefix}_{protocol}",
        description=f"{classes[0].upper()}{classes[1:]}, {split} split.",
        num_classes=num_classes,
        protocol=protocol,
    )


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builds paired RGB and infrared JPEG sequences from the owners' AVI files.

    Attributes:
        workers: Number of decoding processes; 0 decodes in this one. Default: the environment
            variable RGB2IR_BUILD_WORKERS, or one a CPU core.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012 - TFDS's own declaration
    BUILDER_CONFIGS = [  # noqa: RUF012
        _config(prefix, num_classes, protocol)
        for prefix, num_classes in (("ten_class", 10), ("all", len(CLASS_NAMES)))
        for protocol in PROTOCOLS
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "ten_class_xsub"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
NTU RGB+D may not be redistributed: request it from its owners
(https://rose1.ntu.edu.sg/dataset/actionRecognition) and unpack the RGB and the infrared videos
anywhere below the folder given as --manual_dir. Files are found at any depth by their names,
S001C001P001R001A001_rgb.avi and S001C001P001R001A001_ir.avi.
Synthetic footage of the same layout comes from
  python -m rgb2ir_jax.synthesize --layout=ntu --out=DIR --clips=200
"""

    workers: int | None = None

    def __init__(self, *, file_format: Any = None, **kwargs: Any):
        # Training reads single records at random, which TFDS's default format cannot do.
        super().__init__(file_format=file_format or "array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        """Describes the records."""
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "sample_id": tfds.features.Text(),
                    "rgb": tfds.features.Sequence(
                        tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
                    ),
                    "ir": tfds.features.Sequence(
                        tfds.features.Image(shape=(None, None, 1), encoding_format="jpeg")
                    ),
                    "label": tfds.features.ClassLabel(
                        names=list(CLASS_NAMES[: self.builder_config.num_classes])
                    ),
                    "performer": np.int32,
                    "camera": np.int32,
                    "setup": np.int32,
                    "replication": np.int32,
                    "rgb_frames": np.int32,
                    "ir_frames": np.int32,
                    "rgb_fps": np.float32,
                    "ir_fps": np.float32,
                }
            ),
            homepage="https://rose1.ntu.edu.sg/dataset/actionRecognition",
            # Records keep the samples' order, so that an index means the same clip in every build.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        """Finds the footage and assigns it to the splits."""
        config = self.builder_config
        folder = Path(dl_manager.manual_dir)
        footage = find_footage(folder, range(1, config.num_classes + 1))
        report = BuildReport(
            len(footage.pairs) + len(footage.problems), config.max_bad_fraction, footage.problems
        )
        report.check()
        splits: dict[str, dict[Sample, tuple[Path, Path]]] = {split: {} for split in SPLITS}
        for sample, files in footage.pairs.items():
            splits[split_of(sample, config.protocol)][sample] = files
        for split, pairs in splits.items():
            if not pairs:
                raise FootageError(
                    _empty_split(split, config.protocol, folder, list(footage.pairs))
                )
        return {
            split: self._generate_examples(split, pairs, report) for split, pairs in splits.items()
        }

    def _generate_examples(
        self, split: str, pairs: dict[Sample, tuple[Path, Path]], report: BuildReport
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields the records of one split in the samples' order, decoded by worker processes."""
        config = self.builder_config
        workers = worker_count(WORKERS_VARIABLE) if self.workers is None else self.workers
        tasks = (
            PairTask(sample.sample_id, str(rgb), str(ir), config.short_side, config.jpeg_quality)
            for sample, (rgb, ir) in pairs.items()
        )
        results = ordered_map(recode_pair, tasks, min(workers, len(pairs)))
        progress = tfds.core.utils.tqdm(
            results, total=len(pairs), desc=f"Decoding {split} pairs", unit=" pairs", leave=False
        )
        stride = _KEY_RANGE // len(pairs)
        try:
            for position, result in enumerate(progress):
                if result.problem is not None:
                    report.skip(result.name, result.problem)
                    continue
                report.wrote(split, len(result.rgb.frames), len(result.ir.frames))
                yield position * stride, _record(Sample.from_id(result.name), result.rgb, result.ir)
        finally:
            results.close()
        self.data_path.joinpath("build_report.json").write_text(
            report.to_json(config=config.name, short_side=config.short_side)
        )
        if split == SPLITS[-1]:
            # Through tqdm, so that the line does not break the bars; the tfds command shows no INFO
            # logs.
            tqdm.tqdm.write(report.summary())


def _record(sample: Sample, rgb: JpegVideo, ir: JpegVideo) -> dict[str, Any]:
    return {
        "sample_id": sample.sample_id,
        "rgb": rgb.frames,
        "ir": ir.frames,
        "label": sample.action - 1,
        "performer": sample.performer,
        "camera": sample.camera,
        "setup": sample.setup,
        "replication": sample.replication,
        "rgb_frames": len(rgb.frames),
        "ir_frames": len(ir.frames),
        "rgb_fps": rgb.fps,
        "ir_fps": ir.fps,
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
