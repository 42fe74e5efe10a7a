"""Writers of PyTorch's file formats, made of their published description, without PyTorch."""

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

_STORAGES = {
    "float32": b"FloatStorage",
    "float64": b"DoubleStorage",
    "float16": b"HalfStorage",
    "int64": b"LongStorage",
}


def _text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def _numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_number, values)) + b"t"


class PickledTensor:
    """One tensor as torch pickles it; any of its numbers can be told wrong."""

    def __init__(self, key: str, array: np.ndarray, **lies):
        strides = tuple(step // array.itemsize for step in array.strides)
        self.key, self.array = key, array
        self.facts = {
            "numel": array.size,
            "offset": 0,
            "size": array.shape,
            "stride": strides,
            **lies,
        }

    def instructions(self) -> bytes:
        facts, kind = self.facts, _STORAGES[self.array.dtype.name]
        storage = (
            b"((" + _text("storage") + b"ctorch\n" + kind + b"\n" + _text(self.key) + _text("cpu")
        )
        return (
            b"ctorch._utils\n_rebuild_tensor_v2\n"
            + storage
            + _number(facts["numel"])
            + b"tQ"
            + _number(facts["offset"])
            + _numbers(facts["size"])
            + _numbers(facts["stride"])
            + b"\x89ccollections\nOrderedDict\n)RtR"
        )


def _pickle(entries: Mapping[str, PickledTensor | bytes]) -> bytes:
    body = b"".join(
        _text(name) + (entry if isinstance(entry, bytes) else entry.instructions()) + b"s"
        for name, entry in entries.items()
    )
    return b"\x80\x02}" + body + b"."


def write_zip(
    path: Path,
    tensors: Mapping[str, np.ndarray | PickledTensor | bytes],
    *,
    members: Mapping[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
    folder: str = "archive",
) -> Path:
    """What torch.save writes since 1.6; an entry of bytes is put into the pickle as it is."""
    entries = {
        name: PickledTensor(str(i), np.asarray(value, order="C"))
        if isinstance(value, np.ndarray)
        else value
        for i, (name, value) in enumerate(tensors.items())
    }
    content = {"data.pkl": _pickle(entries), "byteorder": b"little", "version": b"3\n"}
    for entry in entries.values():
        if isinstance(entry, PickledTensor):
            content[f"data/{entry.key}"] = entry.array.tobytes()
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in (content | dict(members or {})).items():
            archive.writestr(name if name.startswith("/") else f"{folder}/{name}", data)
    return path


def write_legacy(path: Path, tensors: Mapping[str, np.ndarray], *, little_endian=True) -> Path:
    """What torch.save wrote before 1.6."""
    entries = {
        name: PickledTensor(str(i), np.asarray(value, order="C"))
        for i, (name, value) in enumerate(tensors.items())
    }
    keys = b"(" + b"".join(_text(entry.key) for entry in entries.values()) + b"l"
    # A storage's reference has a sixth part here: which view it is, None.
    content = _pickle(entries).replace(b"tQ", b"NtQ")
    system = b"\x80\x02}" + _text("little_endian") + (b"\x88" if little_endian else b"\x89") + b"s."
    with path.open("wb") as file:
        file.write(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")
        file.write(system + content + b"\x80\x02" + keys + b".")
        for entry in entries.values():
            file.write(struct.pack("<q", entry.array.size) + entry.array.tobytes())
    return path


@pytest.fixture(scope="session")
def torch_zip():
    return write_zip


@pytest.fixture(scope="session")
def torch_legacy():
    return write_legacy


@pytest.fixture(scope="session")
def pickled_tensor():
    return PickledTensor


@pytest.fixture(scope="session")
def torch_data() -> Path:
    """Files that torch 2.15 wrote: `tiny_*.pth` in both formats, `whole_module.pth`."""
    return Path(__file__).parents[1] / "data"
