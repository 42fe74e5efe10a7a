"""Configs from before R(2+1)D, dense clips, enhancement and free modalities give the losses that they gave.

Losses of training alone: running variances are the unbiased ones since, so that tests find other numbers.

The losses were computed on a CPU by the version before these came in (commit 753ecce), with the shrunk
configs of conftest.py, its batch and seeds; the student's dropout is 0.5, so that the random stream counts.
"""

import zlib

import numpy as np
import pytest
from flax import nnx

from configs import ntu
from rgb2ir_jax.data.sampling import Sampling
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.validation import validate

# Of the first three steps.
LOSSES = {
    "teacher": {"loss": (2.302913, 2.2267089, 2.0820556)},
    "student": {"loss": (2.307678, 2.256216, 2.2054172)},
    "mgcam+dkd": {
        "loss": (2.9503932, 2.8396146, 2.6833563),
        "ce": (2.3039484, 2.2618308, 2.1887782),
        "mgcam": (0.6464444, 0.5777664, 0.4944247),
        "dkd": (5.9e-06, 0.0001736, 0.001534),
    },
}
# Variables and a checksum of their names and shapes.
TREES = {"teacher": (267, 867392896), "student": (102, 2100429861)}


def deep(config):
    with config.unlocked():
        config.teacher.depth = config.student.depth = 18
    return config


@pytest.mark.parametrize("variant", LOSSES)
def test_losses_are_those_of_before(tiny_config, make_rig, device_batch, variant) -> None:
    config = deep(tiny_config(variant))
    teacher = make_rig(deep(tiny_config("teacher"))) if "+" in variant else None
    if variant == "student":
        config.student.dropout = 0.5
    rig = make_rig(config, teacher.learner if teacher else None)
    state, found = rig.new_state(), []
    for _ in range(3):
        given = (teacher.start.network,) if teacher else ()
        state, terms = rig.train_step(state, given, device_batch)
        found.append(terms)
    for name, expected in LOSSES[variant].items():
        np.testing.assert_allclose([step[name] for step in found], expected, rtol=2e-5, atol=2e-7)


@pytest.mark.parametrize("network", TREES)
def test_parameters_have_the_names_of_before(network) -> None:
    spec = NetworkSpec.from_config(ntu.get_config()[network], 10)
    state = nnx.state(nnx.eval_shape(lambda: spec.build(0)))
    names = sorted("/".join(map(str, p)) + str(v.shape) for p, v in nnx.to_flat_state(state))
    assert (len(names), zlib.crc32("\n".join(names).encode())) == TREES[network]


def test_configs_of_before_mean_what_they_meant() -> None:
    """Those of runs that were trained before have no such fields; today's have them at these values."""
    config = ntu.get_config()
    with config.unlocked():
        expected = NetworkSpec.from_config(config.teacher, 10)
        sampled = Sampling.from_config(config.data)
        for field in ("backbone", "temporal_head", "enhance", "enhance_weights", "gamma"):
            del config.teacher[field]
        del config.data["sampling"], config.data["frame_stride"]
        validate(config)
        assert NetworkSpec.from_config(config.teacher, 10) == expected
        assert Sampling.from_config(config.data) == sampled == Sampling(8, "segments", 1)
