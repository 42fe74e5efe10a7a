"""What each distillation method costs, in time and memory, beside the student's own step.

    python -m benchmarks.methods [--batch=8,64] [--size=112] [--segments=8] [--whole=mgcam,dkd] [--out=DIR]

The plain student step (forward, backward, cross-entropy, SGD) and the teacher's forward pass are
timed whole. A method is timed by a program of its own, loss and gradient from stored outputs of both
networks to the student's: what it adds to a step, or a little less where the compiler would fuse it
with the networks. `--whole` checks that for some methods: it times the real step of `training/step.py`
with and without them. Networks are ResNet18 and ResNet50, in the compute dtype of the backend.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import nnx
from jax.typing import DTypeLike

from benchmarks.machine import describe_machine, machine_line, publish, table
from configs.methods import distillation
from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.distillation.objective import Objective
from rgb2ir_jax.distillation.registry import METHODS
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.output import NetworkOutput
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.state import Split, create_state
from rgb2ir_jax.training.step import Batch, Member, make_train_step

CLASSES = 10


class Cost(NamedTuple):
    """Of one call of a compiled program.

    Attributes:
        seconds: median.
        megabytes: of temporary buffers and results, by the compiler's account.
    """

    seconds: float
    megabytes: float


class Setting(NamedTuple):
    """What is measured: sizes, and how often."""

    batch: int
    segments: int
    size: int
    width: int
    repeats: int
    dtype: DTypeLike


def measure(function: Callable[..., Any], arguments: Sequence[Any], repeats: int) -> Cost:
    """Compiles, warms up once, and takes the median of `repeats` calls."""
    compiled = jax.jit(function).lower(*arguments).compile()
    memory = compiled.memory_analysis()
    jax.block_until_ready(compiled(*arguments))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        seconds.append(time.perf_counter() - start)
    size = memory.temp_size_in_bytes + memory.output_size_in_bytes
    return Cost(statistics.median(seconds), size / 1e6)


def _spec(modality: str, depth: int, width: int) -> NetworkSpec:
    channels = 3 if modality == "rgb" else 1
    return NetworkSpec(
        modality,
        depth,
        width,
        channels,
        CLASSES,
        0.0,
        False,
        (0.45,) * channels,
        (0.23,) * channels,
    )


def _batch(setting: Setting) -> Batch:
    shape = (setting.batch, setting.segments, setting.size, setting.size)
    keys = jax.random.split(jax.random.key(0), 3)
    return {
        "rgb": jax.random.randint(keys[0], (*shape, 3), 0, 256, jnp.uint8),
        "ir": jax.random.randint(keys[1], (*shape, 1), 0, 256, jnp.uint8),
        "label": jax.random.randint(keys[2], (setting.batch,), 0, CLASSES),
    }


def _stored_output(spec: NetworkSpec, setting: Setting, seed: int) -> NetworkOutput:
    """What the network would put out, in shape: rectified noise."""
    clips = jax.ShapeDtypeStruct(
        (setting.batch, setting.segments, setting.size, setting.size, spec.in_channels),
        setting.dtype,
    )
    shapes = nnx.eval_shape(lambda x: spec.build(0, setting.dtype)(x, train=False), clips)
    leaves, structure = jax.tree.flatten(shapes)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    return jax.tree.unflatten(
        structure,
        [
            jax.nn.relu(jax.random.normal(key, leaf.shape, leaf.dtype))
            for key, leaf in zip(keys, leaves, strict=True)
        ],
    )


def method_cost(name: str, setting: Setting) -> Cost:
    """Loss and gradient of one method alone, from both networks' stored outputs."""
    student, teacher = (
        _spec("ir", 18, setting.width),
        _spec("rgb", 50, setting.width),
    )
    widths = [Widths(student.stage_channels, teacher.stage_channels)]
    objective = Split.create(
        lambda: Objective(distillation(name), widths, 0), replicated(make_mesh())
    )
    seen, shown = _stored_output(student, setting, 1), _stored_output(teacher, setting, 2)
    labels = jnp.arange(setting.batch) % CLASSES
    reads_logits = METHODS[name].uses == "logits"

    def loss(given: Any, params: nnx.State, rest: NetworkOutput, shown: NetworkOutput) -> Any:
        output = rest.replace(logits=given) if reads_logits else given  # type: ignore[attr-defined]
        module = nnx.merge(objective.graph, params, objective.variables.stats, copy=True)
        return module(output, shown, labels, jnp.float32(0.5))[0]

    given = seen.logits if reads_logits else seen
    return measure(
        jax.grad(loss, argnums=(0, 1)),
        (given, objective.variables.params, seen, shown),
        setting.repeats,
    )


def teacher_cost(setting: Setting) -> Cost:
    """The teacher's forward pass, from pixels to all stage maps."""
    spec = _spec("rgb", 50, setting.width)
    network = Split.create(lambda: spec.build(0, setting.dtype), replicated(make_mesh()))

    def forward(params: nnx.State, stats: nnx.State, frames: jax.Array) -> NetworkOutput:
        module = nnx.merge(network.graph, params, stats, copy=True)
        return module(spec.normalise(frames, setting.dtype), train=False)

    variables = network.variables
    arguments = (variables.params, variables.stats, _batch(setting)["rgb"])
    return measure(forward, arguments, setting.repeats)


