"""Random access to the records of a built data set, through TFDS but without TensorFlow.

Frames stay encoded: a record is a dictionary of the builder's features in which each modality (`rgb`,
`ir`, or whatever sequence of pictures the builder declared) is a list of JPEG files, so that a reader
decodes only the frames it wants.
"""

import dataclasses
import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from rgb2ir_jax.video.modalities import CHANNELS as KNOWN_CHANNELS

MODALITIES = ("rgb", "ir")
"""The paper's pair. What a data set holds is `ClipSource.modalities`."""
CHANNELS = {modality: KNOWN_CHANNELS[modality] for modality in MODALITIES}
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class DatasetNotFoundError(ValueError):
    """The data set or split is not there; the message says what is, and what to do."""


class _KeepEncoded(tfds.decode.SkipDecoding):
    # TFDS 4.9.10 skips the decoding of single images only; without this, sequences of them get
    # decoded.
    def decode_batch_example_np(self, batch: Any) -> Any:
        return batch


@dataclasses.dataclass(frozen=True)
class DatasetDescription:
    """What a built data set says of itself.

    Attributes:
        name: TFDS name, e.g. "ntu_rgbd_ir".
        config: Builder config, e.g. "ten_class_xsub".
        version: Version of the records.
        directory: The folder of the record files.
        class_names: Names in the order of the labels.
        num_clips: Number of clips of each split.
        synthetic: Whether its build's report says that the footage was made up.
        modalities: What its records show, by name, and the channels of its pictures.
    """

    name: str
    config: str
    version: str
    directory: Path
    class_names: tuple[str, ...]
    num_clips: dict[str, int]
    synthetic: bool
    modalities: dict[str, int] = dataclasses.field(default_factory=lambda: dict(CHANNELS))


def _builder(directory: Path) -> Any:
    with warnings.catch_warnings():
        # TFDS 4.9.10 asks protobuf for something deprecated. Where warnings are errors, as in
        # tests, protobuf then fails with an unrelated TypeError.
        warnings.filterwarnings("ignore", r"label\(\) is deprecated", DeprecationWarning)
        return tfds.builder_from_directory(directory)


def dataset_directory(data: ConfigDict) -> Path:
    """Returns the folder with the newest version of the data set that a config names.

    Args:
        data: `config.data`; read are `name`, `config` and `dir`.

    Returns:
        The folder that holds `dataset_info.json`.

    Raises:
        DatasetNotFoundError: `dir` does not exist or the data set has not been built in it.
    """
    root = Path(data.dir).expanduser()
    build = (
        f"tfds build data_builders/{data.name} --config={data.config} "
        f"--manual_dir=FOLDER_OF_THE_VIDEOS --data_dir={data.dir}"
    )
    if not root.is_dir():
        raise DatasetNotFoundError(
            f"config.data.dir is {data.dir!r}, and there is no such folder. "
            f"Build the data set first:\n  {build}\n"
            "or give the folder that was its --data_dir: --config.data.dir=FOLDER"
        )
    versions = _built_versions(root / data.name / data.config)
    if not versions:
        found = sorted(
            f"{info.parts[-4]}/{info.parts[-3]}"
            for info in root.glob("*/*/*/dataset_info.json")
            if _VERSION.fullmatch(info.parent.name)
        )
        raise DatasetNotFoundError(
            f"The data set {data.name}/{data.config} has not been built in {data.dir} "
            f"(built there: {', '.join(dict.fromkeys(found)) or 'nothing'}). Build it:\n  {build}\n"
            "or choose another one: --config.data.name=NAME --config.data.config=CONFIG"
        )
    return versions[-1]


def _built_versions(folder: Path) -> list[Path]:
    versions = [
        path.parent
        for path in folder.glob("*/dataset_info.json")
        if _VERSION.fullmatch(path.parent.name)
    ]
    return sorted(versions, key=lambda path: tuple(map(int, path.name.split("."))))


