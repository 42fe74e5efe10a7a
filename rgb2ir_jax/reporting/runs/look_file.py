"""What a trained network makes of its test clips, in one file beside it that the report reads.

`looks.npz` holds plain arrays: nothing in it is ever unpickled, and nothing larger than a bound is
read.
"""

import io
import itertools
import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import Float16, Float32, Int32, Int64, UInt8

LOOKS_FILE = "looks.npz"
VERSION = 1

_MOST_BYTES = 256_000_000  # Unpacked.
_MOST_SIDE = 512  # Of a frame, in pixels.
_KINDS = {
    "facts": (np.uint8, 1), "logits": (np.float32, 2), "labels": (np.int32, 1),
    "feature_clips": (np.int32, 1), "features": (np.float16, 2), "examples": (np.int32, 1),
    "mistakes": (np.int32, 1), "shown": (np.int32, 1), "evidence": (np.uint8, 5),
    "jpeg": (np.uint8, 1), "jpeg_ends": (np.int64, 1),
}  # fmt: skip
# Of networks that see enhanced frames.
_ENHANCED = {"enhanced_jpeg": (np.uint8, 1), "enhanced_jpeg_ends": (np.int64, 1)}


class Looks(NamedTuple):
    """A network's view of its test clips. Clips are numbered as the split has them.

    Attributes:
        facts: plain JSON: `version`, `result_sha256` (of the network's result.json), `data_set`,
            `synthetic`, `split`, `protocol`, `modality`, `segments`, `times` (numbers of the frames
            that are shown, among the segments), `sample_ids` (of the clips that are shown),
            `intervals` (of the bootstrap: level, resamples and figures), and `enhance` of a network
            that sees enhanced frames: by what.
        logits: of every tested clip, as the run's own test has them.
        labels: the clips' classes.
        feature_clips: which clips have features.
        features: the pooled last stage, averaged over the clip's frames.
        examples: clips that were chosen by class, whatever the network says of them.
        mistakes: clips that the network named wrong, the most confident one first.
        shown: the clips of both, rising: the rows of `evidence` and `frames`.
        evidence: Grad-CAM as the network's last stage has it, by clip, for the true class and the
            one that was named, and by frame shown; 255 is the clip's greatest value.
        frames: of each clip shown, what the records give to the network, as JPEG.
        enhanced_jpeg: the same frames as its enhancement makes them, one after the other as JPEG; empty
            where it has none.
        enhanced_jpeg_ends: where each of them ends.
    """

    facts: Mapping[str, Any]
    logits: Float32[np.ndarray, "clip classes"]
    labels: Int32[np.ndarray, " clip"]
    feature_clips: Int32[np.ndarray, " featured"]
    features: Float16[np.ndarray, "featured channel"]
    examples: Int32[np.ndarray, " example"]
    mistakes: Int32[np.ndarray, " mistake"]
    shown: Int32[np.ndarray, " shown"]
    evidence: UInt8[np.ndarray, "shown 2 time height width"]
    frames: Sequence[Sequence[bytes]]
    enhanced_jpeg: UInt8[np.ndarray, " byte"] = np.zeros(0, np.uint8)
    enhanced_jpeg_ends: Int64[np.ndarray, " frame"] = np.zeros(0, np.int64)

    @property
    def enhanced(self) -> list[list[bytes]]:
        """Of each clip shown, the frames of `frames` as the network's enhancement makes them."""
        if not len(self.enhanced_jpeg_ends):
            return []
        rows, _, times = self.evidence.shape[:3]
        return _frames(self.enhanced_jpeg, self.enhanced_jpeg_ends, rows, times)

    def row(self, clip: int) -> int:
        """Where a clip that is shown stands in `evidence` and `frames`."""
        return int(np.searchsorted(self.shown, clip))

    def probabilities(self, clip: int) -> np.ndarray:
        """Softmax of a clip's logits, in float64."""
        logits = self.logits[clip].astype(np.float64)
        shares = np.exp(logits - logits.max())
        return shares / shares.sum()


