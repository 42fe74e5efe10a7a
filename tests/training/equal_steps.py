"""Trains the full method for some steps on meshes of several sizes, and writes down what it saw.

Started alone with four devices, or as one of two processes with two devices each.
"""

import json
import pathlib
import sys

import rgb2ir_jax  # Sets its XLA flag beside the one that the environment brings.  # noqa: F401

OUT, COORDINATOR, NUMBER = sys.argv[1:4]

import jax  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from jax.experimental import multihost_utils  # noqa: E402
from jax.sharding import AxisType, Mesh  # noqa: E402

if COORDINATOR:
    from rgb2ir_jax.launch.processes import join_processes

    join_processes(COORDINATOR, 2, int(NUMBER))

from configs import ntu  # noqa: E402
from rgb2ir_jax.distillation.objective import Objective  # noqa: E402
from rgb2ir_jax.models.network import NetworkSpec  # noqa: E402
from rgb2ir_jax.training.sharding import make_mesh, place, put_batch, replicated  # noqa: E402
from rgb2ir_jax.training.state import Split, create_state  # noqa: E402
from rgb2ir_jax.training.step import Member, make_train_step  # noqa: E402

CLIPS, STEPS, ORDERS, RATE = 16, 20, 5, 0.002

config = ntu.get_config()
with config.unlocked():
    for network in (config.teacher, config.student):
        network.depth, network.width = 10, 4
        # A mask is of a place in the batch, and clips change places.
        network.dropout = 0.0
specs = [NetworkSpec.from_config(config[who], 10) for who in ("student", "teacher")]
rng = np.random.default_rng(0)
BATCHES = [
    {
        "rgb": rng.integers(0, 256, (CLIPS, 2, 32, 32, 3), np.uint8),
        "ir": rng.integers(0, 256, (CLIPS, 2, 32, 32, 1), np.uint8),
        "label": rng.integers(0, 10, CLIPS).astype(np.int32),
    }
    for _ in range(STEPS)
]


class Trainer:
    """A compiled step on a mesh."""

    def __init__(self, mesh):
        student, teacher = specs
        self.mesh = mesh
        # The first momentum is the gradient itself.
        optimizer = optax.sgd(RATE, momentum=0.9)
        frozen = Split.create(lambda: teacher.build(1), replicated(mesh))
        graph, objective, state = create_state(
            lambda: student.build(0),
            lambda: Objective(config.distill),
            optimizer,
            replicated(mesh),
        )
        placement = place(state, mesh)
        self._first = jax.device_put(state, placement)
        self._teacher = frozen.variables
        self.step = make_train_step(
            Member(student, graph),
            objective,
            [Member(teacher, frozen.graph)],
            optimizer,
            optax.constant_schedule(RATE),
            total_steps=STEPS,
            seed=0,
            mesh=mesh,
            dtype=np.float32,
            placement=placement,
        )

    def train(self, steps, order=None):
        """(the terms of each step, the gradients of the first)."""
        state = jax.tree.map(lambda leaf: leaf.copy(), self._first)
        terms, gradients = [], None
        for batch in BATCHES[:steps]:
            if order is not None:
                batch = {name: array[order] for name, array in batch.items()}
            own = np.array_split(np.arange(CLIPS), jax.process_count())[jax.process_index()]
            mine = {name: array[own] for name, array in batch.items()}
            state, scalars = self.step(state, (self._teacher,), put_batch(mine, self.mesh))
            if gradients is None:
                momentum = jax.tree.leaves(optax.tree.get(state.optimizer, "trace"))
                gradients = [whole(leaf).copy() for leaf in momentum]
            terms.append({name: float(value) for name, value in scalars.items()})
        return terms, gradients


def whole(leaf):
    if leaf.is_fully_addressable:
        return np.asarray(leaf)
    return multihost_utils.process_allgather(leaf, tiled=True)


def part(devices):
    return Mesh(np.array(jax.devices()[:devices]), ("data",), axis_types=(AxisType.Auto,))


curves, gradients = {}, {}
if COORDINATOR:
    trainer = Trainer(make_mesh())
    curves["2 processes"], gradients["2 processes"] = trainer.train(STEPS)
else:
    for devices in (1, 2, 4):
        trainer = Trainer(part(devices))
        name = f"{devices} devices"
        curves[name], gradients[name] = trainer.train(STEPS)
        if devices == 1:
            for number in range(ORDERS):
                order = np.random.default_rng(number).permutation(CLIPS)
                name = f"order {number}"
                curves[name], gradients[name] = trainer.train(STEPS, order)
if jax.process_index() == 0:
    first = {name: curve[0] for name, curve in curves.items()}
    losses = {name: [terms["loss"] for terms in curve] for name, curve in curves.items()}
    arrays = {f"{name}|{i}": g for name, many in gradients.items() for i, g in enumerate(many)}
    np.savez(OUT, **arrays)
    found = {"first": first, "losses": losses}
    pathlib.Path(OUT).with_suffix(".json").write_text(json.dumps(found))
