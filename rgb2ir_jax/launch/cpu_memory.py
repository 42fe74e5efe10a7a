"""The memory of a training step on CPUs: in large pages, and kept from one step to the next.

XLA takes a step's temporary memory from the C library anew every time, and gives it back. As the
library (glibc) is set, it gives that back to the system, which clears all of it again for the next
step: a hundred thousand pages of 4 kB, or some two hundred of 2 MB (docs/performance.md).
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_collections import ConfigDict

VARIABLE = "GLIBC_TUNABLES"
HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""Has glibc (2.35; older ones do not know it and do nothing) ask for pages of 2 MB."""
KEPT = f"glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold={2**40}"
"""Has glibc keep what the main thread gave back, however large it is."""
_NONE_OF_IT = "glibc.malloc.hugetlb=0"
_POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")
# What the variable was before; that it is there marks the process that was started anew.
_BEFORE = "RGB2IR_JAX_GLIBC_TUNABLES_BEFORE"
_LARGE_MAPS = 2**23
"""Values. Two million (the demo) lose by waiting for steps, 13 million (2 clips of 112x112) gain."""


def start_with_memory_settings() -> bool:
    """Starts this command again in the same process, its C library set for the steps of a training.

    The C library reads its settings before Python runs, so that only a new start can make them. Call it
    before anything is under way. In the process that was started anew it takes them out of the
    environment: other processes that this one starts are for other work.

    Huge pages are asked for where the system leaves the choice to programs. What the variable says
    already stands, and ``glibc.malloc.hugetlb=0`` in it means none of this. Nothing happens either on
    other systems than Linux, when the process is no plain ``python -m rgb2ir_jax.COMMAND``, or if it
    cannot be started again.

    Returns:
        Whether this process keeps memory.
    """
    settings = os.environ.get(VARIABLE, "")
    before = os.environ.pop(_BEFORE, None)
    if before is not None:
        os.environ[VARIABLE] = before
        if not before:
            del os.environ[VARIABLE]
        return KEPT in settings
    missing = _missing(settings)
    if missing and sys.platform == "linux" and sys.executable and _is_command(sys.orig_argv[1:]):
        sys.stdout.flush()
        sys.stderr.flush()
        whole = ":".join([*filter(None, [settings]), *missing])
        environment = {**os.environ, VARIABLE: whole, _BEFORE: settings}
        # Without them the command takes longer, and does the same.
        with contextlib.suppress(OSError):
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    return KEPT in settings


def _missing(settings: str) -> list[str]:
    """What is wanted beside the settings that there are, none of which is changed."""
    if _NONE_OF_IT in settings:
        return []
    missing = []
    if "glibc.malloc.hugetlb=" not in settings and _left_to_programs():
        missing.append(HUGE_PAGES)
    # They are of use together alone.
    if not any(setting.partition("=")[0] in settings for setting in KEPT.split(":")):
        missing.append(KEPT)
    return missing


def _left_to_programs() -> bool:
    """Whether this is a Linux that gives huge pages to those who ask."""
    try:
        return "[madvise]" in _POLICY.read_text()
    except OSError:  # One without them.
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


def largest_maps(config: "ConfigDict") -> int:
    """About how many values the largest maps of a step have, of a run with a teacher and a student."""
    try:
        pixels = config.data.segments * config.data.crop**2
        return max(
            network.batch_size * network.width * pixels
            for network in (config.teacher, config.student)
        )
    except (AttributeError, TypeError):
        # What is wrong with the config, its validation says in a moment.
        return 0


def keep_memory_of_steps(values: int) -> None:
    """Has JAX compute on CPUs in the thread that asks for it, if a step's maps are large.

    glibc keeps large memory for its main thread alone; JAX's own threads would get theirs from the
    system at every step. The price is that Python prepares a step's call while nothing computes, 2 to
    3 ms, which small networks would feel. JAX reads this when it first touches a device: call it before,
    in a process that keeps memory.

    Args:
        values: of the step's largest maps: channels of the stem for every pixel of its frames.
    """
    if values >= _LARGE_MAPS:
        import jax  # Here, so that a mistake in a command is answered at once.

        jax.config.update("jax_cpu_enable_async_dispatch", False)
