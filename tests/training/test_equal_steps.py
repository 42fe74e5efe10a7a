"""The full method on 1, 2 and 4 devices, and on 2 processes of 2 devices, is one and the same."""

import itertools
import json
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.simulated_devices import environment_of

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = pathlib.Path(__file__).with_name("equal_steps.py")
WAYS = ["2 devices", "4 devices", "2 processes"]


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def start(out, devices, coordinator="", number=0):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(out), coordinator, str(number)],
        cwd=ROOT,
        env=environment_of(devices, PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What `equal_steps.py` wrote of all ways to train: terms, losses, gradients."""
    folder = tmp_path_factory.mktemp("steps")
    coordinator = f"127.0.0.1:{free_port()}"
    processes = [
        start(folder / "alone.npz", 4),
        *(start(folder / "joint.npz", 2, coordinator, number) for number in (0, 1)),
    ]
    for process in processes:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    found = {"first": {}, "losses": {}, "gradients": {}}
    for name in ("alone", "joint"):
        written = json.loads((folder / f"{name}.json").read_text())
        for key, value in written.items():
            found[key] = {**found[key], **value} if key in found else value
        with np.load(folder / f"{name}.npz") as arrays:
            for key in arrays.files:
                way, _, number = key.rpartition("|")
                found["gradients"].setdefault(way, {})[int(number)] = arrays[key]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_first_step_is_the_one_of_one_device(outcome, way):
    one, other = outcome["first"]["1 devices"], outcome["first"][way]
    assert set(one) == set(other) > {"loss", "mgcam", "dkd", "grad_norm"}
    for name, value in one.items():
        assert other[name] == pytest.approx(value, rel=1e-5, abs=1e-7), name
    gradients, others = (outcome["gradients"][key] for key in ("1 devices", way))
    assert len(gradients) == len(others) > 30
    size = np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in gradients.values()))
    far = np.sqrt(
        sum(np.sum((g.astype(np.float64) - others[i]) ** 2) for i, g in gradients.items())
    )
    assert size > 0.1
    assert far < 1e-5 * size


def distance(one, other):
    """How far two curves of losses are apart at most."""
    return np.abs(np.subtract(one, other)).max()


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_curves_differ_no_more_than_by_the_order_of_clips_in_a_batch(outcome, way):
    """Rounding grows with training: by how much, shows one device that sums in other orders."""
    losses = outcome["losses"]
    one_device = [losses["1 devices"], *(v for k, v in losses.items() if k.startswith("order"))]
    assert len(one_device) == 6
    assert len(losses[way]) == 20
    noise = max(distance(a, b) for a, b in itertools.combinations(one_device, 2))
    assert 0 < noise < 0.01 * losses[way][0]
    assert distance(losses[way], losses["1 devices"]) <= noise
