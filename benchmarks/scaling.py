"""Weak scaling of the distillation step from 1 to 64 GPUs: a study by arithmetic, checked by compiling.

    python -m benchmarks.scaling [--kind=mgcam+dkd] [--batch=256] [--size=224] [--step_ms=140]
        [--nvlink=360] [--network=45] [--compiled=1,2,4,8] [--out=DIR]

Nothing here is measured on GPUs. The bytes that devices exchange follow from the networks' shapes; the
same counts are taken from the real step, compiled for simulated devices (`benchmarks/partitioned.py`),
and both are printed. Times follow from the bytes and the assumed rates: rings (an all-reduce of B bytes
over n devices moves 2 (n-1)/n B through each, an all-gather of B in all (n-1)/n B), no overlap with
computation, a latency for each exchange, the slowest link everywhere. That is pessimistic for the
gradients, whose all-reduce can overlap with the backward pass.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.devices import describe_here
from benchmarks.exchange import FLOAT, GRAPHS, Assumptions, breaks, exchanged, predict, sizes_of
from benchmarks.job import Job, make_job
from benchmarks.machine import machine_line, publish, table
from configs.methods import distillation

COUNTS = (1, 2, 4, 8, 16, 32, 64)


def count_compiled(job: Job, devices: int, graphs: str) -> dict[str, int]:
    """Bytes by kind of collective in the step compiled for simulated devices.

    Raises:
        ValueError: it could not be compiled.
    """
    ended = subprocess.run(
        (
            sys.executable,
            "-m",
            "benchmarks.partitioned",
            f"--devices={devices}",
            f"--kind={job.name}",
            f"--graphs={graphs}",
            f"--batch={job.batch}",
            f"--segments={job.segments}",
            f"--size={job.size}",
            f"--width={job.width}",
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise ValueError(f"compiling for {devices} devices failed: {ended.stderr.strip()[-400:]}")
    total: dict[str, int] = {}
    for kind, size in json.loads(ended.stdout)["collectives"]:
        total[kind] = total.get(kind, 0) + size
    return total


def _job(kind: str, batch: int, segments: int, size: int, width: int = 64) -> Job:
    return make_job(
        kind,
        distillation(kind).to_dict(),
        batch=batch,
        segments=segments,
        size=size,
        width=width,
        dtype="float32",
    )


def _predicted_table(rows: dict[str, list[dict[str, float]]], given: Assumptions) -> str:
    head = ["graphs, GPUs", "gradients, ms", "BatchNorm", "latency", "graphs", "graph products"]
    head += ["step, ms", "efficiency", "clips/s", "gathered, GB", "cores a GPU", "what breaks"]
    cells = [
        [
            f"{graphs}, {count}",
            *(
                f"{row[name]:.2f}"
                for name in ("gradients", "norms", "latency", "graphs", "graph_products", "step")
            ),
            f"{row['efficiency']:.1%}",
            f"{row['clips_per_second']:,.0f}",
            f"{row['gathered_gb']:.1f}",
            f"{row['decoding_cores']:.1f}",
            breaks(row, given),
        ]
        for graphs, of_graphs in rows.items()
        for count, row in zip(COUNTS, of_graphs, strict=True)
    ]
    return table(head, cells)


def compare_compiled(job: Job, counts: list[int]) -> list[dict[str, Any]]:
    """Formula and compiled step side by side, for both kinds of graphs."""
    sizes, found = sizes_of(job), []
    for graphs in GRAPHS:
        for devices in counts:
            formula = exchanged(sizes, job.batch * devices, devices, graphs)
            compiled = count_compiled(job, devices, graphs)
            found.append(
                {
                    "graphs": graphs,
                    "devices": devices,
                    "all_reduced": formula.all_reduced,
                    "compiled_all_reduced": compiled.pop("all-reduce", 0),
                    "gathered": formula.graphs,
                    "compiled_gathered": compiled.pop("all-gather", 0),
                    "compiled_others": compiled,
                }
            )
    return found


def _compiled_table(rows: list[dict[str, Any]]) -> str:
    return table(
        [
            "graphs, devices",
            "all-reduced, MB: formula",
            "compiled",
            "all-gathered, MB: formula",
            "compiled",
            "others, MB",
        ],
        [
            [
                f"{row['graphs']}, {row['devices']}",
                f"{row['all_reduced'] / 1e6:.3f}",
                f"{row['compiled_all_reduced'] / 1e6:.3f}",
                f"{row['gathered'] / 1e6:.3f}",
                f"{row['compiled_gathered'] / 1e6:.3f}",
                f"{sum(row['compiled_others'].values()) / 1e6:.3f}",
            ]
            for row in rows
        ],
    )


def main() -> None:
    """Runs the study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kind", default="mgcam+dkd", help="of step, as in benchmarks/step.py")
    parser.add_argument("--batch", type=int, default=256, help="clips a GPU")
    parser.add_argument("--segments", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--compiled", default="1,2,4,8", help="numbers of devices; empty: none")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    for name, value in Assumptions()._asdict().items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    arguments = parser.parse_args()
    given = Assumptions(*(getattr(arguments, name) for name in Assumptions._fields))
    job = _job(arguments.kind, arguments.batch, arguments.segments, arguments.size)
    sizes = sizes_of(job)
    rows = {
        graphs: [predict(sizes, job, count, graphs, given) for count in COUNTS] for graphs in GRAPHS
    }
    counts = [int(count) for count in arguments.compiled.split(",") if count]
    small = _job(arguments.kind, 2, 2, 64)
    try:
        compiled = compare_compiled(small, counts)
    except ValueError as error:
        sys.exit(f"error: {error}")
    # Parameters and momentum, float32.
    checkpoint = 2 * FLOAT * sizes.parameters
    machine = describe_here("jax", "flax")
    assumed = ", ".join(f"{name} {value:g}" for name, value in given._asdict().items())
    setting = (
        f"{job.name}, {job.batch} clips a GPU, {job.segments} frames of {job.size}x{job.size}. Nothing here was "
        f"measured on GPUs. Assumed: {assumed}."
    )
    saving = (
        f"A checkpoint of the student holds {checkpoint / 1e6:.0f} MB (parameters, momentum): "
        f"{checkpoint / given.disk / 1e6:.0f} ms of writing, whatever the number of GPUs."
    )
    parts = ["# Scaling: a study by arithmetic", setting, _predicted_table(rows, given), saving]
    if compiled:
        counted = (
            f"Bytes of a step's collectives on each device, by the formula and in the compiled step (simulated "
            f"CPU devices, {small.batch} clips a device, {small.segments} frames of {small.size}x{small.size}, "
            f"full width). {machine_line(machine)}."
        )
        parts += [counted, _compiled_table(compiled)]
    result = {
        "machine": machine,
        "job": job._asdict(),
        "assumptions": given._asdict(),
        "predicted": {
            graphs: {str(count): row for count, row in zip(COUNTS, of_graphs, strict=True)}
            for graphs, of_graphs in rows.items()
        },
        "checkpoint_bytes": checkpoint,
        "compiled": compiled,
    }
    publish(result, "\n\n".join(parts), arguments.out, "scaling")


if __name__ == "__main__":
    main()
