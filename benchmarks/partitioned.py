"""What devices tell each other in a step: the collectives of the real step, compiled for simulated devices.

    python -m benchmarks.partitioned --devices=8 --kind=mgcam+dkd [--graphs=batch] [--batch=2] [--size=64] ...

Prints JSON. A process compiles for one number of devices: XLA reads it once. Nothing is computed.
"""

import argparse
import json
import os
import sys
from typing import Any

from benchmarks.job import Job, make_job


def pretend(devices: int) -> None:
    """Lets JAX see so many CPU devices; before its first look."""
    flag = f"--xla_force_host_platform_device_count={devices}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    os.environ["JAX_PLATFORMS"] = "cpu"


def compile_step(job: Job, graphs: str) -> Any:
    """Compiles the step for all devices; `job.batch` clips are those of all of them."""
    import jax
    import jax.numpy as jnp
    import optax
    from ml_collections import ConfigDict

    from benchmarks.our_step import network_spec
    from rgb2ir_jax.distillation.base import Widths
    from rgb2ir_jax.distillation.objective import Objective
    from rgb2ir_jax.training.sharding import make_mesh, replicated, split_batch
    from rgb2ir_jax.training.state import Split, create_state
    from rgb2ir_jax.training.step import Member, Recipe, make_train_step

    # Code that is written for the CPU alone would be counted otherwise; a GPU takes the default.
    jax.lax.platform_dependent = lambda *arguments, default, **_: default(*arguments)
    mesh, dtype = make_mesh(), jnp.dtype(job.dtype)
    learner, guide = network_spec(job.modality, job.depth, job), network_spec("rgb", 50, job)
    teachers, variables = [], []
    if job.distill:
        split = Split.abstract(guide.shapes(dtype), replicated(mesh))
        teachers, variables = [Member(guide, split.graph)], [split.variables]
    optimizer = optax.chain(
        optax.add_decayed_weights(job.weight_decay), optax.sgd(job.learning_rate, momentum=0.9)
    )
    widths = [Widths(learner.stage_channels, guide.stage_channels)]
    graph, objective_graph, state = create_state(
        lambda: learner.build(0, dtype),
        lambda: Objective(ConfigDict(dict(job.distill)), widths, 0),
        optimizer,
        replicated(mesh),
    )
    step = make_train_step(
        Member(learner, graph),
        objective_graph,
        teachers,
        optimizer,
        optax.constant_schedule(job.learning_rate),
        total_steps=1000,
        seed=0,
        mesh=mesh,
        dtype=dtype,
        recipe=Recipe(graph_parts=mesh.devices.size if graphs == "replica" else 1),
    )
    frames = (job.batch, job.segments, job.size, job.size)
    kinds = {
        "rgb": ((*frames, 3), jnp.uint8),
        "ir": ((*frames, 1), jnp.uint8),
        "label": ((job.batch,), jnp.int32),
    }
    batch = {
        name: jax.ShapeDtypeStruct(shape, kind, sharding=split_batch(mesh))
        for name, (shape, kind) in kinds.items()
    }
    return step.lower(state, tuple(variables), batch).compile()  # type: ignore[attr-defined]


def main() -> None:
    """Compiles and counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--kind", default="mgcam+dkd")
    parser.add_argument("--graphs", default="batch", choices=("batch", "replica"))
    parser.add_argument("--batch", type=int, default=2, help="clips a device")
    parser.add_argument("--segments", type=int, default=2)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    arguments = parser.parse_args()
    pretend(arguments.devices)
    from benchmarks.compiled import collectives
    from configs.methods import distillation

    job = make_job(
        arguments.kind,
        distillation(arguments.kind).to_dict(),
        batch=arguments.batch * arguments.devices,
        segments=arguments.segments,
        size=arguments.size,
        width=arguments.width,
        dtype="float32",
    )
    text = compile_step(job, arguments.graphs).as_text()
    sys.stdout.write(json.dumps({"collectives": collectives(text)}) + "\n")


if __name__ == "__main__":
    main()