def describe(data: ConfigDict) -> DatasetDescription:
    """Reads the metadata of the data set that a config names.

    Args:
        data: `config.data`; read are `name`, `config` and `dir`.

    Returns:
        Its classes and the sizes of its splits.

    Raises:
        DatasetNotFoundError: it is not there.
        ValueError: its build's report is broken.
    """
    directory = dataset_directory(data)
    info = _builder(directory).info
    return DatasetDescription(
        name=data.name,
        config=data.config,
        version=directory.name,
        directory=directory,
        class_names=tuple(info.features["label"].names),
        num_clips={name: split.num_examples for name, split in info.splits.items()},
        synthetic=_is_synthetic(directory),
        modalities=_modalities(info.features),
    )


def _modalities(features: Any) -> dict[str, int]:
    """The features that are sequences of pictures and their channels, the paper's pair first."""
    found = {
        name: int(feature.feature.shape[-1])
        for name, feature in features.items()
        if isinstance(getattr(feature, "feature", None), tfds.features.Image)
    }
    pair = {name: found[name] for name in MODALITIES if name in found}
    return pair | found


def check_modalities(
    wanted: Iterable[str], modalities: Mapping[str, int], data: ConfigDict
) -> None:
    """Raises ValueError unless the records of the data set that a config names show all these."""
    absent = sorted({modality for modality in wanted if modality not in modalities})
    if absent:
        raise ValueError(
            f"The modalities {', '.join(map(repr, absent))} were asked for, and the records of "
            f"{data.name}/{data.config} hold {', '.join(modalities) or 'none'} alone. Choose "
            "one of these (--config.teacher.modality, --config.student.modality), or build records with it"
        )


def _is_synthetic(directory: Path) -> bool:
    """By the report that the builder left; records without one (other builders') say nothing."""
    path = directory / "build_report.json"
    if not path.is_file():
        return False
    try:
        return bool(json.loads(path.read_text()).get("synthetic", False))
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a builder's report: {error}; build the data set anew"
        ) from error


class ClipSource:
    """The records of one split; can be sent to worker processes, which open the files anew.

    Args:
        directory: The folder of the record files.
        split: Name of the split; TFDS's slices, such as "train[:25%]", are allowed.

    Raises:
        DatasetNotFoundError: there is no such split, it has no clip, or the files allow no random
            access.

    Attributes:
        directory: The folder of the record files.
        modalities: What the records show, by name, and the channels of its pictures.
    """

    modalities: dict[str, int]

    def __init__(self, directory: Path, split: str):
        self.directory = directory
        self._split = split
        self._records: Any = None
        self._records = self._open()

    def _open(self) -> Any:
        builder = _builder(self.directory)
        splits = builder.info.splits
        where = f"the data set in {self.directory}"
        if self._split.partition("[")[0] not in splits:
            raise DatasetNotFoundError(
                f"{where} has no split {self._split!r}; it has {', '.join(splits) or 'none'}. "
                "Set config.data.train_split and config.data.test_split to one of these."
            )
        if not splits[self._split].num_examples:
            raise DatasetNotFoundError(f"the split {self._split!r} of {where} has no clip")
        self.modalities = _modalities(builder.info.features)
        decoders = {modality: _KeepEncoded() for modality in self.modalities}
        try:
            return builder.as_data_source(split=self._split, decoders=decoders)
        except NotImplementedError as error:
            raise DatasetNotFoundError(
                f"{where} is stored as {builder.info.file_format}, which cannot be read at random; "
                "build it again without --file_format"
            ) from error

    def __len__(self) -> int:
        """Returns the number of clips."""
        return len(self._records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns a record; each modality is a sequence of JPEG files as bytes."""
        return self._records[index]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yields all records in order."""
        return (self[index] for index in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the open files behind."""
        return {"directory": self.directory, "_split": self._split}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Opens the files anew."""
        self.__dict__.update(state)
        self._records = self._open()


def open_split(data: ConfigDict, split: str) -> ClipSource:
    """Opens a split of the data set that a config names.

    Args:
        data: `config.data`; read are `name`, `config` and `dir`.
        split: Name of the split.

    Returns:
        Its records.

    Raises:
        DatasetNotFoundError: the data set or the split is not there, or empty.
    """
    return ClipSource(dataset_directory(data), split)