def write_looks(path: Path, looks: Looks) -> None:
    """Writes the file whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    arrays = {name: getattr(looks, name) for name in _KINDS if name in Looks._fields}
    arrays["facts"] = np.frombuffer(json.dumps(dict(looks.facts)).encode(), np.uint8)
    arrays |= joined("jpeg", looks.frames)
    if len(looks.enhanced_jpeg):
        arrays |= {name: getattr(looks, name) for name in _ENHANCED}
    draft = path.with_name(path.name + ".part")
    try:
        with draft.open("wb") as file:
            np.savez_compressed(file, **arrays)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def joined(name: str, clips: Sequence[Sequence[bytes]]) -> dict[str, np.ndarray]:
    """The pictures of clips one after the other under that name, and where each ends, `NAME_ends`."""
    pictures = [picture for clip in clips for picture in clip]
    ends = np.cumsum([len(picture) for picture in pictures], dtype=np.int64)
    return {name: np.frombuffer(b"".join(pictures), np.uint8), f"{name}_ends": ends}


def read_looks(path: Path) -> Looks:
    """Reads what `write_looks` wrote.

    Raises:
        ValueError: the file is not such a one, is damaged, or is larger than any that is written.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
                raise ValueError(f"it unpacks to more than {_MOST_BYTES // 1_000_000} MB")
            kinds = {**_KINDS, **_ENHANCED}
            there = {member.removesuffix(".npy") for member in archive.namelist()}
            names = [name for name in kinds if name in _KINDS or name in there]
            arrays = {name: _read_array(archive, name, kinds[name]) for name in names}
        return _checked(arrays)
    except (
        ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error
    ) as error:  # fmt: skip
        raise ValueError(f"it is damaged or no such file: {str(error)[:150]}") from error


def _read_array(archive: zipfile.ZipFile, name: str, kind_and_axes: tuple[Any, int]) -> np.ndarray:
    data = archive.read(f"{name}.npy")
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"{name} is of another version of NumPy's format")
    shape, column_order, kind = np.lib.format.read_array_header_1_0(file)
    expected, axes = kind_and_axes
    if kind != expected or len(shape) != axes or (column_order and axes > 1):
        raise ValueError(f"{name} is {kind} of shape {shape}")
    # A header may promise any size; memory is taken for what is there.
    if math.prod(shape) * kind.itemsize != len(data) - file.tell():
        raise ValueError(f"{name} is cut off")
    return np.frombuffer(data, kind, offset=file.tell()).reshape(shape)


def _checked(arrays: Mapping[str, np.ndarray]) -> Looks:
    facts = json.loads(arrays["facts"].tobytes())
    if not isinstance(facts, dict) or facts.get("version") != VERSION:
        raise ValueError(f"it does not say that it is of version {VERSION}")
    logits, labels, shown = arrays["logits"], arrays["labels"], arrays["shown"]
    clips, classes = logits.shape
    rows, _, times = arrays["evidence"].shape[:3]
    if len(labels) != clips or not clips or not classes:
        raise ValueError(f"{clips} clips' logits of {classes} classes and {len(labels)} labels")
    if not (np.isfinite(logits).all() and np.isfinite(arrays["features"]).all()):
        raise ValueError("not all of its numbers are finite")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"a label is outside of the {classes} classes")
    for name in ("feature_clips", "shown", "examples", "mistakes"):
        numbers = arrays[name]
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < clips):
            raise ValueError(f"{name} names a clip that was not tested")
    if (np.diff(shown) <= 0).any() or len(arrays["feature_clips"]) != len(arrays["features"]):
        raise ValueError("clips are not in order")
    if not np.isin([*arrays["examples"], *arrays["mistakes"]], shown).all():
        raise ValueError("a clip that is to be shown has no frames")
    if len(shown) != rows or 0 in arrays["evidence"].shape[1:] or arrays["evidence"].shape[1] != 2:
        raise ValueError(f"evidence is of shape {arrays['evidence'].shape} for {len(shown)} clips")
    frames = _frames(arrays["jpeg"], arrays["jpeg_ends"], rows, times)
    if enhanced := set(_ENHANCED) & set(arrays):
        if len(enhanced) != len(_ENHANCED):
            raise ValueError(f"it has {enhanced.pop()} without the other of {', '.join(_ENHANCED)}")
        _frames(arrays["enhanced_jpeg"], arrays["enhanced_jpeg_ends"], rows, times)
    kept = {name: arrays[name] for name in Looks._fields if name in arrays and name != "facts"}
    return Looks(facts=facts, frames=frames, **kept)


def _frames(jpeg: np.ndarray, ends: np.ndarray, rows: int, times: int) -> list[list[bytes]]:
    starts = [0, *ends.tolist()]
    if len(ends) != rows * times or any(np.diff(starts) <= 0) or starts[-1] != len(jpeg):
        raise ValueError(f"{len(ends)} frames of {rows} clips with {times} each")
    pictures = [jpeg[start:end].tobytes() for start, end in itertools.pairwise(starts)]
    for picture in pictures:
        height, width, *_ = simplejpeg.decode_jpeg_header(picture)
        if max(height, width) > _MOST_SIDE:
            raise ValueError(f"a frame of {width} x {height} pixels")
    return [pictures[row * times : (row + 1) * times] for row in range(rows)]
