"""One training step: ours against the same networks, losses and optimizer in PyTorch.

    python -m benchmarks.step [--batch=2,8] [--size=112,224] [--segments=8] [--methods=teacher,student,mgcam+dkd]
        [--dtype=float32] [--peers=eager,eager+pages,compile] [--torch=DIR] [--rounds=3]
        [--repeats=9] [--out=DIR]

Kinds of step: "teacher" (ResNet50 on colour, cross-entropy), "student" (ResNet18 on infrared,
cross-entropy), and methods joined by "+" (student's step, the teacher's forward pass, losses). Ours is
the jitted step of `rgb2ir_jax/training/step.py`: donated state, SGD, folded teacher. PyTorch's is
`benchmarks/torch_step.py`: channels last, folded teacher, torch.optim.SGD; eager, and through
torch.compile; under autocast where the dtype is not float32. Input is uint8, on the device already.
Ours has the C library give it huge pages and keep them, as `rgb2ir_jax.main` does; PyTorch where "+pages"
is added.

Before anything is timed, all sides do the first steps from the same weights on the same batch, and
their losses must agree. Then they are timed in turns (A B B A), each in a process of its own, new ones
in every round (benchmarks/rounds.py), with as many threads as there are cores. PyTorch is found in the environment, or
in the folder that `--torch` names. Needs neither TensorFlow nor a data set.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.devices import PEAKS, describe_here, has_gpu
from benchmarks.job import make_job
from benchmarks.machine import machine_line, publish, table, usable_cores
from benchmarks.rounds import OURS, TOLERANCE, describe, measure
from benchmarks.sides import Factory, SideError
from configs.methods import distillation
from rgb2ir_jax.launch.cpu_memory import HUGE_PAGES, KEPT, VARIABLE

PEERS = {"eager": False, "compile": True}
# What `rgb2ir_jax.main` starts itself with; a peer whose name ends in "+pages" has it too.
MEMORY, PAGES = {VARIABLE: f"{HUGE_PAGES}:{KEPT}"}, "+pages"


def factories(peers: Sequence[str], torch_folder: str) -> dict[str, Factory]:
    """The sides by name, ours first."""
    # A process takes from the GPU what it needs, so that several can have theirs.
    environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **MEMORY}
    sides = {OURS: Factory("benchmarks.our_step", "OurStep", (), environment)}
    for peer in peers:
        sides[peer] = Factory(
            "benchmarks.torch_step",
            "TorchStep",
            (PEERS[peer.removesuffix(PAGES)], usable_cores()),
            MEMORY if peer.endswith(PAGES) else {},
            torch_folder,
        )
    return sides


def roofline(result: Mapping[str, Any], device: str) -> dict[str, float] | None:
    """Shares of the card's peaks; None for a device whose peaks are not known."""
    peaks = PEAKS.get(device)
    if peaks is None:
        return None
    program, seconds = result["program"], result["seconds"][OURS]["median"]
    compute = program["flops"] / peaks.flops
    traffic = program["traffic_bytes"] / peaks.bytes_per_second
    return {
        "compute_seconds": compute,
        "traffic_seconds": traffic,
        "floor_seconds": max(compute, traffic),
        "share_of_flops": compute / seconds,
        "share_of_bandwidth": traffic / seconds,
    }


def _row(result: Mapping[str, Any], peers: Sequence[str]) -> list[str]:
    job, seconds = result["job"], result["seconds"]
    ours = seconds[OURS]["median"]
    cells = [
        f"{job['name']}, B={job['batch']}, {job['size']}",
        f"{ours * 1e3:.1f}",
        f"{ours * 1e3 / job['batch']:.2f}",
    ]
    for peer in peers:
        if peer in result["failed"]:
            cells += [result["failed"][peer], "", "", "", ""]
            continue
        theirs = seconds[peer]["median"]
        cells += [
            f"{theirs * 1e3:.1f}",
            f"{theirs / ours:.2f}",
            _by_round(seconds[peer]["rounds"], seconds[OURS]["rounds"]),
            f"{seconds[peer]['processor'] / seconds[OURS]['processor']:.2f}",
            f"{result['loss_differences'][peer]:.0e}",
        ]
    return cells


def _by_round(theirs: Sequence[float], ours: Sequence[float]) -> str:
    """The least and the largest ratio that one process of each side gave."""
    ratios = [peer / own for peer, own in zip(theirs, ours, strict=True)]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def _program_row(result: Mapping[str, Any], device: str) -> list[str]:
    job, program = result["job"], result["program"]
    peak = result["peak_bytes"][OURS]
    shares = roofline(result, device)
    return [
        f"{job['name']}, B={job['batch']}, {job['size']}",
        f"{program['flops'] / 1e9:.1f}",
        f"{program['traffic_bytes'] / 1e6:.0f}",
        f"{program['temporary_bytes'] / 1e6:.0f}",
        f"{program['donated_bytes'] / 1e6:.0f}",
        f"{peak / 1e9:.2f}" if peak else "",
        *(
            [
                f"{shares['compute_seconds'] * 1e3:.2f}",
                f"{shares['traffic_seconds'] * 1e3:.2f}",
                f"{shares['share_of_flops']:.0%}",
                f"{shares['share_of_bandwidth']:.0%}",
            ]
            if shares
            else []
        ),
        "; ".join(f"{count} {name}" for name, count in program["convolutions"].items()),
    ]


