"""PyTorch's files, written by PyTorch and by hand, whole and damaged.

`tiny_zip.pth` and `tiny_legacy.pth` were written by torch 2.15 with:

    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors = collections.OrderedDict(
        float=base + 0.5, transposed=base.t(), part=base[1:3, 2:5], half=(base[0] / 3).half(),
        double=base[0].double() / 7, bfloat16=(base[0] / 3).bfloat16(), long=torch.tensor(2**40),
        empty=torch.zeros(0, 3), flag=torch.tensor([True, False]),
        parameter=nn.Parameter(torch.tensor([1.5, -2.0])))
    torch.save(tensors, path, _use_new_zipfile_serialization=...)

`tiny_checkpoint_*.pth` are {"epoch": 3, "best": 0.25, "arch": "resnet50", "state_dict": ...,
"optimizer": SGD with momentum} of nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1)) with all values
3 and "module." before the names; `whole_module.pth` is that module itself.
"""

import contextlib
import os
import pickle
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from rgb2ir_jax.models.pretrained.torch_file import read_torch_file

FORMATS = ("zip", "legacy")
ARRAYS = {
    "first": np.arange(12, dtype=np.float32).reshape(3, 4),
    "second": np.arange(5, dtype=np.float64) / 3,
    "count": np.array(7),
    "narrow": np.array([0.5, -2], np.float16),
}


@pytest.fixture
def write(torch_zip, torch_legacy):
    return {"zip": torch_zip, "legacy": torch_legacy}


@pytest.mark.parametrize("kind", FORMATS)
def test_torchs_own_files(torch_data, kind) -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    expected = {
        "float": base + np.float32(0.5),
        "transposed": base.T,
        "part": base[1:3, 2:5],
        "half": (base[0] / np.float32(3)).astype(np.float16),
        "double": base[0].astype(np.float64) / 7,
        "bfloat16": (base[0] / np.float32(3)).astype(jnp.bfloat16),
        "long": np.array(2**40),
        "empty": np.zeros((0, 3), np.float32),
        "flag": np.array([True, False]),
        "parameter": np.array([1.5, -2], np.float32),
    }
    found = read_torch_file(torch_data / f"tiny_{kind}.pth")
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_checkpoint_is_its_state_dict(torch_data, kind) -> None:
    found = read_torch_file(torch_data / f"tiny_checkpoint_{kind}.pth")
    assert sorted(found) == [
        f"module.{name}"
        for name in (
            *("0.bias", "0.weight", "1.bias", "1.num_batches_tracked"),
            *("1.running_mean", "1.running_var", "1.weight"),
        )
    ]
    np.testing.assert_array_equal(found["module.0.weight"], [[3, 3]])
    assert found["module.1.num_batches_tracked"] == 5


def test_a_whole_module_is_refused_by_name(torch_data) -> None:
    with pytest.raises(ValueError, match=r"refused: it asks for torch\.nn\..*Sequential.*executed"):
        read_torch_file(torch_data / "whole_module.pth")


@pytest.mark.parametrize("kind", FORMATS)
def test_handmade_files(tmp_path, write, kind) -> None:
    found = read_torch_file(write[kind](tmp_path / "a.pth", ARRAYS))
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    with pytest.raises(ValueError, match="read-only"):
        found["first"][0] = 1


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_short_anywhere_is_damaged(tmp_path, write, kind) -> None:
    whole = write[kind](tmp_path / "a.pth", ARRAYS).read_bytes()
    cut = tmp_path / "cut.pth"
    for length in [*range(1, len(whole) - 1, 7), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cannot be read as a file of PyTorch"):
            read_torch_file(cut)


@pytest.mark.parametrize("name", ["tiny_zip.pth", "tiny_legacy.pth"])
def test_flipped_bits_raise_value_errors_alone(tmp_path, torch_data, name) -> None:
    whole = (torch_data / name).read_bytes()
    spoilt = tmp_path / "spoilt.pth"
    for position in range(0, len(whole), 13):
        spoilt.write_bytes(
            whole[:position] + bytes([whole[position] ^ 0x41]) + whole[position + 1 :]
        )
        with contextlib.suppress(ValueError):
            read_torch_file(spoilt)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"\0" * 5000, "nothing but zero bytes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "begins with b'version https"),
        (b"<!DOCTYPE html><html>404</html>", "begins with b'<!DOCTYPE"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "begins with b'.*PNG"),
        (pickle.dumps({"a": 1}), "not one of torch.save"),
        (pickle.dumps(np.zeros(3)), r"refused: it asks for numpy\."),
        (b"PK\x03\x04" + b"\0" * 100, "zip archive is damaged"),
    ],
)
def test_other_files_are_told_apart(tmp_path, content, message) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_torch_file(path)


