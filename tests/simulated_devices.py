"""Processes that see several CPU devices."""

import os
import pathlib
import subprocess
import sys


def environment_of(devices: int, **more: str) -> dict[str, str]:
    """This process's environment, its XLA flags included, with so many simulated devices."""
    flag = f"--xla_force_host_platform_device_count={devices}"
    flags = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    return {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", **more}


def printed_with(devices: int, code: str) -> str:
    """What a program prints in a new process with so many simulated devices, which must succeed."""
    root = pathlib.Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=environment_of(devices, PYTHONPATH=str(root)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
