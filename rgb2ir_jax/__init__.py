"""RGB-to-infrared video distillation in JAX and Flax.

Importing the package sets one XLA option for CPUs, because without it the compiler silently returns
wrong numbers for the graph losses (see `tests/test_compiler_canary.py`) and is slower.

    from rgb2ir_jax import load_student
    labels, probabilities = load_student("runs/ntu")(frames)
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rgb2ir_jax.prediction.student import load_student

__all__ = ["__version__", "load_student"]

__version__ = "0.1.0"

# XLA's CPU backend (jaxlib 0.10.2 to 0.12.0) miscompiles a fused dot + multiply + reduce whose
# operand is constant: 1e33 or NaN where 0 is right. Leaving "reduce" out of that fusion cures it.
# Convolutions outside of it take their gradients in two thirds of the time (docs/performance.md).
# The variable is read when JAX first touches a device, so importing this package before running
# anything is enough.
_YNN_FUSION = "--xla_cpu_experimental_ynn_fusion_type"
if _YNN_FUSION not in os.environ.get("XLA_FLAGS", ""):
    _OPTION = f"{_YNN_FUSION}=-individual_convolution,-reduce"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_OPTION}".strip()


def __getattr__(name: str) -> Any:
    """Imports what `load_student` needs when it is first asked for: the package alone is instant."""
    if name == "load_student":
        from rgb2ir_jax.prediction.student import load_student

        return load_student
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
