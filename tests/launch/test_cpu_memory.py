"""A command starts anew with settings of the C library once; they keep the memory of a step."""

import os
import pathlib
import platform
import subprocess
import sys

import pytest

from configs import demo, ntu
from rgb2ir_jax.launch import cpu_memory

KEPT = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1099511627776"
COMMAND = ["python", "-W", "error", "-m", "rgb2ir_jax.main", "--config=a b.py"]


@pytest.fixture
def starts(monkeypatch, tmp_path):
    """The programs that would have been started, on a system that leaves the choice to them."""
    started = []
    policy = tmp_path / "enabled"
    policy.write_text("always [madvise] never\n")
    monkeypatch.setattr(cpu_memory, "_POLICY", policy)
    monkeypatch.setattr(sys, "orig_argv", COMMAND)
    for name in ("GLIBC_TUNABLES", "RGB2IR_JAX_GLIBC_TUNABLES_BEFORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "execve", lambda *program: started.append(program))
    return started


def test_the_same_command_is_started_with_the_setting(starts, monkeypatch):
    monkeypatch.setenv("SOMETHING", "else")
    cpu_memory.start_with_memory_settings()
    [(path, arguments, environment)] = starts
    assert path == arguments[0] == sys.executable
    assert arguments[1:] == COMMAND[1:]
    settings = {
        "GLIBC_TUNABLES": f"glibc.malloc.hugetlb=1:{KEPT}",
        "RGB2IR_JAX_GLIBC_TUNABLES_BEFORE": "",
    }
    assert environment == {**os.environ, **settings}


@pytest.mark.parametrize("before", ["", "glibc.malloc.arena_max=2"])
def test_what_was_started_anew_goes_on_and_leaves_no_trace(starts, monkeypatch, before):
    if before:
        monkeypatch.setenv("GLIBC_TUNABLES", before)
    old = dict(os.environ)
    cpu_memory.start_with_memory_settings()
    for name, value in starts.pop()[2].items():
        monkeypatch.setenv(name, value)
    assert cpu_memory.start_with_memory_settings()
    assert not starts
    assert dict(os.environ) == old


def test_other_settings_of_the_library_are_kept(starts, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=2")
    cpu_memory.start_with_memory_settings()
    environment = starts[0][2]
    assert environment["GLIBC_TUNABLES"] == (
        f"glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1:{KEPT}"
    )


@pytest.mark.parametrize("policy", ["[always] madvise never", "always madvise [never]"])
def test_where_the_system_decides_on_pages_memory_is_kept_alone(starts, policy):
    cpu_memory._POLICY.write_text(policy)
    cpu_memory.start_with_memory_settings()
    assert starts[0][2]["GLIBC_TUNABLES"] == KEPT


def test_where_there_are_no_huge_pages_memory_is_kept_alone(starts):
    cpu_memory._POLICY.unlink()
    cpu_memory.start_with_memory_settings()
    assert starts[0][2]["GLIBC_TUNABLES"] == KEPT


def test_other_systems_have_none_of_it(starts, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not cpu_memory.start_with_memory_settings()
    assert not starts


@pytest.mark.parametrize(
    ("choice", "whole"),
    [
        ("glibc.malloc.hugetlb=0", ""),
        ("glibc.malloc.hugetlb=1", f"glibc.malloc.hugetlb=1:{KEPT}"),
        ("glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=5", ""),
        ("glibc.malloc.mmap_max=7", "glibc.malloc.mmap_max=7:glibc.malloc.hugetlb=1"),
        (f"{KEPT}:glibc.malloc.hugetlb=2", ""),
    ],
)
def test_a_choice_that_was_made_stands(starts, monkeypatch, choice, whole):
    monkeypatch.setenv("GLIBC_TUNABLES", choice)
    assert cpu_memory.start_with_memory_settings() == (KEPT in choice)
    assert [environment["GLIBC_TUNABLES"] for *_, environment in starts] == [whole] * bool(whole)


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
    cpu_memory.start_with_memory_settings()
    assert not starts


def test_what_cannot_be_started_again_goes_on(starts, monkeypatch):
    def fail(*_):
        raise FileNotFoundError

    monkeypatch.setattr(os, "execve", fail)
    cpu_memory.start_with_memory_settings()
    monkeypatch.setattr(sys, "executable", "")
    cpu_memory.start_with_memory_settings()


# What the next interpreter is given, whose place it takes, and what it was given itself.
SHOWS = """
import os, sys
from rgb2ir_jax.launch import cpu_memory
given = os.environ.get("GLIBC_TUNABLES")
cpu_memory._left_to_programs = lambda: True
cpu_memory.start_with_memory_settings()
print(os.getpid(), given, "GLIBC_TUNABLES" in os.environ, sys.argv[1:])
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
        f"{process.pid} glibc.malloc.hugetlb=1:{KEPT} False ['--text=a b', 'ü']",
    ]


# Two commands cannot be imported together: they define flags of the same names.
FIRST = """
import sys, rgb2ir_jax.{command} as command
command.start_with_memory_settings = lambda: sys.exit(f"started, {{'jax' in sys.modules}}")
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


# Ends when it is asked to keep memory, saying whether a device was looked at before.
ASKED = """
import sys, rgb2ir_jax.{command} as command
from jax._src import xla_bridge
from rgb2ir_jax.launch.command_line import parse_flags
parse_flags([sys.argv[0], "--workdir=runs/none", *{flags}])
command.start_with_memory_settings = lambda: True
command.keep_memory_of_steps = lambda values: sys.exit(f"{{values}}, {{xla_bridge.backends_are_initialized()}}")
command.main([])
"""


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("main", ["--config=configs/ntu.py:mgcam+dkd"]),
        ("reproduce", ["--config=configs/ntu.py", "--table=1"]),
    ],
)
def test_memory_is_kept_before_a_device_is_looked_at(command, flags):
    done = subprocess.run(
        [sys.executable, "-c", ASKED.format(command=command, flags=flags)],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == f"{16 * 8 * 224**2 * 64}, False"


def test_what_is_wrong_with_a_config_is_left_to_its_validation():
    config = ntu.get_config("mgcam+dkd")
    with config.unlocked():
        del config.teacher.width
    assert cpu_memory.largest_maps(config) == 0


# Takes 96 MB of temporary memory again and again, and prints the pages that it was given each time.
STEPS = """
import ctypes, resource, sys
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # No huge pages, of which there would be few.
from rgb2ir_jax.launch.cpu_memory import keep_memory_of_steps
keep_memory_of_steps(int(sys.argv[1]))
import jax, jax.numpy as jnp
a, b, c = jnp.ones((24 * 1024, 8)), jnp.ones((8, 1024)), jnp.ones((1024, 1))
step = jax.jit(lambda a, b, c: (jnp.maximum(a @ b, 0.5) @ c).sum())
for _ in range(5):
    step(a, b, c).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step(a, b, c).block_until_ready()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 5)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_large_steps_keep_their_memory():
    def pages(values: int, settings: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", STEPS, str(values)],
            cwd=pathlib.Path(__file__).parents[2],
            env={**os.environ, "GLIBC_TUNABLES": settings, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    new = 96 * 2**20 // os.sysconf("SC_PAGESIZE")
    assert pages(2**23, "") > new / 2
    assert pages(2**23, cpu_memory.KEPT) < new / 10
    # JAX's own threads have no part in what is kept.
    assert pages(2**23 - 1, cpu_memory.KEPT) > new / 2


def test_small_steps_are_not_waited_for():
    config = demo.get_config("mgcam+dkd")
    assert cpu_memory.largest_maps(config) == 16 * 2 * 64**2 * 16 < cpu_memory._LARGE_MAPS
    config = ntu.get_config("mgcam+dkd")
    assert cpu_memory.largest_maps(config) == 16 * 8 * 224**2 * 64 > cpu_memory._LARGE_MAPS
