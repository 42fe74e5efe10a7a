"""The decoded frames of a data set on disk, so that training copies pixels instead of decoding JPEG.

What is kept are the stored pictures as they decode, all of them, before any crop or scaling: what
is drawn from them is the same, bit for bit, as without the cache, whatever the settings. Each
modality of each split is one file (`frame_file`), made when it is first needed and made anew when
it no longer fits the records.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from rgb2ir_jax.data.frame_cache_build import FrameCacheError, Job, build
from rgb2ir_jax.data.frame_file import FrameFile, FrameFileError
from rgb2ir_jax.data.source import ClipSource, open_split

# What TFDS writes beside the records.
_METADATA = ("dataset_info.json", "features.json")

_log = logging.getLogger(__name__)


class CachedClips:
    """The clips of a split, decoded. Takes the place of a `ClipSource`.

    Args:
        files: The file of each modality.

    Attributes:
        modalities: What the clips show, by name, and the channels of its pictures.
    """

    def __init__(self, files: Mapping[str, FrameFile]):
        self._files = dict(files)
        self.modalities = {name: file.channels for name, file in self._files.items()}
        self._any = next(iter(self._files.values()))

    def __len__(self) -> int:
        """Returns the number of clips."""
        return len(self._any)

    def file(self, modality: str) -> FrameFile:
        """Returns the frames of all clips in a modality."""
        return self._files[modality]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns the label and, by modality, the frames: views of the mapped file."""
        label = int(self._any.index.labels[index])
        return {"label": label, **{name: file[index] for name, file in self._files.items()}}


def prepare(data: ConfigDict, wanted: Mapping[str, Sequence[str]]) -> dict[str, CachedClips]:
    """Opens the caches of some splits, and first makes those that are missing or stale.

    The space that all of them need is compared with what is free before any is made. Of several
    processes that need the same one, one makes it and the others wait. A whole and fitting cache is
    only read, so that it may lie on a read-only disk.

    Args:
        data: `config.data`; read are `cache`, `name`, `config` and `dir`.
        wanted: The modalities of each split, e.g. {"train": ("rgb", "ir"), "test": ("ir",)}.

    Returns:
        The clips of each split.

    Raises:
        DatasetNotFoundError: the data set or a split is not there.
        FrameCacheError: there is not enough space, the folder cannot be written, or a record does
            not decode.
    """
    entries = [_Entry(data, split, tuple(modalities)) for split, modalities in wanted.items()]
    if any(_open(entry).missing for entry in entries):
        folder = entries[0].folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _only_builder(folder):
                # Another process may have made them meanwhile.
                jobs = [
                    Job(entry.split, entry.source, paths, entry.meaning)
                    for entry in entries
                    if (paths := {m: entry.path(m) for m in _open(entry, tell=True).missing})
                ]
                if jobs:
                    build(jobs)
        except OSError as error:
            raise FrameCacheError(
                f"The frame cache in {folder} cannot be written ({error.strerror or error}). Give another "
                '--config.data.cache=FOLDER, or go without one: --config.data.cache=""'
            ) from error
    clips = {}
    for entry in entries:
        opened = _open(entry)
        if opened.missing:
            raise FrameCacheError(
                f"The frame cache in {entry.folder} was changed while it was being opened "
                f"({'; '.join(opened.missing.values())}); start again"
            )
        clips[entry.split] = CachedClips(opened.files)
    return clips


class _Entry:
    """What is wanted of one split, and where it lies."""

    def __init__(self, data: ConfigDict, split: str, modalities: tuple[str, ...]):
        self.split, self.modalities = split, modalities
        self.source: ClipSource = open_split(data, split)
        directory = self.source.directory
        # Two data sets of one name, such as synthetic and real footage, must not take turns in
        # replacing each other's cache.
        place = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:8]
        self.folder = Path(data.cache).expanduser() / (
            f"{data.name}-{data.config}-{directory.name}-{place}"
        )
        infos = b"".join((directory / name).read_bytes() for name in _METADATA)
        self.meaning: dict[str, Any] = {
            "data set": f"{data.name}/{data.config}/{directory.name}",
            "split": split,
            "number of clips": len(self.source),
            "metadata": hashlib.sha256(infos).hexdigest(),
            "record files": [
                [path.name, path.stat().st_size, path.stat().st_mtime_ns]
                for path in sorted(directory.glob("*.array_record*"))
            ],
            # Another version of the decoder may round otherwise.
            "simplejpeg": importlib.metadata.version("simplejpeg"),
        }

    def path(self, modality: str) -> Path:
        # Slices such as "train[:25%]" become names by their letters and digits, and differ by the
        # digest.
        plain = re.sub(r"[^A-Za-z0-9]+", "-", self.split).strip("-")
        if plain != self.split:
            plain += "-" + hashlib.sha256(self.split.encode()).hexdigest()[:8]
        return self.folder / f"{plain}.{modality}.frames"


class _Opened(NamedTuple):
    files: dict[str, FrameFile]
    missing: dict[str, str]


def _open(entry: _Entry, *, tell: bool = False) -> _Opened:
    """Opens what is there and fits; `tell` logs why the rest does not."""
    opened = _Opened({}, {})
    for modality in entry.modalities:
        path = entry.path(modality)
        if not path.is_file():
            opened.missing[modality] = f"{path} is missing"
            continue
        try:
            file = FrameFile(path)
            differing = [
                key for key, value in entry.meaning.items() if file.meaning.get(key) != value
            ]
        except (FrameFileError, OSError) as error:
            reason = f"{path} cannot be read: {error}"
        else:
            if not differing:
                opened.files[modality] = file
                continue
            reason = f"{path} is stale, for another {', another '.join(differing)}"
        opened.missing[modality] = reason
        if tell:
            _log.info("Frame cache: %s; it is made anew", reason)
    return opened


@contextlib.contextmanager
def _only_builder(folder: Path) -> Iterator[None]:
    """Waits until no other process makes caches in this folder. The lock ends with its process."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("Frame cache: another process makes it in %s; waiting", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(".*.partial"):
            _log.info("Frame cache: removing %s, left by an interrupted process", left)
            left.unlink(missing_ok=True)
        yield


def cached_split(data: ConfigDict, split: str, modalities: Sequence[str]) -> CachedClips:
    """Opens, and if need be makes, the cache of one split; see `prepare`."""
    return prepare(data, {split: modalities})[split]
