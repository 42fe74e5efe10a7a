"""Large arrays in huge pages, where the system leaves it to programs to ask for them."""

import os
import sys
from pathlib import Path

_POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")
VARIABLE, SETTING = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"


def start_with_huge_pages() -> None:
    """Starts this command again in the same process, its C library asking for huge pages.

    XLA for CPU takes a step's memory anew every time: a hundred thousand pages of 4 kB, which the system
    clears one by one, or some two hundred of 2 MB (docs/performance.md: up to a sixth of a step). The C
    library reads its setting before Python runs, so that only a new start can make it. Call it
    before anything is under way.

    Nothing happens where huge pages are given to all programs or to none, where the variable says already
    whether they are wanted, or when the process is no ``python -m rgb2ir_jax.COMMAND``.
    """
    settings = os.environ.get(VARIABLE, "")
    if "glibc.malloc.hugetlb" in settings or not _left_to_programs() or not _is_command():
        return
    sys.stdout.flush()
    sys.stderr.flush()
    environment = {**os.environ, VARIABLE: f"{settings}:{SETTING}".removeprefix(":")}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _left_to_programs() -> bool:
    """Whether this is a Linux that gives huge pages to those who ask."""
    try:
        return "[madvise]" in _POLICY.read_text()
    except OSError:  # Another system, or a Linux without them.
        return False


def _is_command() -> bool:
    """Whether the interpreter was started for a command of this package."""
    pairs = zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
    return any(flag == "-m" and name.startswith("rgb2ir_jax.") for flag, name in pairs)
