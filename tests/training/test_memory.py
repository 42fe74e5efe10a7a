"""Peak memory is what the device counts, or the process's."""

import types

import jax
import numpy as np

from rgb2ir_jax.training.observing.memory import peak_memory


def test_of_a_process_it_is_at_least_what_was_touched():
    block = np.ones(200 * 2**20, np.uint8)
    found = peak_memory()
    assert found["of"] == "process"
    assert block.nbytes < found["bytes"] < 2**37


def test_of_accelerators_it_is_the_fullest_ones(monkeypatch):
    devices = [
        types.SimpleNamespace(memory_stats=lambda peak=peak: {"peak_bytes_in_use": peak})
        for peak in (5, 9, 7)
    ]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    assert peak_memory() == {"bytes": 9, "of": "device"}
