"""A command starts anew for huge pages once, and only where that changes anything."""

import os
import sys

import pytest

from rgb2ir_jax.launch import huge_pages

COMMAND = ["python", "-W", "error", "-m", "rgb2ir_jax.main", "--config=a b.py"]


@pytest.fixture
def starts(monkeypatch, tmp_path):
    """The programs that would have been started, on a system that leaves the choice to them."""
    started = []
    policy = tmp_path / "enabled"
    policy.write_text("always [madvise] never\n")
    monkeypatch.setattr(huge_pages, "_POLICY", policy)
    monkeypatch.setattr(sys, "orig_argv", COMMAND)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(os, "execve", lambda *program: started.append(program))
    return started


def test_the_same_command_is_started_with_the_setting(starts, monkeypatch):
    monkeypatch.setenv("SOMETHING", "else")
    huge_pages.start_with_huge_pages()
    [(path, arguments, environment)] = starts
    assert path == arguments[0] == sys.executable
    assert arguments[1:] == COMMAND[1:]
    assert environment == {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def test_other_settings_of_the_library_are_kept(starts, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=2")
    huge_pages.start_with_huge_pages()
    environment = starts[0][2]
    assert environment["GLIBC_TUNABLES"] == "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1"


@pytest.mark.parametrize("policy", ["[always] madvise never", "always madvise [never]"])
def test_where_the_system_decides_nothing_is_started(starts, policy):
    huge_pages._POLICY.write_text(policy)
    huge_pages.start_with_huge_pages()
    assert not starts


def test_where_there_are_none_nothing_is_started(starts):
    huge_pages._POLICY.unlink()
    huge_pages.start_with_huge_pages()
    assert not starts


@pytest.mark.parametrize("choice", ["glibc.malloc.hugetlb=1", "glibc.malloc.hugetlb=0"])
def test_a_choice_that_was_made_stands(starts, monkeypatch, choice):
    monkeypatch.setenv("GLIBC_TUNABLES", choice)
    huge_pages.start_with_huge_pages()
    assert not starts


@pytest.mark.parametrize(
    "program", [["python", "-m", "pytest", "rgb2ir_jax.main"], ["python", "train.py"], ["python"]]
)
def test_other_programs_are_left_alone(starts, monkeypatch, program):
    monkeypatch.setattr(sys, "orig_argv", program)
    huge_pages.start_with_huge_pages()
    assert not starts
