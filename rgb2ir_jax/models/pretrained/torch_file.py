"""Reads the tensors of what `torch.save` writes, without PyTorch and without executing anything.

Two containers exist: since PyTorch 1.6 a zip archive with a pickle (``data.pkl``) and one member for
each storage, before that one stream of five pickles followed by the storages. Both pickles build
tensors as views (offset, size, stride) of storages.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rgb2ir_jax.models.pretrained.restricted_pickle import (
    DamagedError,
    ForeignNameError,
    RefusedError,
    checked_mapping,
    read_pickle,
)

MAX_FILE = 2**31
MAX_PICKLE = 2**24
"""Bytes. A ResNet101's pickle has 0.1 MB; what a pickle holds takes many times its size in memory."""

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAX_RANK = 8
_ZIP_ERRORS = (zipfile.BadZipFile, NotImplementedError, OSError, ValueError)
_NESTED = ("state_dict", "model_state_dict", "model", "network", "net")


class _StorageType(NamedTuple):
    dtype: np.dtype


class _Storage(NamedTuple):
    """`length` elements from `start` of the storage of that key."""

    key: str
    dtype: np.dtype
    length: int
    start: int = 0


class _View(NamedTuple):
    """A tensor: element (i, j, ...) is the storage's at offset + i * stride[0] + j * stride[1] + ..."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _is_size(number: Any) -> bool:
    return type(number) is int and 0 <= number <= MAX_FILE


def _rebuild_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, *_hooks_and_metadata: Any
) -> _View:
    whole = all(
        isinstance(numbers, tuple) and all(map(_is_size, numbers))
        for numbers in (size, stride, (offset,))
    )
    if not isinstance(storage, _Storage) or not whole or len(size) != len(stride):
        raise DamagedError("a tensor in it has no valid storage, offset, size and stride")
    if len(size) > _MAX_RANK:
        raise DamagedError(f"a tensor in it has {len(size)} axes, expected at most {_MAX_RANK}")
    return _View(storage, offset, size, stride)


def _rebuild_parameter(data: Any, *_gradient_and_hooks: Any) -> Any:
    return data


def _ordered_dict(items: Any = ()) -> dict[Any, Any]:
    return checked_mapping(items)


_DTYPES = {
    "Double": np.float64,
    "Float": np.float32,
    "Half": np.float16,
    "BFloat16": jnp.bfloat16,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
}
_CONSTRUCTORS: dict[str, Any] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _rebuild_tensor,  # Before PyTorch 0.4.
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    **{
        f"{module}.{name}Storage": _StorageType(np.dtype(dtype).newbyteorder("<"))
        for module in ("torch", "torch.cuda")
        for name, dtype in _DTYPES.items()
    },
}


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a `.pth` file's state dict, which may lie under "state_dict" or "model".

    Args:
        path: written by `torch.save`, in either format.

    Returns:
        The tensors by their names, read-only, in the file's dtypes.

    Raises:
        ValueError: the file is no such file, is damaged, or its pickle asks for anything but
            tensors, which is named and not executed.
    """
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path} is empty (0 bytes); download or copy it again")
    if size > MAX_FILE:
        raise ValueError(
            f"{path} has {size} bytes, more than the {MAX_FILE} of any ResNet's weights"
        )
    try:
        with path.open("rb") as file:
            views, load = _read_zip(file, size) if _is_zip(file) else _read_legacy(file, size)
            return _materialise(views, load)
    except RefusedError as error:
        raise ValueError(
            f"{path} is refused: {error}, and a file of weights holds tensors alone; nothing of it was "
            "executed. If you trust its author, open it in PyTorch and save its state dict: "
            "torch.save(model.state_dict(), 'weights.pth')"
        ) from error
    except DamagedError as error:
        raise ValueError(
            f"{path} cannot be read as a file of PyTorch: {error}; download or copy it again"
        ) from error


def _is_zip(file: io.BufferedReader) -> bool:
    head = file.read(4)
    file.seek(0)
    return head == b"PK\x03\x04"


