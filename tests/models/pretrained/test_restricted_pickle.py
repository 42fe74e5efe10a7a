"""The restricted reader against the standard one, and against files that want more than tensors."""

import builtins
import contextlib
import io
import os
import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.models.pretrained import restricted_pickle
from rgb2ir_jax.models.pretrained.restricted_pickle import (
    DamagedError,
    RefusedError,
    read_pickle,
)

_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=300)
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def read(data: bytes, **options):
    return read_pickle(io.BytesIO(data), **options)


@given(_TREES, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_reads_what_pickle_writes(tree, protocol) -> None:
    twice = [tree, tree]  # The second one is read from the memo.
    assert read(pickle.dumps(twice, protocol)) == twice


def test_stops_behind_its_pickle() -> None:
    stream = io.BytesIO(pickle.dumps([1], 2) + pickle.dumps({"a": 2}, 4) + b"rest")
    assert (read_pickle(stream), read_pickle(stream), stream.read()) == ([1], {"a": 2}, b"rest")


class Reduces:
    def __init__(self, function, *arguments):
        self.made_by = function, arguments

    def __reduce__(self):
        return self.made_by


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"state_dict": {"fc.weight": [(1, x)]}}])
def test_calls_are_refused_by_name_and_not_made(tmp_path, protocol, wrap) -> None:
    canary = tmp_path / "canary"
    for function, argument, name in (
        (os.system, f"touch {canary}", f"{os.system.__module__}.system"),
        (builtins.eval, f"open({str(canary)!r}, 'w')", r"(__builtin__|builtins)\.eval"),
        (os.mkdir, str(canary), f"{os.mkdir.__module__}.mkdir"),
    ):
        with pytest.raises(RefusedError, match=f"it asks for {name}"):
            read(pickle.dumps(wrap(Reduces(function, argument)), protocol))
    assert not canary.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"(S'touch x'\nios\nsystem\n.", r"os\.system"),  # INST
        (b"(cos\nsystem\nS'touch x'\no.", r"os\.system"),  # OBJ
        (b"\x80\x02cbuiltins\nobject\n)\x81.", r"builtins\.object"),  # NEWOBJ
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x01x\x85R.", r"posix\.system"),
        (b"\x80\x02c__main__\nx.__class__\n.", r"__main__\.x\.__class__"),
        (b"P12\n.", "PERSID"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "outside of its pickle"),
    ],
)
def test_other_ways_to_call_are_refused(data, message) -> None:
    with pytest.raises(RefusedError, match=message):
        read(data)


def test_only_given_constructors_are_called_and_states_are_dropped() -> None:
    data = b"\x80\x02cours\nmake\nK\x07\x85R}X\x01\x00\x00\x00aK\x01sb."
    made = read(data, constructors={"ours.make": lambda n: {"made": n}})
    assert made == {"made": 7}
    with pytest.raises(DamagedError, match="cannot be called"):
        read(data, constructors={"ours.make": "a marker"})
    # A state for a function or a class would change it for good.
    victim = Reduces
    with pytest.raises(DamagedError):
        read(
            b"\x80\x02cours\nmake\nN}X\x0a\x00\x00\x00__reduce__K\x01s\x86bR.",
            constructors={"ours.make": victim},
        )
    assert callable(victim.__reduce__)


def test_small_files_do_not_fill_the_memory(monkeypatch) -> None:
    # A place far behind in the memo, for which CPython's unpickler reserves 64 GB.
    assert read(b"\x80\x02]r\xff\xff\xff\xff0K\x01.") == 1
    with pytest.raises(DamagedError):
        read(b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"abc.")
    monkeypatch.setattr(restricted_pickle, "MAX_INSTRUCTIONS", 1000)
    with pytest.raises(RefusedError, match="more than 1000 pickle instructions"):
        read(b"\x80\x02" + b"]" * 1000 + b".")


def test_a_tower_of_tuples_is_no_key() -> None:
    with pytest.raises(DamagedError, match="tuple as a key"):
        read(b"\x80\x02})" + b"\x85" * 50_000 + b"K\x01s.")


def test_every_beginning_of_a_pickle_is_damaged() -> None:
    data = pickle.dumps({"a": [1, 2.5, ("b", None)], "c": {"d": True}}, 2)
    for length in range(len(data)):
        with pytest.raises(DamagedError):
            read(data[:length])


@given(st.binary(max_size=60))
def test_noise_raises_nothing_else(noise) -> None:
    with contextlib.suppress(DamagedError, RefusedError):
        read(b"\x80\x02" + noise)
