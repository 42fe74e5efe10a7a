"""Files written by the format's own package and by hand."""

import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from rgb2ir_jax.models.pretrained.safetensors_file import read_safetensors, write_safetensors


def by_hand(header: object, data: bytes, length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def test_what_is_written_is_read_by_the_package_and_by_us(tmp_path) -> None:
    rng = np.random.default_rng(0)
    tensors = {
        "kernel": rng.random((3, 2, 5, 5), np.float32).transpose(3, 2, 0, 1),
        "vector": rng.random(7),
        "count": np.array(11),
        "half": rng.random((2, 3)).astype(np.float16),
    }
    path = tmp_path / "a.safetensors"
    write_safetensors(path, tensors, {"class_names": '["a"]'})
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
    for found in (safetensors.numpy.load_file(path), read_safetensors(path)):
        assert set(found) == set(tensors)
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(found[name], tensor, strict=True)
    with safetensors.safe_open(path, "np") as opened:
        assert opened.metadata() == {"format": "pt", "class_names": '["a"]'}


def test_bfloat16(tmp_path) -> None:
    # 1.0, -2.5 and 3.140625: the upper halves of the float32 numbers.
    data = struct.pack("<3H", 0x3F80, 0xC020, 0x4049)
    header = {"x": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
    path = tmp_path / "a.safetensors"
    path.write_bytes(by_hand(header, data))
    found = read_safetensors(path)["x"]
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found.astype(np.float32), [1, -2.5, 3.140625])


GOOD = {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"\0" * 1000, "no safetensors file, or damaged"),
        (b"some text that was renamed", "no safetensors file, or damaged"),
        (by_hand(GOOD, b"\0" * 7), "no safetensors file, or damaged"),
        (by_hand(GOOD, b"\0" * 8)[:-20], "no safetensors file, or damaged"),
        (by_hand(GOOD, b"\0" * 8, length=2**62), "no safetensors file, or damaged"),
        (by_hand({"x": {**GOOD["x"], "shape": [2**40]}}, b"\0" * 8), "or damaged"),
        (by_hand({"x": {**GOOD["x"], "data_offsets": [0, 2**50]}}, b"\0" * 8), "or damaged"),
        (by_hand({"x": {**GOOD["x"], "data_offsets": [-8, 8]}}, b"\0" * 8), "or damaged"),
        (by_hand({"x": GOOD["x"], "y": GOOD["x"]}, b"\0" * 8), "or damaged"),
        (by_hand({"x": {**GOOD["x"], "dtype": "F99"}}, b"\0" * 8), "or damaged"),
        (by_hand({"x": {**GOOD["x"], "dtype": "U32"}}, b"\0" * 8), "x is of type U32, expected"),
    ],
)
def test_headers_that_lie(tmp_path, content, message) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_safetensors(path)