_Load = Callable[[_Storage], np.ndarray]


def _read_zip(file: io.BufferedReader, file_size: int) -> tuple[Mapping[str, _View], _Load]:
    try:
        archive = zipfile.ZipFile(file)
        members = {member.filename: member for member in archive.infolist()}
    except _ZIP_ERRORS as error:
        raise DamagedError(f"its zip archive is damaged or cut short ({error})") from error
    prefix = _check_members(archive.infolist(), file_size)

    def member(name: str, limit: int) -> bytes:
        info = members.get(f"{prefix}/{name}")
        if info is None:
            raise DamagedError(f"its archive has no member {name}")
        if info.file_size > limit:
            raise RefusedError(
                f"its member {name} has {info.file_size} bytes, expected at most {limit}"
            )
        try:
            return archive.read(info)
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            OSError,
            RuntimeError,
            ValueError,
        ) as error:
            raise DamagedError(f"its member {name} is damaged ({error})") from error

    if f"{prefix}/byteorder" in members and member("byteorder", 16) != b"little":
        raise RefusedError("it was written by a big-endian machine")

    def persistent(reference: Any) -> _Storage:
        if len(reference) != 5:
            raise DamagedError("a reference to a storage has not five parts")
        return _storage(reference)

    def load(storage: _Storage) -> np.ndarray:
        data = member(f"data/{storage.key}", file_size)
        if len(data) != storage.length * storage.dtype.itemsize:
            raise DamagedError(
                f"storage {storage.key} has {len(data)} bytes, expected {storage.length} numbers of "
                f"{storage.dtype}"
            )
        return np.frombuffer(data, storage.dtype)

    stream = io.BytesIO(member("data.pkl", MAX_PICKLE))
    return _state_dict(read_pickle(stream, _CONSTRUCTORS, persistent)), load


def _check_members(infos: list[zipfile.ZipInfo], file_size: int) -> str:
    """The folder that all members lie in, after a look at their names and sizes."""
    names = [info.filename for info in infos]
    for info in infos:
        parts = info.filename.split("/")
        if len(parts) < 2 or ".." in parts or "" in parts or "\\" in info.filename:
            raise RefusedError(f"its archive has a member named {info.filename!r}")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise RefusedError(
                f"its member {info.filename} is compressed, which torch.save never does"
            )
    if len(set(names)) != len(names):
        raise RefusedError("its archive has two members of one name")
    if sum(info.file_size for info in infos) > file_size:
        raise RefusedError(f"its members claim more bytes than the file's {file_size}")
    prefixes = {name.partition("/")[0] for name in names}
    if len(prefixes) != 1 or f"{min(prefixes)}/data.pkl" not in names:
        raise DamagedError(
            "its archive has no data.pkl in its one folder: it is another kind of zip"
        )
    prefix = min(prefixes)
    if f"{prefix}/constants.pkl" in names:
        raise RefusedError("it is a TorchScript program")
    return prefix