class Malicious:
    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_system_call_is_refused_wherever_it_stands(tmp_path, torch_zip) -> None:
    canary = tmp_path / "canary"
    call = pickle.dumps(Malicious(f"touch {canary}"), 2)
    plain = tmp_path / "plain.pth"
    plain.write_bytes(call)
    nested = torch_zip(tmp_path / "nested.pth", {**ARRAYS, "zz": call[2:-1]})
    inner = torch_zip(tmp_path / "inner.pth", {"state_dict": b"}X\x01\0\0\0a" + call[2:-1] + b"s"})
    legacy = tmp_path / "legacy.pth"
    head = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    system = b"\x80\x02}X\x0d\0\0\0little_endian\x88s."
    legacy.write_bytes(head + system + call)
    protocol_0 = tmp_path / "protocol_0.pth"
    protocol_0.write_bytes(pickle.dumps(Malicious(f"touch {canary}"), 0))
    for path in (plain, nested, inner, legacy, protocol_0):
        with pytest.raises(
            ValueError, match=rf"refused: it asks for {os.system.__module__}\.system"
        ):
            read_torch_file(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    "lies",
    [
        {"size": (4, 4)},
        {"offset": 1},
        {"stride": (4, 2)},
        {"size": (12,), "stride": (2,)},
        {"size": (3, 4, 1000), "stride": (4, 1, 0)},  # A thousandfold in memory.
        {"size": (2**40,), "stride": (0,)},
        {"size": (-3, -4)},
        {"offset": -1},
        {"size": (1,) * 9, "stride": (1,) * 9},
        {"size": (12,)},
        {"numel": 11},
        {"numel": 2**40, "size": (2**30,), "stride": (1,)},
    ],
)
def test_views_that_reach_beyond_their_storage(tmp_path, torch_zip, pickled_tensor, lies) -> None:
    tensor = pickled_tensor("0", ARRAYS["first"], **lies)
    with pytest.raises(ValueError, match="cannot be read as a file of PyTorch"):
        read_torch_file(torch_zip(tmp_path / "a.pth", {"x": tensor}))


def test_views_may_overlap_within_their_storage(tmp_path, torch_zip, pickled_tensor) -> None:
    tensor = pickled_tensor("0", ARRAYS["first"], offset=2, size=(3, 2), stride=(3, 3))
    found = read_torch_file(torch_zip(tmp_path / "a.pth", {"x": tensor}))["x"]
    np.testing.assert_array_equal(found, [[2, 5], [5, 8], [8, 11]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": zipfile.ZIP_DEFLATED}, "is compressed, which torch.save never does"),
        ({"members": {"byteorder": b"big"}}, "big-endian"),
        ({"members": {"constants.pkl": b""}}, "TorchScript"),
        ({"members": {"../../evil": b"x"}}, r"member named 'archive/\.\./\.\./evil'"),
        ({"members": {"/etc/passwd": b"x"}}, "member named '/etc/passwd'"),
        ({"members": {"data/0": b"\0" * 8}}, "storage 0 has 8 bytes, expected 12 numbers"),
        ({"members": {"data.pkl": b"\x80\x02]" * 2**23}}, "data.pkl has 25165824 bytes"),
        ({"folder": "a/b"}, "another kind of zip"),
    ],
)
def test_archives_that_torch_would_not_write(tmp_path, torch_zip, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        read_torch_file(torch_zip(tmp_path / "a.pth", ARRAYS, **options))


def test_a_bomb_is_refused_before_it_is_read(tmp_path, torch_zip) -> None:
    path = torch_zip(
        tmp_path / "bomb.pth",
        {},
        members={"data/0": b"\0" * 50_000_000},
        compression=zipfile.ZIP_DEFLATED,
    )
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="compressed"):
        read_torch_file(path)


def test_two_members_of_one_name(tmp_path, torch_zip) -> None:
    path = torch_zip(tmp_path / "a.pth", ARRAYS)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data/0", b"")
    with pytest.raises(ValueError, match="two members of one name"):
        read_torch_file(path)


def test_big_endian_files_of_old_are_refused(tmp_path, torch_legacy) -> None:
    with pytest.raises(ValueError, match="big-endian"):
        read_torch_file(torch_legacy(tmp_path / "a.pth", ARRAYS, little_endian=False))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "it is empty"),
        ({"epoch": b"K\x03"}, "no tensors: epoch"),
        ({**ARRAYS, "step": b"K\x03"}, "no tensors: step"),
    ],
)
def test_files_without_a_state_dict(tmp_path, torch_zip, entries, message) -> None:
    with pytest.raises(ValueError, match=message):
        read_torch_file(torch_zip(tmp_path / "a.pth", entries))
