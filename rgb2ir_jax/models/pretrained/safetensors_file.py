"""Reads and writes `.safetensors`: a JSON header and raw tensors, nothing that could be executed."""

from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

MAX_FILE = 2**31

_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads all tensors of a file, bfloat16 too, which the format's own NumPy reader cannot.

    Raises:
        ValueError: the file is empty or damaged, its header does not agree with its size, or it holds
            tensors of a type that no network has.
    """
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path} is empty (0 bytes); download or copy it again")
    if size > MAX_FILE:
        raise ValueError(
            f"{path} has {size} bytes, more than the {MAX_FILE} of any ResNet's weights"
        )
    try:
        entries = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} is no safetensors file, or damaged ({error}); download or copy it again"
        ) from error
    tensors = {}
    for name, entry in entries:
        if entry["dtype"] not in _DTYPES:
            raise ValueError(
                f"{path}: the tensor {name} is of type {entry['dtype']}, expected one of {', '.join(_DTYPES)}"
            )
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        tensors[name] = np.frombuffer(entry["data"], dtype).reshape(entry["shape"])
    return tensors


def write_safetensors(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes tensors and a text for each key of `metadata`, so that a reader never sees half a file.

    "format": "pt" is added, which says that kernels are OIHW and lets `transformers` open the file.
    """
    draft = path.with_name(path.name + ".part")
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    # Scalars become vectors of one number in np.ascontiguousarray.
    shaped = {name: array.reshape(tensors[name].shape) for name, array in contiguous.items()}
    draft.write_bytes(safetensors.numpy.save(shaped, {"format": "pt", **metadata}))
    draft.replace(path)