def _read_legacy(file: io.BufferedReader, file_size: int) -> tuple[Mapping[str, _View], _Load]:
    stream = io.BytesIO(file.read(MAX_PICKLE))
    dtypes: dict[str, np.dtype] = {}

    def persistent(reference: Any) -> _Storage:
        storage = _legacy_storage(reference)
        if dtypes.setdefault(storage.key, storage.dtype) != storage.dtype:
            raise DamagedError(f"storage {storage.key} is said to be of two types")
        return storage

    try:
        if read_pickle(stream, _CONSTRUCTORS) != _LEGACY_MAGIC:
            raise DamagedError("it is a pickle, but not one of torch.save")
        if read_pickle(stream) != _LEGACY_PROTOCOL:
            raise DamagedError("it is of an unknown version of torch.save")
        system = read_pickle(stream)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise RefusedError("it was written by a big-endian machine")
        content = read_pickle(stream, _CONSTRUCTORS, persistent)
        keys = read_pickle(stream)
    except ForeignNameError:
        raise
    except (DamagedError, RefusedError) as error:
        if stream.getvalue()[:1] != pickle.PROTO:
            raise DamagedError(f"it {_beginning(stream.getvalue())}") from error
        raise
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise DamagedError("its list of storages is damaged")
    views = _state_dict(content)
    # Positions first: a storage's bytes follow its number of elements.
    places: dict[str, tuple[int, int]] = {}
    position = stream.tell()
    for key in keys:
        file.seek(position)
        head = file.read(8)
        count = int.from_bytes(head, "little")
        if key not in dtypes:
            raise DamagedError(f"its storage {key!r} belongs to no tensor")
        length = count * dtypes[key].itemsize
        position += 8 + length
        if len(head) < 8 or position > file_size:
            raise DamagedError(f"it ends within storage {key}")
        places[key] = (position - length, count)

    def load(storage: _Storage) -> np.ndarray:
        start, count = places.get(storage.key, (0, -1))
        if storage.start + storage.length > count:
            raise DamagedError(
                f"storage {storage.key} is not there, or shorter than its tensors say"
            )
        file.seek(start + storage.start * storage.dtype.itemsize)
        data = file.read(storage.length * storage.dtype.itemsize)
        return np.frombuffer(data, storage.dtype)

    return views, load


def _beginning(head: bytes) -> str:
    if not head.strip(b"\0"):
        return "is nothing but zero bytes"
    return f"begins with {head[:24]!r}, as no file of torch.save does"


def _storage(reference: Any) -> _Storage:
    kind, storage_type, key, _location, count = reference[:5]
    if kind != "storage" or not isinstance(storage_type, _StorageType):
        raise DamagedError("it refers to something that is no storage")
    if not isinstance(key, str) or not _is_size(count):
        raise DamagedError("a reference to a storage is damaged")
    return _Storage(key, storage_type.dtype, count)


def _legacy_storage(reference: Any) -> _Storage:
    storage = _storage(reference)
    part = reference[5] if len(reference) > 5 else None
    if part is None:
        return storage
    _, offset, count = part
    if not (_is_size(offset) and _is_size(count)):
        raise DamagedError("a part of a storage is damaged")
    if offset + count > storage.length:
        raise DamagedError("a part of a storage reaches beyond it")
    return storage._replace(start=offset, length=count)


def _state_dict(content: Any) -> dict[str, _View]:
    """The mapping of names to tensors, from under "state_dict" or the like."""
    for _ in range(len(_NESTED)):
        nested = next(
            (
                content[k]
                for k in _NESTED
                if isinstance(content, dict) and isinstance(content.get(k), dict)
            ),
            None,
        )
        if nested is None:
            break
        content = nested
    if not isinstance(content, dict):
        raise DamagedError(f"it holds a {type(content).__name__}, expected a state dict")
    others = [str(name) for name, value in content.items() if not isinstance(value, _View)]
    if others or not content:
        raise DamagedError(
            "it holds no state dict: "
            + (
                f"these entries are no tensors: {', '.join(others[:8])}"
                if others
                else "it is empty"
            )
        )
    if not all(isinstance(name, str) for name in content):
        raise DamagedError("its tensors' names are no text")
    return content


def _materialise(views: Mapping[str, _View], load: _Load) -> dict[str, np.ndarray]:
    storages: dict[_Storage, np.ndarray] = {}
    tensors = {}
    for name, (storage, offset, size, stride) in views.items():
        count = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        # More elements than the storage has would be a small file that fills the memory.
        if count and (last >= storage.length or count > storage.length):
            raise DamagedError(
                f"the tensor {name} (shape {size}, offset {offset}, stride {stride}) reaches beyond its "
                f"storage of {storage.length} numbers"
            )
        if count == 0:
            tensors[name] = np.zeros(size, storage.dtype)
            continue
        if storage not in storages:
            storages[storage] = load(storage)
        data = storages[storage]
        tensors[name] = np.lib.stride_tricks.as_strided(
            data[offset:], size, [step * data.itemsize for step in stride], writeable=False
        )
    return tensors
