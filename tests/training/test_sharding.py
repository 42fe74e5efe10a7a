"""Four devices compute what one does; batches that they cannot share are refused."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.simulated_devices import environment_of

ROOT = pathlib.Path(__file__).parents[2]

# Prints the scalars of a step of the full method and the greatest difference of its parameters.
SCRIPT = """
import json
import rgb2ir_jax  # Sets its XLA flag beside the one that the environment brings.
import jax, numpy as np
from jax.sharding import AxisType, Mesh
from configs import ntu
from rgb2ir_jax.distillation.objective import Objective
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.optimizer import make_optimizer, make_schedule
from rgb2ir_jax.training.sharding import check_divisible, make_mesh, put_batch, replicated
from rgb2ir_jax.training.state import Split, create_state
from rgb2ir_jax.training.step import Member, make_train_step

config = ntu.get_config()
with config.unlocked():
    for network in (config.teacher, config.student):
        network.depth, network.width, network.dropout = 10, 4, 0.5
    config.optimizer.learning_rate = 0.1
rng = np.random.default_rng(0)
batch = {
    "rgb": rng.integers(0, 256, (8, 2, 32, 32, 3), np.uint8),
    "ir": rng.integers(0, 256, (8, 2, 32, 32, 1), np.uint8),
    "label": np.arange(8, dtype=np.int32),
}
student, teacher = (NetworkSpec.from_config(config[who], 10) for who in ("student", "teacher"))
schedule = make_schedule(config, 10, 1)
optimizer = make_optimizer(config, schedule)
outcomes = []
for mesh in (make_mesh(), Mesh(np.array(jax.devices()[:1]), ("data",), axis_types=(AxisType.Auto,))):
    if not outcomes:
        frozen = Split.create(lambda: teacher.build(1), replicated(mesh))
        graph, objective, state = create_state(
            lambda: student.build(0), lambda: Objective(config.distill), optimizer, replicated(mesh)
        )
        first_state = jax.device_get(state)
    # The step takes the state: it must not take the original with it.
    state, guide = jax.device_put((first_state, frozen.variables), replicated(mesh), may_alias=False)
    step = make_train_step(
        Member(student, graph), objective, [Member(teacher, frozen.graph)], optimizer, schedule,
        total_steps=10, seed=0, mesh=mesh, dtype=np.float32,
    )
    on_devices = put_batch(batch, mesh)
    shards = [s.data.shape[0] for s in on_devices["ir"].addressable_shards]
    state, terms = step(state, (guide,), on_devices)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state.network)]
    outcomes.append((shards, {name: float(value) for name, value in terms.items()}, leaves))
try:
    check_divisible(6, "config.student.batch_size")
    refusal = None
except ValueError as error:
    refusal = str(error)
many, one = outcomes
print(json.dumps({
    "shards": [many[0], one[0]],
    "terms": [many[1], one[1]],
    "difference": max(float(np.abs(a - b).max()) for a, b in zip(many[2], one[2], strict=True)),
    "moved": len(many[2]),
    "refusal": refusal,
}))
"""


@pytest.fixture(scope="module")
def outcome():
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=environment_of(4),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_a_step_on_four_devices_is_the_step_on_one(outcome):
    assert outcome["shards"] == [[2, 2, 2, 2], [8]]
    many, one = outcome["terms"]
    assert set(many) == set(one) > {"loss", "mgcam", "dkd", "grad_norm"}
    for name, value in one.items():
        assert many[name] == pytest.approx(value, rel=1e-5, abs=1e-7), name
    assert outcome["difference"] < 1e-5


def test_a_batch_that_the_devices_cannot_share_is_refused(outcome):
    assert outcome["refusal"] == (
        "config.student.batch_size is 6, which 4 devices cannot share equally; "
        "expected a multiple of 4"
    )
