"""Where a benchmark runs that must not need more than JAX: the machine, and what its card could do."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import usable_cores


class Peak(NamedTuple):
    """What a card could do at most, by its maker.

    Attributes:
        flops: bfloat16 products a second on the tensor cores, without sparsity, 2 a multiply-add.
        bytes_per_second: of its memory.
    """

    flops: float
    bytes_per_second: float


PEAKS = {
    "NVIDIA H200": Peak(989e12, 4.8e12),
    "NVIDIA H100 80GB HBM3": Peak(989e12, 3.35e12),
    "NVIDIA H100 PCIe": Peak(756e12, 2.0e12),
    "NVIDIA A100-SXM4-80GB": Peak(312e12, 2.039e12),
    "NVIDIA A100-SXM4-40GB": Peak(312e12, 1.555e12),
}
"""By JAX's `device_kind`."""


def has_gpu() -> bool:
    """Whether an NVIDIA driver is loaded; nothing of the GPU is touched."""
    return Path("/proc/driver/nvidia").exists() and os.environ.get("JAX_PLATFORMS", "") != "cpu"


def describe_here(*packages: str) -> dict[str, Any]:
    """As `machine.describe_machine`, of these packages alone; one that is absent is said to be."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
