"""Settings of the whole test session, made before JAX is imported."""

import os
import pathlib

_ROOT = pathlib.Path(__file__).parent.parent

# Reference numbers are compared to float32 accuracy, which accelerators' matrix units do not keep.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiled programs are kept between runs; deleting the folder only costs time.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Most of the suite's time is compiling: nearly half of that LLVM's optimisation, and of the rest more
# than half the newer way to write fusions down. XLA's own passes, fusion among them, are those of a
# training; what the compiler canary must see as a training has it, it compiles in processes of its own.
_QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1 "
    "--xla_cpu_use_fusion_emitters=false"
)
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_QUICK_TO_COMPILE}".strip()
# Several pools of one thread a core each slow each other down.
for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_pool, str(min(2, os.cpu_count() or 1)))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import gc
from collections.abc import Iterator

import hypothesis
import jax
import pytest
from absl import flags

# Tracing makes so many objects that Python, as it is set, spends a tenth of the suite's time looking for
# garbage among those of JAX and TensorFlow.
gc.set_threshold(50_000, 20, 20)

# Random examples that differ from run to run make a failure of one commit look like another's.
hypothesis.settings.register_profile(
    "project", deadline=None, derandomize=True, max_examples=25, print_blob=True
)
hypothesis.settings.load_profile("project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: at the end they would leave other processes without work."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def _parsed_flags() -> None:
    """Grain's worker processes read absl flags, which only an absl main would have parsed."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="module", autouse=True)
def _forgotten_programs() -> Iterator[None]:
    """Compiled programs of 100 files fill 5 GB, which Python takes minutes to free at its end."""
    yield
    jax.clear_caches()
