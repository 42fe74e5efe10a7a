"""Our side of `benchmarks/step.py`: the jitted step of `rgb2ir_jax/training/step.py` with its real state."""

import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from ml_collections import ConfigDict

from benchmarks.compiled import convolutions, flops_of, memory_traffic
from benchmarks.job import CLASSES, FOLDED, LEARNER, Job, write_arrays
from benchmarks.sides import Spent, Stopwatch
from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.distillation.objective import Objective
from rgb2ir_jax.launch.cpu_memory import keep_memory_of_steps
from rgb2ir_jax.models.folding import fold_batch_norm
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.pretrained.torchvision_layout import torchvision_tensors
from rgb2ir_jax.models.tsn import TSN
from rgb2ir_jax.training.sharding import make_mesh, put_batch, replicated
from rgb2ir_jax.training.state import Split, create_state, merge
from rgb2ir_jax.training.step import Member, make_train_step

# The classifier's published start is so small that every network would have the same loss.
_SHARPER = 20.0


def network_spec(modality: str, depth: int, job: Job) -> NetworkSpec:
    """The description of one of the two networks."""
    channels = 3 if modality == "rgb" else 1
    return NetworkSpec(
        modality=modality,
        depth=depth,
        width=job.width,
        in_channels=channels,
        num_classes=CLASSES,
        dropout=0.0,
        zero_init_residual=False,
        mean=(job.mean,) * channels,
        std=(job.std,) * channels,
    )


def fresh_network(spec: NetworkSpec, seed: int, dtype: Any) -> TSN:
    """A network whose logits tell something of its weights."""
    network = spec.build(seed, dtype)
    if not isinstance(network, TSN):
        raise TypeError(f"a {type(network).__name__} has no peer here")
    network.network.fc.kernel[...] = _SHARPER * network.network.fc.kernel[...]
    return network