def report(results: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """The tables."""
    peers, device = about["peers"], about["sides"][OURS]["device"]
    head = ["step", "ours, ms", "ms a clip"]
    for peer in peers:
        head += [
            f"PyTorch {peer}, ms",
            "theirs / ours",
            "by round",
            "by processor time",
            "losses off by",
        ]
    program = ["step", "GFLOP", "traffic, MB", "temporary, MB", "donated, MB", "peak, GB"]
    if device in PEAKS:
        program += ["floor by FLOPs, ms", "floor by traffic, ms", "of peak FLOP/s", "of bandwidth"]
    program.append("convolutions and kernels")
    others = [f"{name}: {side['version']}" for name, side in about["sides"].items()]
    setting = (
        f"ResNet18 student (infrared), ResNet50 teacher (colour, folded), base width {about['width']}, "
        f"{about['segments']} frames a clip, {about['dtype']}, {device}. {about['rounds']} rounds of new "
        f"processes, in each {about['turns']} turns of {about['steps']} steps a side, "
        f"{'one side after the other' if about['apart'] else 'in turns'}; medians of all. "
        f"Ours has the C library give it huge pages and keep them, as the "
        f"commands that train do, a peer only with {PAGES}. {', '.join(others)}. {machine_line(about['machine'])}."
    )
    meaning = (
        "theirs / ours: above 1, ours is faster. by round: the least and the largest of single processes. "
        "by processor time: the same of the seconds of all threads, "
        "which on one core (`taskset -c 0`) hold where other programs run. losses off by: "
        "largest relative difference of the losses of the first steps, from the same weights on the same batch."
    )
    holds = (
        "What the compiled step holds (ours): FLOPs by JAX before optimisation; traffic: operands and "
        "results of all kernels of the compiled module, each once."
    )
    parts = [
        "# A training step, ours and PyTorch's",
        setting,
        table(head, [_row(result, peers) for result in results]),
        meaning,
    ]
    # What a CPU's program does in loops and products of tiles, these counts do not see.
    if about["sides"][OURS]["platform"] == "gpu":
        parts += [holds, table(program, [_program_row(result, device) for result in results])]
    return "\n\n".join(parts)


def batches_of(kind: str, arguments: argparse.Namespace) -> str:
    """The batch sizes of a kind of step, joined by commas."""
    return (kind == "teacher" and arguments.teacher_batch) or arguments.batch


def main() -> None:
    """Runs the benchmark."""
    gpu = has_gpu()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--batch", default="256" if gpu else "2,8", help="joined by commas")
    parser.add_argument(
        "--teacher_batch", default="64" if gpu else "", help="of the teacher's step"
    )
    parser.add_argument("--size", default="224" if gpu else "112,224", help="joined by commas")
    parser.add_argument("--segments", type=int, default=8, help="frames a clip")
    parser.add_argument("--width", type=int, default=64, help="base width of both networks")
    parser.add_argument("--methods", default="teacher,student,mgcam+dkd", help="kinds of step")
    parser.add_argument("--dtype", default="bfloat16" if gpu else "float32", choices=TOLERANCE)
    parser.add_argument("--peers", default="eager,compile", help="joined by commas; none: empty")
    parser.add_argument("--torch", default="", help="folder that PyTorch is installed in")
    parser.add_argument(
        "--rounds", type=int, default=1 if gpu else 3, help="of new processes for a kind of step"
    )
    parser.add_argument("--repeats", type=int, default=9, help="turns of each side in a round")
    parser.add_argument("--steps", type=int, default=10 if gpu else 1, help="of a turn")
    parser.add_argument(
        "--apart", action="store_true", help="one side after the other: a GPU too small for all"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.repeats, arguments.steps) < 1:
        parser.error("--rounds, --repeats and --steps are at least 1")
    peers = [name for name in arguments.peers.split(",") if name]
    if unknown := {peer.removesuffix(PAGES) for peer in peers} - set(PEERS):
        parser.error(
            f"--peers: {sorted(unknown)}, expected some of {', '.join(PEERS)}, each as it is or with {PAGES}"
        )
    about: dict[str, Any] = {
        "machine": describe_here("jax", "flax", "numpy"),
        **{name: getattr(arguments, name) for name in ("segments", "width", "dtype", "steps")},
        "rounds": arguments.rounds,
        "turns": arguments.repeats,
        "apart": arguments.apart,
    }
    results = []
    try:
        jobs = [
            (kind, batch, size)
            for size in map(int, arguments.size.split(","))
            for kind in arguments.methods.split(",")
            for batch in map(int, batches_of(kind, arguments).split(","))
        ]
        about["sides"] = describe(factories(peers, arguments.torch))
        about["peers"] = [name for name in about["sides"] if name != OURS]
        for kind, batch, size in jobs:
            job = make_job(
                kind,
                distillation(kind).to_dict(),
                batch=batch,
                segments=arguments.segments,
                size=size,
                width=arguments.width,
                dtype=arguments.dtype,
            )
            result = measure(
                job,
                factories(about["peers"], arguments.torch),
                rounds=arguments.rounds,
                turns=arguments.repeats,
                steps=arguments.steps,
                apart=arguments.apart,
            )
            results.append(result)
            sys.stderr.write(" | ".join(_row(result, about["peers"])) + "\n")
    except (SideError, ValueError) as error:
        sys.exit(f"error: {error}")
    device = about["sides"][OURS]["device"]
    for result in results:
        result["roofline"] = roofline(result, device)
    publish({**about, "results": results}, report(results, about), arguments.out, "step")


if __name__ == "__main__":
    main()
