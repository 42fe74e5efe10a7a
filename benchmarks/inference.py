"""How long a trained student takes for a clip, by the runtime that computes it.

    python -m benchmarks.inference [--batch=1,8] [--sizes=demo,paper] [--repeats=20] [--out=DIR]

One ResNet18 student, infrared, the same weights for all: JAX as `evaluate` and `predict` run it, JAX
with BatchNorm folded, the exported StableHLO program, the exported ONNX graph in onnxruntime, and
PyTorch (eager, BatchNorm folded by its own function). From uint8 frames to logits, both in NumPy arrays
on the host, so that copies count. Rounds go through all runtimes in turn, and the median is over rounds:
what else the machine does hits all of them. A runtime that is not installed is named so.
"""

import argparse
import importlib
import importlib.metadata
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from benchmarks.machine import describe_machine, machine_line, publish, table, usable_cores
from rgb2ir_jax.evaluation.inference import make_scorer
from rgb2ir_jax.exporting.stablehlo_program import deployed, stablehlo_program
from rgb2ir_jax.models.folding import fold_batch_norm
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.pretrained import torchvision_tensors
from rgb2ir_jax.models.tsn import TSN
from rgb2ir_jax.prediction.description import StudentDescription
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.state import Split, merge

Run = Callable[[np.ndarray], np.ndarray]
Load = Callable[[], Run]
Prepare = Callable[[TSN, NetworkSpec, StudentDescription], Load]

_CLASSES = tuple(f"class {number}" for number in range(10))
_BLOCKS = {1: 2, 2: 2, 3: 2, 4: 2}


class Size(NamedTuple):
    """Of a student and its clips."""

    width: int
    segments: int
    side: int


SIZES = {"demo": Size(16, 2, 64), "paper": Size(64, 8, 224)}


class Latency(NamedTuple):
    """Of one runtime at one size and batch.

    Attributes:
        first: seconds from weights or file to the first logits, imports left out.
        median: seconds a call.
        least: likewise.
        deviation: largest difference from JAX's logits, as a share of the largest of these.
    """

    first: float
    median: float
    least: float
    deviation: float


def _jax(network: TSN, spec: NetworkSpec, _: StudentDescription) -> Load:
    def load() -> Run:
        mesh = make_mesh()
        graph, variables = Split.of(network)
        placed = jax.device_put(variables, replicated(mesh))

        def logits_of(variables: Any, frames: Any) -> Any:
            return merge(graph, variables)(spec.normalise(frames), train=False).logits

        score = make_scorer(logits_of, mesh)
        return lambda frames: np.asarray(score(placed, frames))

    return load


def _folded(network: TSN, spec: NetworkSpec, _: StudentDescription) -> Load:
    def load() -> Run:
        run = jax.jit(deployed(network, spec, preprocessing=True))
        return lambda frames: np.asarray(run(frames))

    return load


def _stablehlo(network: TSN, spec: NetworkSpec, description: StudentDescription) -> Load:
    program = stablehlo_program(network, spec, description)

    def load() -> Run:
        run = jax.jit(jax.export.deserialize(bytearray(program)).call)
        return lambda frames: np.asarray(run(frames))

    return load


def _onnxruntime(network: TSN, _: NetworkSpec, description: StudentDescription) -> Load:
    runtime = importlib.import_module("onnxruntime")
    from rgb2ir_jax.exporting.onnx_graph import onnx_model

    program = onnx_model(fold_batch_norm(network), description).SerializeToString()

    def load() -> Run:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = usable_cores()
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        available = runtime.get_available_providers()
        providers = [provider for provider in wanted if provider in available]
        session = runtime.InferenceSession(program, options, providers=providers)
        return lambda frames: session.run(None, {"frames": frames})[0]

    return load


def _pytorch(network: TSN, spec: NetworkSpec, _: StudentDescription) -> Load:
    importlib.import_module("torch.nn.utils.fusion")
    tensors = torchvision_tensors(network.network)
    return lambda: _load_pytorch(tensors, spec)


