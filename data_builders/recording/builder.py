"""The builder that every set of paired footage shares: a plan becomes TFDS records."""

import abc
import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets.public_api as tfds
import tqdm
from tensorflow_datasets.core import shuffle

from data_builders.recording import lock
from data_builders.recording.records import clip_keys, counted, record
from data_builders.recording.report import BuildReport, is_synthetic
from data_builders.recording.spool import SpoolTask, read_back, recode_to_file
from rgb2ir_jax.video.modalities import CHANNELS
from rgb2ir_jax.video.pool import ordered_map, worker_count
from rgb2ir_jax.video.recode import RecodeTask

WORKERS_VARIABLE = "RGB2IR_BUILD_WORKERS"
MAX_BAD_VARIABLE = "RGB2IR_BUILD_MAX_BAD_FRACTION"
# TFDS keeps up to 1 GB of records in memory before it sorts them through files.
_SORTED_IN_MEMORY = 64 * 2**20


@dataclasses.dataclass
class RecordingConfig(tfds.core.BuilderConfig):
    """How frames are stored, and how much may be wrong.

    Attributes:
        short_side: Shorter side of the stored frames in pixels; smaller sources keep their size.
        jpeg_quality: 1-100, of both modalities.
        max_bad_fraction: Share of the clips that may be skipped; the environment variable
            RGB2IR_BUILD_MAX_BAD_FRACTION overrides it.
        frame_stride: Every so-manieth frame of a clip is stored. `rgb_frames` and `ir_frames` still
            count the source's.
    """

    short_side: int = 256
    jpeg_quality: int = 90
    max_bad_fraction: float = 0.01
    frame_stride: int = 1

    def __post_init__(self) -> None:
        """Checks what a person may have written by hand (`--config='{"name": ...}'`)."""
        for field, least, most in (
            ("short_side", 16, 8192),
            ("jpeg_quality", 1, 100),
            ("frame_stride", 1, 10_000),
            ("max_bad_fraction", 0, 1),
        ):
            value = getattr(self, field)
            if not least <= value <= most:
                raise ValueError(f"{field} is {value!r}; expected {least} to {most}")


@dataclasses.dataclass
class Plan:
    """What is to be built.

    Attributes:
        splits: The tasks of each split, in the order of the records.
        records: For each clip, by its name, the label and the other fields of its record.
        report: Holds the number of clips and what is known to be wrong already.
    """

    splits: dict[str, list[RecodeTask]]
    records: dict[str, dict[str, Any]]
    report: BuildReport


