"""XLA's CPU compiler returned 1e33 or NaN for these programs; see `rgb2ir_jax/__init__.py`.

If one of them fails after an upgrade of JAX, do not train on CPU with that version.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def found():
    """What `compiler_canary.py` prints, with XLA's settings as a training has them."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    run = subprocess.run(
        [sys.executable, str(pathlib.Path(__file__).with_name("compiler_canary.py"))],
        env={**environment, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_the_package_sets_its_option_and_no_other(found):
    assert found["flags"] == (
        "--xla_cpu_experimental_ynn_fusion_type=-individual_convolution,-reduce"
    )


@pytest.mark.parametrize("size", [8, 64, 65, 128, 256])
def test_fused_dot_multiply_reduce_with_a_constant_operand(found, size):
    assert found["product"][str(size)] <= 1


def test_gradients_of_a_network_are_those_of_float64(found):
    assert found["network"] <= 1


@pytest.mark.parametrize("clips", [64, 128])
def test_graph_loss_with_constant_teacher_maps(found, clips):
    assert found["loss"][str(clips)] <= 1
