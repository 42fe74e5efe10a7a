"""The environment of a process that sees several CPU devices."""

import os


def environment_of(devices: int, **more: str) -> dict[str, str]:
    """This process's environment, its XLA flags included, with so many simulated devices."""
    flag = f"--xla_force_host_platform_device_count={devices}"
    flags = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    return {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", **more}
