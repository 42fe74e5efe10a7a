"""Zero-DCE's weights from files: the authors' names, PyTorch's two formats, and what is no such file."""

import numpy as np
import pytest
from flax import nnx

from rgb2ir_jax.models.enhancement.weights import (
    digest,
    read_zero_dce,
    write_zero_dce,
    zero_dce_tensors,
)
from rgb2ir_jax.models.enhancement.zero_dce import ZeroDCE


@pytest.fixture(scope="module")
def tensors():
    return zero_dce_tensors(ZeroDCE(rngs=nnx.Rngs(5)))


def test_the_authors_file_is_read_in_both_formats_of_pytorch(
    tensors, tmp_path, torch_zip, torch_legacy
):
    files = [
        torch_zip(tmp_path / "Epoch99.pth", tensors),
        torch_legacy(tmp_path / "old.pth", tensors),
        torch_zip(tmp_path / "parallel.pth", {f"module.{n}": t for n, t in tensors.items()}),
    ]
    write_zero_dce(tmp_path / "ours.safetensors", tensors, {"data_set": "x"})
    for file in (*files, tmp_path / "ours.safetensors"):
        found = read_zero_dce(file)
        assert set(found) == set(tensors)
        assert all(np.array_equal(found[name], tensor) for name, tensor in tensors.items())
        assert digest(found) == digest(tensors)


def test_what_is_no_zero_dce_is_said(tensors, tmp_path, torch_zip):
    def refuse(content, message):
        file = torch_zip(tmp_path / "wrong.pth", content)
        with pytest.raises(ValueError, match=message):
            read_zero_dce(file)

    less = {name: tensor for name, tensor in tensors.items() if name != "e_conv3.bias"}
    refuse(less, "wrong.pth does not hold Zero-DCE's weights: e_conv3.bias is missing")
    refuse({**tensors, "fc.weight": np.ones((2, 2), np.float32)}, "fc.weight is unexpected")
    wide = {**tensors, "e_conv7.bias": np.ones(3, np.float32)}
    refuse(wide, r"e_conv7.bias has the shape \(3,\), expected \(24,\)")
    refuse({**tensors, "e_conv1.bias": np.full(32, np.nan, np.float32)}, "not finite")
    with pytest.raises(ValueError, match=r"there is no file .*expected Zero-DCE's weights"):
        read_zero_dce(tmp_path / "nowhere.pth")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="is empty"):
        read_zero_dce(tmp_path / "empty.safetensors")