def step_cost(variant: str, setting: Setting) -> Cost:
    """The real training step of a variant; "student" has no teacher."""
    mesh, optimizer = make_mesh(), optax.sgd(0.001, momentum=0.9)
    student, teacher = _spec("ir", 18, setting.width), _spec("rgb", 50, setting.width)
    distill: ml_collections.ConfigDict = distillation(variant)
    teachers, variables = [], []
    if distill:
        network = Split.create(lambda: teacher.build(1, setting.dtype), replicated(mesh))
        teachers, variables = [Member(teacher, network.graph)], [network.variables]
    widths = [Widths(student.stage_channels, teacher.stage_channels)]
    graph, objective_graph, state = create_state(
        lambda: student.build(0, setting.dtype),
        lambda: Objective(distill, widths, 0),
        optimizer,
        replicated(mesh),
    )
    step = make_train_step(
        Member(student, graph),
        objective_graph,
        teachers,
        optimizer,
        optax.constant_schedule(0.001),
        total_steps=1000,
        seed=0,
        mesh=mesh,
        dtype=setting.dtype,
    )
    arguments = (state, tuple(variables), _batch(setting))
    # The state is donated to each call and comes back with it.
    compiled = step.lower(*arguments).compile()  # type: ignore[attr-defined]
    memory = compiled.memory_analysis()
    state, _ = jax.block_until_ready(compiled(*arguments))
    seconds = []
    for _ in range(setting.repeats):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(compiled(state, *arguments[1:]))
        seconds.append(time.perf_counter() - start)
    return Cost(statistics.median(seconds), memory.temp_size_in_bytes / 1e6)


def _cells(cost: Cost, plain: Cost) -> list[str]:
    return [
        f"{cost.seconds * 1e3:.1f}",
        f"{100 * cost.seconds / plain.seconds:.1f}%",
        f"{cost.megabytes:.0f}",
        f"{100 * cost.megabytes / plain.megabytes:.1f}%",
    ]


def _report(costs: Mapping[int, Mapping[str, Cost]], setting: Setting, machine: Any) -> str:
    head = ["program"]
    for batch in costs:
        head += [f"B={batch}: ms", "of the step", "MB", "of the step's"]
    names = next(iter(costs.values()))
    rows = [
        [
            name,
            *(
                cell
                for batch in costs
                for cell in _cells(costs[batch][name], costs[batch]["student step"])
            ),
        ]
        for name in names
    ]
    return "\n".join(
        (
            "# Cost of the methods",
            "",
            (
                f"ResNet18 student, ResNet50 teacher, base width {setting.width}, {setting.segments} frames "
                f"of {setting.size}x{setting.size}, {jnp.dtype(setting.dtype).name}, "
                f"{jax.devices()[0].device_kind}. {machine_line(machine)}."
            ),
            "",
            table(head, rows),
        )
    )


def main() -> None:
    """Runs the benchmark."""
    on_cpu = jax.default_backend() == "cpu"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--batch", default="8,64", help="batch sizes, joined by commas")
    parser.add_argument("--size", type=int, default=112 if on_cpu else 224, help="of the frames")
    parser.add_argument("--segments", type=int, default=8, help="frames a clip")
    parser.add_argument("--width", type=int, default=64, help="base width of both networks")
    parser.add_argument("--methods", default=",".join(METHODS), help="joined by commas")
    parser.add_argument(
        "--whole",
        default="" if on_cpu else ",".join(METHODS),
        help="methods (or sums of them) whose real step is timed too, joined by commas",
    )
    parser.add_argument("--repeats", type=int, default=5 if on_cpu else 20)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    machine = describe_machine("jax", "flax")
    costs: dict[int, dict[str, Cost]] = {}
    for batch in map(int, arguments.batch.split(",")):
        setting = Setting(
            batch,
            arguments.segments,
            arguments.size,
            arguments.width,
            arguments.repeats,
            jnp.float32 if on_cpu else jnp.bfloat16,
        )
        costs[batch] = {
            "student step": step_cost("student", setting),
            "teacher forward": teacher_cost(setting),
        }
        for name in filter(None, arguments.methods.split(",")):
            costs[batch][name] = method_cost(name, setting)
        for name in filter(None, arguments.whole.split(",")):
            costs[batch][f"whole step, {name}"] = step_cost(name, setting)
    result = {
        "machine": machine,
        "device": jax.devices()[0].device_kind,
        "setting": {key: str(value) for key, value in setting._asdict().items() if key != "batch"},
        "costs": {
            batch: {name: cost._asdict() for name, cost in of_batch.items()}
            for batch, of_batch in costs.items()
        },
    }
    publish(result, _report(costs, setting, machine), arguments.out, "methods")


if __name__ == "__main__":
    main()
