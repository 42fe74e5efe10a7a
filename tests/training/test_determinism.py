"""The flag of deterministic GPU kernels: given in time, refused when it is too late, kept in the result."""

import os
import pathlib
import subprocess
import sys

import jax
import ml_collections
import pytest
from jax._src import xla_bridge

from rgb2ir_jax.training.determinism import deterministic_kernels, use_deterministic_kernels

FLAG = "--xla_gpu_deterministic_ops"
WANTED, UNWANTED = (
    ml_collections.ConfigDict({"deterministic": wanted}) for wanted in (True, False)
)


@pytest.fixture
def flags(monkeypatch):
    """Sets XLA_FLAGS for the test, and whether JAX has a backend of some kind."""

    def set_to(value, backend=None):
        monkeypatch.setenv("XLA_FLAGS", value)
        monkeypatch.setattr(xla_bridge, "backends_are_initialized", lambda: backend is not None)
        monkeypatch.setattr(jax, "default_backend", lambda: backend)

    return set_to


def test_the_flag_is_added_to_what_is_there(flags):
    flags("--xla_dump_to=/tmp/x")
    use_deterministic_kernels(UNWANTED)
    assert not deterministic_kernels()
    use_deterministic_kernels(WANTED)
    assert os.environ["XLA_FLAGS"] == f"--xla_dump_to=/tmp/x {FLAG}=true"
    assert deterministic_kernels()
    use_deterministic_kernels(WANTED)
    assert os.environ["XLA_FLAGS"].count(FLAG) == 1


@pytest.mark.parametrize(
    "given", [f"{FLAG}=true", f"{FLAG}", f"{FLAG}=1", f"{FLAG}=false {FLAG}=true"]
)
def test_a_flag_that_the_environment_brought_will_do(flags, given):
    flags(given, backend="gpu")
    use_deterministic_kernels(WANTED)
    assert os.environ["XLA_FLAGS"] == given
    assert deterministic_kernels()


def test_too_late_on_a_gpu_is_an_error_and_on_a_cpu_nothing(flags):
    flags("", backend="gpu")
    with pytest.raises(
        ValueError, match=f"begun to use the gpu in this process without {FLAG}=true"
    ):
        use_deterministic_kernels(WANTED)
    flags("", backend="cpu")
    use_deterministic_kernels(WANTED)
    assert os.environ["XLA_FLAGS"] == ""


def test_a_contradiction_is_named(flags):
    flags(f"{FLAG}=false")
    with pytest.raises(ValueError, match=f"hold {FLAG}=false; leave one of them out"):
        use_deterministic_kernels(WANTED)
    use_deterministic_kernels(UNWANTED)


@pytest.mark.parametrize("wanted", [True, False])
def test_xla_reads_the_flag_and_cpus_compute_as_ever(wanted):
    """In a process of its own: XLA reads its flags once."""
    script = (
        "import ml_collections, rgb2ir_jax\n"
        "from rgb2ir_jax.training.determinism import use_deterministic_kernels\n"
        f"use_deterministic_kernels(ml_collections.ConfigDict({{'deterministic': {wanted}}}))\n"
        "import jax, jax.numpy as jnp\n"
        "from jax._src.lib import xla_client\n"
        "print(float(jax.jit(jnp.sum)(jnp.arange(4.0))))\n"
        # In xla.proto, xla_gpu_deterministic_ops is DebugOptions' field 148: its key and "true".
        "print(b'\\xa0\\x09\\x01' in xla_client.CompileOptions().SerializeAsString())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=pathlib.Path(__file__).parents[2],
        env={key: value for key, value in os.environ.items() if key != "XLA_FLAGS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["6.0", str(wanted)], done.stderr
    assert not done.stderr
