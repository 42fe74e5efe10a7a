"""A command starts anew for huge pages once, and only where that changes anything."""

import os
import pathlib
import subprocess
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
    mark = {"RGB2IR_JAX_STARTED_WITH_HUGE_PAGES": "1"}
    assert environment == {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", **mark}
    # If the library's variable does not arrive, that was it.
    monkeypatch.setenv(*mark.popitem())
    huge_pages.start_with_huge_pages()
    assert len(starts) == 1


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
    "program",
    [
        ["python"],
        ["python", "train.py"],
        ["python", "x.py", "-m", "rgb2ir_jax.main"],
        ["python", "-m", "pytest", "rgb2ir_jax.main"],
        ["python", "-m", "pdb", "-m", "rgb2ir_jax.main"],
        ["python", "-m", "mpi4py", "-m", "rgb2ir_jax.main"],
        ["python", "-m"],
    ],
)
def test_other_programs_are_left_alone(starts, monkeypatch, program):
    monkeypatch.setattr(sys, "orig_argv", program)
    huge_pages.start_with_huge_pages()
    assert not starts


def test_what_cannot_be_started_again_goes_on(starts, monkeypatch):
    def fail(*_):
        raise FileNotFoundError

    monkeypatch.setattr(os, "execve", fail)
    huge_pages.start_with_huge_pages()
    monkeypatch.setattr(sys, "executable", "")
    huge_pages.start_with_huge_pages()


# What the next interpreter is given, whose place it takes, and what it was given itself.
SHOWS = """
import os, sys
from rgb2ir_jax.launch import huge_pages
huge_pages._left_to_programs = lambda: True
huge_pages.start_with_huge_pages()
print(os.getpid(), os.environ["GLIBC_TUNABLES"], sys.argv[1:])
"""


def test_a_process_is_started_once_more_as_itself(tmp_path):
    root = pathlib.Path(__file__).parents[2]
    # A module by a command's name, found before the package's own.
    package = tmp_path / "rgb2ir_jax"
    package.mkdir()
    (package / "__init__.py").write_text(f"__path__.append({str(root / 'rgb2ir_jax')!r})\n")
    (package / "shows.py").write_text(SHOWS)
    kept = {name: value for name, value in os.environ.items() if "GLIBC" not in name}
    process = subprocess.Popen(
        [sys.executable, "-m", "rgb2ir_jax.shows", "--text=a b", "ü"],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    shown, _ = process.communicate(timeout=60)
    assert shown.splitlines() == [
        f"{process.pid} glibc.malloc.hugetlb=1 ['--text=a b', 'ü']",
    ]


# Two commands cannot be imported together: they define flags of the same names.
FIRST = """
import sys, rgb2ir_jax.{command} as command
command.start_with_huge_pages = lambda: sys.exit(f"started, {{'jax' in sys.modules}}")
command.main([])
"""


@pytest.mark.parametrize("command", ["main", "demo", "reproduce"])
def test_what_trains_starts_so_before_anything_is_loaded(command):
    done = subprocess.run(
        [sys.executable, "-c", FIRST.format(command=command)],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == "started, False"
