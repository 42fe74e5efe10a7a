"""Large arrays in huge pages, where the system leaves it to programs to ask for them."""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

VARIABLE, SETTING = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"
"""What asks glibc's malloc for huge pages (glibc 2.35; others do not know it and do nothing)."""
_POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")
# Whatever becomes of the library's variable, nothing starts twice.
_MARK = "RGB2IR_JAX_STARTED_WITH_HUGE_PAGES"


def start_with_huge_pages() -> None:
    """Starts this command again in the same process, its C library asking for huge pages.

    XLA for CPU takes a step's memory anew every time: a hundred thousand pages of 4 kB, which the system
    clears one by one, or some two hundred of 2 MB (docs/performance.md: up to a sixth of a step). The C
    library reads its setting before Python runs, so that only a new start can make it. Call it
    before anything is under way.

    Nothing happens where huge pages are given to all programs or to none, where the variable says already
    whether they are wanted, when the process is no plain ``python -m rgb2ir_jax.COMMAND``, or if it
    cannot be started again. Processes that it starts have the setting too.
    """
    settings = os.environ.get(VARIABLE, "")
    if "glibc.malloc.hugetlb" in settings or _MARK in os.environ or not sys.executable:
        return
    if not _left_to_programs() or not _is_command(sys.orig_argv[1:]):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    environment = {**os.environ, VARIABLE: f"{settings}:{SETTING}".removeprefix(":"), _MARK: "1"}
    # Without them the command takes longer, and does the same.
    with contextlib.suppress(OSError):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _left_to_programs() -> bool:
    """Whether this is a Linux that gives huge pages to those who ask."""
    try:
        return "[madvise]" in _POLICY.read_text()
    except OSError:  # Another system, or a Linux without them.
        return False


def _is_command(arguments: Sequence[str]) -> bool:
    """Whether the interpreter itself runs a command of this package, with no debugger between."""
    rest = iter(arguments)
    for argument in rest:
        if argument == "-m":
            return next(rest, "").startswith("rgb2ir_jax.")
        if argument in ("-W", "-X"):
            next(rest, None)
        elif not argument.startswith("-"):
            return False
    return False