def _load_pytorch(arrays: Mapping[str, np.ndarray], spec: NetworkSpec) -> Run:
    torch = importlib.import_module("torch")
    fusion = importlib.import_module("torch.nn.utils.fusion")
    functional = torch.nn.functional
    torch.set_num_threads(usable_cores())
    on_gpu = jax.default_backend() == "gpu" and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    tensors = {name: torch.tensor(array).to(device) for name, array in arrays.items()}
    mean, std = (torch.tensor(values).to(device) for values in (spec.mean, spec.std))

    def fused(convolution: str, norm: str) -> Any:
        parts = (f"{norm}.{key}" for key in ("running_mean", "running_var", "weight", "bias"))
        mean, var, weight, bias = (tensors[part] for part in parts)
        kernel = tensors[f"{convolution}.weight"]
        return fusion.fuse_conv_bn_weights(kernel, None, mean, var, 1e-5, weight, bias)

    weights = {"conv1": fused("conv1", "bn1")}
    for stage, count in _BLOCKS.items():
        for position in range(count):
            name = f"layer{stage}.{position}"
            for number in (1, 2):
                weights[f"{name}.conv{number}"] = fused(
                    f"{name}.conv{number}", f"{name}.bn{number}"
                )
            if f"{name}.downsample.0.weight" in tensors:
                weights[f"{name}.down"] = fused(f"{name}.downsample.0", f"{name}.downsample.1")

    def convolve(x: Any, name: str, stride: int = 1) -> Any:
        kernel, bias = weights[name]
        return functional.conv2d(x, kernel, bias, stride, kernel.shape[-1] // 2)

    def run(frames: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            x = torch.from_numpy(frames).to(device).flatten(0, 1)
            x = ((x.float() / 255 - mean) / std).permute(0, 3, 1, 2)
            x = functional.max_pool2d(convolve(x, "conv1", 2).relu_(), 3, 2, 1)
            for stage, count in _BLOCKS.items():
                for position in range(count):
                    name = f"layer{stage}.{position}"
                    stride = 2 if stage > 1 and position == 0 else 1
                    down = f"{name}.down"
                    shortcut = convolve(x, down, stride) if down in weights else x
                    y = convolve(x, f"{name}.conv1", stride).relu_()
                    x = (convolve(y, f"{name}.conv2") + shortcut).relu_()
            logits = functional.linear(x.mean((2, 3)), tensors["fc.weight"], tensors["fc.bias"])
            return logits.unflatten(0, frames.shape[:2]).mean(1).cpu().numpy()

    return run


RUNTIMES: dict[str, Prepare] = {
    "JAX, as evaluate and predict": _jax,
    "JAX, BatchNorm folded": _folded,
    "StableHLO, exported": _stablehlo,
    "ONNX in onnxruntime": _onnxruntime,
    "PyTorch, eager, folded": _pytorch,
}


def measure(size: Size, batch: int, repeats: int) -> dict[str, Latency | str]:
    """Times every runtime on the same clips; a text says why one was not timed."""
    spec = NetworkSpec("ir", 18, size.width, 1, len(_CLASSES), 0.5, False, (0.449,), (0.226,))
    description = StudentDescription(
        "student", "ir", _CLASSES, size.segments, 1, size.segments, False, size.side, size.side, 1,
        spec.mean, spec.std,
    )  # fmt: skip
    graph, variables = Split.create(lambda: spec.build(0), replicated(make_mesh()))
    network = nnx.merge(graph, variables.params, variables.stats)
    shape = (batch, size.segments, size.side, size.side, 1)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    runs: dict[str, Run] = {}
    first: dict[str, float] = {}
    logits: dict[str, np.ndarray] = {}
    found: dict[str, Latency | str] = {}
    for name, prepare in RUNTIMES.items():
        try:
            load = prepare(network, spec, description)
        except ImportError as error:
            found[name] = f"not installed: {error.name}"
            continue
        start = time.perf_counter()
        runs[name] = load()
        logits[name] = runs[name](frames)
        first[name] = time.perf_counter() - start
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run(frames)
            seconds[name].append(time.perf_counter() - start)
    expected = next(iter(logits.values()))
    for name in runs:
        deviation = float(np.abs(logits[name] - expected).max() / np.abs(expected).max())
        taken = seconds[name]
        found[name] = Latency(first[name], statistics.median(taken), min(taken), deviation)
    return {name: found[name] for name in RUNTIMES}


def _report(results: Mapping[str, Mapping[int, Mapping[str, Any]]], machine: Any) -> str:
    parts = ["# Latency of a student, by runtime"]
    for name, batches in results.items():
        size = SIZES[name]
        parts.append(
            f"ResNet18 of width {size.width}, {size.segments} frames of {size.side}x{size.side} a clip "
            f"(the {name}'s), uint8 frames to logits on the host, {jax.devices()[0].device_kind}."
        )
        head, rows = ["runtime"], []
        for batch in batches:
            head += [f"B={batch}: ms, median", "ms, least", "clips/s", "first, s", "off by"]
        for runtime in RUNTIMES:
            cells: list[str] = []
            for batch, latencies in batches.items():
                latency = latencies[runtime]
                if isinstance(latency, str):
                    cells += [latency, "", "", "", ""]
                    continue
                cells += [
                    f"{latency.median * 1e3:.1f}",
                    f"{latency.least * 1e3:.1f}",
                    f"{batch / latency.median:.1f}",
                    f"{latency.first:.2f}",
                    f"{latency.deviation:.0e}",
                ]
            rows.append([runtime, *cells])
        parts.append(table(head, rows))
    parts.append(
        "first: from the weights to the first logits, imports left out. off by: largest difference from "
        f"the first row's logits, as a share of the largest of these.\n\n{machine_line(machine)}."
    )
    return "\n\n".join(parts)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--batch", default="1,8", help="clips at a time, joined by commas")
    parser.add_argument("--sizes", default=",".join(SIZES), help="joined by commas")
    parser.add_argument("--repeats", type=int, default=20, help="rounds through all runtimes")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    machine = describe_machine("jax", "flax")
    for package in ("onnx", "onnxruntime", "torch"):
        try:
            machine["versions"][package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            machine["versions"][package] = "not installed"
    batches = [int(batch) for batch in arguments.batch.split(",")]
    results = {
        name: {batch: measure(SIZES[name], batch, arguments.repeats) for batch in batches}
        for name in arguments.sizes.split(",")
    }
    result = {
        "machine": machine,
        "device": jax.devices()[0].device_kind,
        "repeats": arguments.repeats,
        "sizes": {name: SIZES[name]._asdict() for name in results},
        "latency": {
            name: {
                str(batch): {
                    runtime: latency if isinstance(latency, str) else latency._asdict()
                    for runtime, latency in latencies.items()
                }
                for batch, latencies in by_batch.items()
            }
            for name, by_batch in results.items()
        },
    }
    publish(result, _report(results, machine), arguments.out, "inference")


if __name__ == "__main__":
    main()
