"""The arithmetic of `benchmarks/scaling.py`: what devices exchange in a step, and how long that takes."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.job import Job
from benchmarks.our_step import network_spec
from rgb2ir_jax.models.cost import count_parameters

GRAPHS = ("batch", "replica")
FLOAT = 4
_CHANNELS = 4  # Of a pair of frames: three of colour, one of infrared, a byte each.


class Assumptions(NamedTuple):
    """What the times follow from.

    Attributes:
        step_ms: of one GPU that exchanges nothing.
        nvlink: GB/s through each GPU within a host, one direction, as collectives reach it.
        network: GB/s of each GPU between hosts, likewise.
        gpus_per_host: that NVLink joins.
        latency_us: of an exchange within a host.
        network_latency_us: of one between hosts.
        float32_tflops: that the graphs' products reach.
        memory_gb: of a GPU that is left for the graphs' gathered maps.
        decode_ms: of one core for a clip's frames.
        cores: of a host for each of its GPUs.
        pcie: GB/s from host to GPU.
        disk: GB/s that a checkpoint is written at.
    """

    step_ms: float = 140.0
    nvlink: float = 360.0
    network: float = 45.0
    gpus_per_host: int = 8
    latency_us: float = 12.0
    network_latency_us: float = 30.0
    float32_tflops: float = 45.0
    memory_gb: float = 40.0
    decode_ms: float = 5.0
    cores: float = 16.0
    pcie: float = 50.0
    disk: float = 1.0


class Sizes(NamedTuple):
    """What the networks of a job bring to the exchanges, in numbers of values.

    Attributes:
        parameters: of the network that learns.
        norm_channels: of all its BatchNorms together.
        norms: how many these are.
        student_maps: values of each stage's map of a clip.
        teacher_maps: likewise; empty without MGCAM.
        positions: of the largest pooled activation map of a pair of stages.
    """

    parameters: int
    norm_channels: int
    norms: int
    student_maps: tuple[int, ...]
    teacher_maps: tuple[int, ...]
    positions: int


def sizes_of(job: Job) -> Sizes:
    """Reads them off the networks' shapes; nothing is computed."""
    learner, guide = network_spec(job.modality, job.depth, job), network_spec("rgb", 50, job)
    network = nnx.eval_shape(lambda: learner.build(0))
    means = [
        leaf.shape[0]
        for path, leaf in nnx.to_flat_state(nnx.state(network, nnx.BatchStat))
        if path[-1] == "mean"
    ]
    maps, sides = [], []
    for spec in (learner, guide):
        clip = jax.ShapeDtypeStruct((1, 1, job.size, job.size, spec.in_channels), jnp.float32)
        output = nnx.eval_shape(lambda x, spec=spec: spec.build(0)(x, train=False), clip)
        shapes = [output.stages[name].shape[2:] for name in sorted(output.stages)]
        maps.append(tuple(math.prod(shape) for shape in shapes))
        sides.append([height * width for height, width, _ in shapes])
    compares = "mgcam" in job.distill
    return Sizes(
        parameters=count_parameters(network),
        norm_channels=sum(means),
        norms=len(means),
        student_maps=maps[0] if compares else (),
        teacher_maps=maps[1] if compares else (),
        positions=max(min(a, b) for a in sides[0] for b in sides[1]) if compares else 0,
    )


class Exchange(NamedTuple):
    """Bytes of the results of a step's collectives on each device, and how many there are.

    Attributes:
        gradients: all-reduced.
        norms: all-reduced: mean and variance of each channel. The two sums that their gradient needs
            are those of scale and bias, and count among the gradients.
        graphs_back: all-reduced: gradients of the gathered maps.
        graphs: all-gathered: every clip's maps and activation rows.
        exchanges: number of collectives.
    """

    gradients: int
    norms: int
    graphs_back: int
    graphs: int
    exchanges: int

    @property
    def all_reduced(self) -> int:
        """Bytes of all-reduces."""
        return self.gradients + self.norms + self.graphs_back


def exchanged(sizes: Sizes, clips: int, devices: int, graphs: str) -> Exchange:
    """What a step exchanges.

    Args:
        sizes: of the networks.
        clips: of the whole batch.
        devices: that share it; one exchanges nothing.
        graphs: `config.mesh.graphs`: "batch" compares all clips, "replica" those of each device.
    """
    if devices == 1:
        return Exchange(0, 0, 0, 0, 0)
    gather = back = 0
    stages = len(sizes.student_maps)
    if stages and graphs == "batch":
        rows = 2 * stages**2 * sizes.positions
        tables = stages**2 * clips
        gather = clips * (sum(sizes.student_maps) + sum(sizes.teacher_maps) + rows + tables)
        back = clips * (sum(sizes.student_maps) + rows)
    return Exchange(
        gradients=FLOAT * sizes.parameters,
        norms=FLOAT * 2 * sizes.norm_channels,
        graphs_back=FLOAT * back,
        graphs=FLOAT * gather,
        # Two of each BatchNorm forward and one back, gradients in one, and the graphs' own.
        exchanges=3 * sizes.norms + 1 + (8 * stages if gather else 0),
    )


def predict(
    sizes: Sizes, job: Job, devices: int, graphs: str, given: Assumptions
) -> dict[str, float]:
    """Times of a step in milliseconds, efficiency, and what each GPU needs.

    Args:
        sizes: of the networks.
        job: its batch is that of one GPU.
        devices: GPUs.
        graphs: see `exchanged`.
        given: the assumptions.
    """
    clips = job.batch * devices
    found = exchanged(sizes, clips, devices, graphs)
    between_hosts = devices > given.gpus_per_host
    rate = (given.network if between_hosts else given.nvlink) * 1e6  # Bytes a millisecond.
    latency = (given.network_latency_us if between_hosts else given.latency_us) * 1e-3
    share = (devices - 1) / devices
    # Beyond one GPU's own products, which are part of its step: each row against all other clips'.
    products = 2 * job.batch * (clips - job.batch) if graphs == "batch" else 0
    values = 3 * sum(sizes.student_maps) + sum(sizes.teacher_maps)
    times = {
        "gradients": 2 * share * found.gradients / rate,
        "norms": 2 * share * found.norms / rate,
        "latency": found.exchanges * latency,
        "graphs": (share * found.graphs + 2 * share * found.graphs_back) / rate,
        "graph_products": products * values / (given.float32_tflops * 1e9),
    }
    step = given.step_ms + sum(times.values())
    per_second = job.batch / step * 1e3
    return {
        **times,
        "step": step,
        "efficiency": given.step_ms / step,
        "gathered_gb": found.graphs / 1e9,
        "clips_per_second": devices * per_second,
        "input_gb_per_second": per_second * job.segments * job.size**2 * _CHANNELS / 1e9,
        "decoding_cores": per_second * given.decode_ms / 1e3,
    }


def breaks(row: dict[str, float], given: Assumptions) -> str:
    """What limits a row, worst first; empty: nothing."""
    found = []
    if row["gathered_gb"] > given.memory_gb:
        found.append(f"gathered maps take {row['gathered_gb']:.0f} GB")
    if row["efficiency"] < 0.9:
        parts = ("gradients", "norms", "latency", "graphs", "graph_products")
        worst = max(parts, key=lambda name: row[name])
        found.append(f"{worst.replace('_', ' ')} take {row[worst]:.0f} ms")
    if row["decoding_cores"] > given.cores:
        found.append(f"decoding needs {row['decoding_cores']:.0f} cores a GPU")
    if row["input_gb_per_second"] > given.pcie:
        found.append("input exceeds PCIe")
    return "; ".join(found)