class PairedBuilder(
    tfds.core.GeneratorBasedBuilder,
    skip_registration=True,  # type: ignore[call-arg]
):
    """Builds paired RGB and infrared JPEG sequences from video files.

    Subclasses declare VERSION, BUILDER_CONFIGS (of RecordingConfig), MANUAL_DOWNLOAD_INSTRUCTIONS
    and HOMEPAGE, and implement `class_names`, `extra_features` and `plan`.

    Attributes:
        workers: Number of decoding processes; 0 decodes in this one. Default: the environment
            variable RGB2IR_BUILD_WORKERS, or one a CPU core.
        modalities: What the records show; the pair, unless `plan` takes others.
    """

    HOMEPAGE: str = ""
    workers: int | None = None
    modalities: tuple[str, ...] = ("rgb", "ir")

    def __init__(self, *, file_format: Any = None, **kwargs: Any):
        self._plan: Plan | None = None
        self._on_beam = False
        # Training reads single records at random, which TFDS's default format cannot do.
        super().__init__(file_format=file_format or "array_record", **kwargs)

    @abc.abstractmethod
    def class_names(self) -> Sequence[str] | None:
        """Returns the classes in the order of the labels; None where only `plan` learns them."""

    @abc.abstractmethod
    def extra_features(self) -> dict[str, Any]:
        """Returns the TFDS features of a record beside those of all sets."""

    @abc.abstractmethod
    def plan(self, manual_dir: Path) -> Plan:
        """Finds the footage and says what is to be built; decodes nothing.

        Where `class_names` gave None, it sets `self.info.features["label"].names`.

        Raises:
            FootageError: there is nothing to build from.
        """

    @property
    def max_bad_fraction(self) -> float:
        """The share of bad clips that stops the build: the environment's, or the config's.

        Raises:
            ValueError: the environment variable holds no share between 0 and 1.
        """
        text = os.environ.get(MAX_BAD_VARIABLE, "")
        try:
            fraction = float(text) if text else self.builder_config.max_bad_fraction
        except ValueError:
            fraction = -1.0
        if not 0 <= fraction <= 1:
            raise ValueError(
                f"{MAX_BAD_VARIABLE} is {text!r}; expected a share between 0 and 1, such as 0.05"
            )
        return fraction

    def _info(self) -> tfds.core.DatasetInfo:
        """Describes the records."""
        names = self.class_names()
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "sample_id": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(names=None if names is None else list(names)),
                    **self._video_features(),
                    **self.extra_features(),
                }
            ),
            homepage=self.HOMEPAGE or None,
            # Records keep the tasks' order, so that an index means the same clip in every build.
            disable_shuffling=True,
        )

    def _video_features(self) -> dict[str, Any]:
        features: dict[str, Any] = {}
        for modality in self.modalities:
            picture = tfds.features.Image(
                shape=(None, None, CHANNELS[modality]), encoding_format="jpeg"
            )
            features[modality] = tfds.features.Sequence(picture)
            features[f"{modality}_frames"] = np.int32
            features[f"{modality}_fps"] = np.float32
        return features

    def take_modalities(self, modalities: Sequence[str]) -> None:
        """Declares what the records show, for a `plan` that finds other footage than the pair.

        Args:
            modalities: Some of `video.modalities.CHANNELS`.
        """
        if tuple(modalities) != self.modalities:
            self.modalities = tuple(modalities)
            # TFDS asks for the features when the builder is made, before it knows the footage.
            self.info._features = self._info().features  # noqa: SLF001

    def _generate_splits(
        self, dl_manager: tfds.download.DownloadManager, download_config: Any
    ) -> Any:
        """Builds all splits on this machine or, where Beam options are given, on their runner."""
        self._on_beam = bool(download_config.beam_options or download_config.beam_runner)
        with (
            lock.held(Path(self.data_dir)) if not self._is_remote() else contextlib.nullcontext(),
            _little_sorted_in_memory(),
        ):
            # Before TFDS takes the features, which the footage may change.
            self._plan = self.plan(Path(dl_manager.manual_dir))
            try:
                splits = super()._generate_splits(dl_manager, download_config)
            except Exception:
                # A split without any usable clip fails inside Beam; the reason is in the outcomes.
                if self._on_beam and self._plan is not None:
                    self._collect_beam_outcomes(self._plan)
                raise
        if self._plan is not None:
            config = self.builder_config
            report = self._plan.report
            self.data_path.joinpath("build_report.json").write_text(
                report.to_json(
                    config=config.name,
                    short_side=config.short_side,
                    jpeg_quality=config.jpeg_quality,
                    frame_stride=config.frame_stride,
                )
            )
            # Through tqdm, so that the lines do not break the bars; the tfds command shows no INFO
            # logs.
            tqdm.tqdm.write(report.summary(len(self.modalities)))
        return splits

    def _is_remote(self) -> bool:
        return "://" in os.fspath(self.data_dir)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        """Starts each split of the plan."""
        if (plan := self._plan) is None:
            self._plan = plan = self.plan(Path(dl_manager.manual_dir))
        plan.report.synthetic = is_synthetic(Path(dl_manager.manual_dir))
        plan.report.check()
        return {
            split: self._beam_examples(split, tasks)
            if self._on_beam
            else self._generate_examples(split, tasks)
            for split, tasks in plan.splits.items()
        }

    def _generate_examples(
        self, split: str, tasks: Sequence[RecodeTask]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields the records of one split in the tasks' order, decoded by worker processes."""
        if self._plan is None:
            raise RuntimeError("records are generated by download_and_prepare alone")
        report, records = self._plan.report, self._plan.records
        workers = worker_count(WORKERS_VARIABLE) if self.workers is None else self.workers
        # Inside the build's own folder, which goes when the build does.
        folder = None if self._is_remote() else os.fspath(self.data_path)
        jobs = (SpoolTask(task, folder) for task in tasks)
        results = ordered_map(recode_to_file, jobs, min(workers, len(tasks)))
        keys = clip_keys(tasks)
        progress = tfds.core.utils.tqdm(
            total=len(keys), desc=f"Decoding {split} pairs", unit=" pairs", leave=False
        )
        with progress, contextlib.closing(results):
            positions = iter(keys)
            for spooled in results:
                for clip in read_back(spooled):
                    progress.update()
                    key = next(positions)
                    if clip.problem is not None:
                        report.skip(clip.name, clip.problem)
                        continue
                    example = record(clip, records[clip.name])
                    report.wrote(split, *counted(example))
                    yield key, example

    def _beam_examples(self, split: str, tasks: Sequence[RecodeTask]) -> Any:
        """Returns the Beam transform that gives the same records on a runner's machines."""
        # Beam takes seconds to import, and only clusters need it.
        from data_builders.recording import beam_run

        if self._plan is None:
            raise RuntimeError("records are generated by download_and_prepare alone")
        records = self._plan.records
        return beam_run.RecodeOnBeam(
            [
                beam_run.Job(keys, task, [records[clip.name] for clip in task.clips])
                for keys, task in _keys_by_task(tasks)
            ],
            os.fspath(self.data_path / _outcomes_file(split)),
        )

    def _process_pipeline_result(self, pipeline_result: Any) -> None:
        """Judges a Beam build once its pipeline has ended."""
        del pipeline_result
        if self._plan is not None:
            self._collect_beam_outcomes(self._plan)

    def _collect_beam_outcomes(self, plan: Plan) -> None:
        from data_builders.recording import beam_run

        for split in plan.splits:
            path = self.data_path / _outcomes_file(split)
            if path.exists():
                for outcome in beam_run.read_outcomes(path):
                    if outcome.problem is not None:
                        plan.report.skipped[outcome.name] = outcome.problem
                    else:
                        plan.report.wrote(split, *outcome.counted)
                path.unlink()
        plan.report.check()


@contextlib.contextmanager
def _little_sorted_in_memory() -> Iterator[None]:
    """Lets TFDS sort through files early; its bound is a constant of its module, not an option."""
    usual = shuffle.MAX_MEM_BUFFER_SIZE
    shuffle.MAX_MEM_BUFFER_SIZE = min(usual, _SORTED_IN_MEMORY)
    try:
        yield
    finally:
        shuffle.MAX_MEM_BUFFER_SIZE = usual


def _keys_by_task(tasks: Sequence[RecodeTask]) -> Iterator[tuple[list[int], RecodeTask]]:
    keys = iter(clip_keys(tasks))
    for task in tasks:
        yield [next(keys) for _ in task.clips], task


def _outcomes_file(split: str) -> str:
    return f"outcomes.{split}.json"