def make_batch(job: Job) -> dict[str, np.ndarray]:
    """Clips of noise: smooth enough that networks do not see the same in all of them."""
    rng = np.random.default_rng(0)
    shape = (job.batch, job.segments, job.size, job.size)
    # Drawn in eighths and enlarged; whole noise would take seconds for a GPU's batch.
    small = (job.batch, job.segments, -(-job.size // 8), -(-job.size // 8))
    batch = {"label": rng.integers(0, CLASSES, job.batch).astype(np.int32)}
    for modality, channels in (("rgb", 3), ("ir", 1)):
        coarse = rng.integers(0, 256, (*small, channels), np.uint8)
        fine = coarse.repeat(8, axis=2).repeat(8, axis=3)
        batch[modality] = np.ascontiguousarray(fine[:, :, : job.size, : job.size])
        if batch[modality].shape[:-1] != shape:
            raise ValueError(f"frames of {job.size}x{job.size} could not be drawn")
    return batch


def calibrated(network: TSN, spec: NetworkSpec, batch: dict[str, np.ndarray], clips: int) -> TSN:
    """The network with running statistics of a few clips: an untrained one's would let maps explode."""
    graph, before = Split.of(network)

    @jax.jit
    def statistics(variables: Any, frames: Any) -> Any:
        module = merge(graph, variables)
        module(spec.normalise(frames), train=True)
        # Running statistics keep 0.9 of what they were; the batch's own are what is added.
        return jax.tree.map(
            lambda new, old: (new - 0.9 * old) / 0.1,
            nnx.state(module, nnx.BatchStat),
            variables.stats,
        )

    stats = statistics(before, jnp.asarray(batch[spec.modality][:clips]))
    return nnx.merge(graph, before.params, stats)


class OurStep:
    """One side of the comparison."""

    def __init__(self) -> None:
        self._run: Any = None
        self._state: Any = None
        self._rest: tuple[Any, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Version and device."""
        device = jax.devices()[0]
        return {
            "version": jax.__version__,
            "device": device.device_kind,
            "platform": device.platform,
            "memory_gb": round((device.memory_stats() or {}).get("bytes_limit", 0) / 1e9, 1),
        }

    def prepare(self, job: Job, exchange: Path) -> dict[str, Any]:
        """Compiles the step, leaves weights and batch for the peer, and does the first steps."""
        keep_memory_of_steps(job.batch * job.segments * job.size**2 * job.width)
        mesh, dtype = make_mesh(), jnp.dtype(job.dtype)
        batch = make_batch(job)
        write_arrays(exchange, "batch", batch)
        learner = network_spec(job.modality, job.depth, job)
        guide = network_spec("rgb", 50, job)
        teachers, variables = [], []
        if job.distill:
            shape = Split.create(lambda: fresh_network(guide, 1, jnp.float32), replicated(mesh))
            network = calibrated(
                merge(shape.graph, shape.variables), guide, batch, clips=min(job.batch, 2)
            )
            write_arrays(exchange, FOLDED, torchvision_tensors(network.network))
            split = Split.of(fold_batch_norm(_in_dtype(network, guide, dtype)))
            teachers = [Member(guide, split.graph)]
            variables = [jax.device_put(split.variables, replicated(mesh))]
        optimizer = optax.chain(
            optax.add_decayed_weights(job.weight_decay), optax.sgd(job.learning_rate, momentum=0.9)
        )
        widths = [Widths(learner.stage_channels, guide.stage_channels)]
        distill = ConfigDict(dict(job.distill))
        graph, objective_graph, self._state = create_state(
            lambda: fresh_network(learner, 0, dtype),
            lambda: Objective(distill, widths, 0),
            optimizer,
            replicated(mesh),
        )
        student = merge(graph, self._state.network)
        write_arrays(exchange, LEARNER, torchvision_tensors(student.network))
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
        )
        self._rest = (tuple(variables), put_batch(batch, mesh))
        start = time.perf_counter()
        lowered = step.lower(self._state, *self._rest)  # type: ignore[attr-defined]
        self._run = lowered.compile()
        compiling = time.perf_counter() - start
        losses, gradients = [], []
        for _ in range(job.checked_steps):
            terms = self._step()
            losses.append(float(terms["loss"]))
            gradients.append(float(terms["grad_norm"]))
        return {
            "losses": losses,
            "grad_norms": gradients,
            "compile_seconds": compiling,
            "program": self._program(lowered),
        }

    def _program(self, lowered: Any) -> dict[str, Any]:
        """What the compiler says of the step, and what its text holds."""
        memory, text = self._run.memory_analysis(), self._run.as_text()
        cost = self._run.cost_analysis() or {}
        return {
            "flops": flops_of(lowered),
            "compiler_bytes_accessed": cost.get("bytes accessed"),
            "traffic_bytes": memory_traffic(text),
            "temporary_bytes": memory.temp_size_in_bytes,
            "argument_bytes": memory.argument_size_in_bytes,
            "donated_bytes": memory.alias_size_in_bytes,
            "convolutions": convolutions(text),
        }

    def _step(self) -> Any:
        self._state, terms = self._run(self._state, *self._rest)
        return terms

    def time(self, steps: int) -> Spent:
        """What a step takes: `steps` in a row after one that is not counted."""
        jax.block_until_ready(self._step())
        watch = Stopwatch()
        for _ in range(steps):
            terms = self._step()
        jax.block_until_ready((self._state, terms))
        return watch.spent(steps)

    def peak_bytes(self) -> int | None:
        """The most memory of the GPU in use so far; None on a CPU."""
        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")

    def release(self) -> None:
        """Gives the device's memory back, to the side that is measured next."""
        self._run = self._state = None
        self._rest = ()
        jax.clear_caches()


def _in_dtype(network: TSN, spec: NetworkSpec, dtype: Any) -> TSN:
    """The same variables in a network that computes in `dtype`."""
    graph, _ = Split.of(spec.shapes(dtype))
    return merge(graph, Split.of(network).variables)
