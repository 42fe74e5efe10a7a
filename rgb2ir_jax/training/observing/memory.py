"""How much memory a run has taken."""

import resource
import sys
from typing import Any

import jax

# getrusage counts kilobytes, on macOS bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024


def peak_memory() -> dict[str, Any]:
    """The most memory that was in use up to now.

    Returns:
        `bytes`, and `of` what: "device", the fullest of this process's accelerators, where JAX counts
        it; else "process", its resident memory, libraries and data included.
    """
    counted = [device.memory_stats() for device in jax.local_devices()]
    peaks = [
        stats["peak_bytes_in_use"] for stats in counted if "peak_bytes_in_use" in (stats or {})
    ]
    if peaks and len(peaks) == len(counted):
        return {"bytes": int(max(peaks)), "of": "device"}
    return {
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT,
        "of": "process",
    }
