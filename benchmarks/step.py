"""One training step: ours against the same networks, losses and optimizer in PyTorch.

    python -m benchmarks.step [--batch=2,8] [--size=112,224] [--segments=8] [--methods=teacher,student,mgcam+dkd]
        [--dtype=float32] [--peers=eager,eager+pages,compile] [--torch=DIR] [--repeats=9] [--out=DIR]

Kinds of step: "teacher" (ResNet50 on colour, cross-entropy), "student" (ResNet18 on infrared,
cross-entropy), and methods joined by "+" (student's step, the teacher's forward pass, losses). Ours is
the jitted step of `rgb2ir_jax/training/step.py`: donated state, SGD, folded teacher. PyTorch's is
`benchmarks/torch_step.py`: channels last, folded teacher, torch.optim.SGD; eager, and through
torch.compile; under autocast where the dtype is not float32. Input is uint8, on the device already.
Ours asks the C library for huge pages, as `rgb2ir_jax.main` does; PyTorch where "+pages" is added.

Before anything is timed, all sides do the first steps from the same weights on the same batch, and
their losses must agree. Then they are timed in turns (A B A B), each in a process of its own, a new one
for every kind of step, with as many threads as there are cores. PyTorch is found in the environment, or
in the folder that `--torch` names. Needs neither TensorFlow nor a data set.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.devices import PEAKS, describe_here, has_gpu
from benchmarks.job import Job, make_job
from benchmarks.machine import machine_line, publish, table, usable_cores
from benchmarks.sides import Factory, Side, SideError, Timing, measure_in_turns
from configs.methods import distillation
from rgb2ir_jax.launch.huge_pages import SETTING, VARIABLE

OURS = "ours"
PEERS = {"eager": False, "compile": True}
# What `rgb2ir_jax.main` starts itself with; a peer whose name ends in "+pages" has it too.
HUGE_PAGES, PAGES = {VARIABLE: SETTING}, "+pages"
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}


def factories(peers: Sequence[str], torch_folder: str) -> dict[str, Factory]:
    """The sides by name, ours first."""
    # A process takes from the GPU what it needs, so that several can have theirs.
    environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **HUGE_PAGES}
    sides = {OURS: Factory("benchmarks.our_step", "OurStep", (), environment)}
    for peer in peers:
        sides[peer] = Factory(
            "benchmarks.torch_step",
            "TorchStep",
            (PEERS[peer.removesuffix(PAGES)], usable_cores()),
            HUGE_PAGES if peer.endswith(PAGES) else {},
            torch_folder,
        )
    return sides


@contextlib.contextmanager
def in_processes(made: Mapping[str, Factory]) -> Iterator[dict[str, Side]]:
    """The sides, each in a new process: what one job leaves in memory slows the next one down."""
    with contextlib.ExitStack() as open_sides:
        sides = {}
        for name, factory in made.items():
            sides[name] = Side(factory)
            open_sides.callback(sides[name].close)
        yield sides


def describe(sides: Mapping[str, Side]) -> dict[str, Any]:
    """What those that can run are, by name, ours first.

    Raises:
        SideError: ours cannot.
    """
    found = {}
    for name, side in sides.items():
        try:
            found[name] = side.call("describe")
        except SideError as error:
            if name == OURS:
                raise
            sys.stderr.write(f"PyTorch {name} is left out: {error}\n")
    return found


def check_parity(found: Mapping[str, Mapping[str, Any]], tolerance: float) -> dict[str, float]:
    """The largest relative difference of each peer's losses from ours; gradients may differ tenfold.

    Raises:
        ValueError: one is above the tolerance: the sides do not compute the same.
    """
    differences: dict[str, float] = {}
    for name, outcome in found.items():
        if name == OURS:
            continue
        for what, allowed in (("losses", tolerance), ("grad_norms", 10 * tolerance)):
            ours, theirs = found[OURS][what], outcome[what]
            off = max(abs(a - b) / abs(a) for a, b in zip(ours, theirs, strict=True))
            differences.setdefault(name, off)
            if not off <= allowed:
                raise ValueError(
                    f"{name}: {what} of the first steps are {theirs}, ours {ours}; expected them to "
                    f"agree to {allowed:g}, so nothing was timed"
                )
    return differences


def measure(
    job: Job, sides: Mapping[str, Side], *, turns: int, steps: int, apart: bool
) -> dict[str, Any]:
    """Parity, times and the program of one kind of step; a side that failed has a text instead."""
    prepared: dict[str, Any] = {}
    failed: dict[str, str] = {}
    timings: dict[str, Timing] = {}
    peaks: dict[str, int | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, side in sides.items():
            try:
                prepared[name] = side.call("prepare", job, Path(folder))
                if apart:
                    timings |= measure_in_turns({name: side}, ("time", steps), turns)
                    peaks[name] = side.call("peak_bytes")
                    side.call("release")
            except SideError as error:
                if name == OURS:
                    raise
                failed[name] = str(error)
    differences = check_parity(prepared, TOLERANCE[job.dtype])
    ready = {name: side for name, side in sides.items() if name in prepared}
    if not apart:
        timings = measure_in_turns(ready, ("time", steps), turns)
        peaks = {name: side.call("peak_bytes") for name, side in ready.items()}
    return {
        "job": job._asdict(),
        "losses": {name: outcome["losses"] for name, outcome in prepared.items()},
        "grad_norms": {name: outcome["grad_norms"] for name, outcome in prepared.items()},
        "loss_differences": differences,
        "seconds": {name: timing._asdict() for name, timing in timings.items()},
        "peak_bytes": peaks,
        "failed": failed,
        "compile_seconds": prepared[OURS]["compile_seconds"],
        "program": prepared[OURS]["program"],
    }


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
            cells += [result["failed"][peer], "", "", ""]
            continue
        theirs = seconds[peer]["median"]
        cells += [
            f"{theirs * 1e3:.1f}",
            f"{theirs / ours:.2f}",
            f"{seconds[peer]['processor'] / seconds[OURS]['processor']:.2f}",
            f"{result['loss_differences'][peer]:.0e}",
        ]
    return cells


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
        head += [f"PyTorch {peer}, ms", "theirs / ours", "by processor time", "losses off by"]
    program = ["step", "GFLOP", "traffic, MB", "temporary, MB", "donated, MB", "peak, GB"]
    if device in PEAKS:
        program += ["floor by FLOPs, ms", "floor by traffic, ms", "of peak FLOP/s", "of bandwidth"]
    program.append("convolutions and kernels")
    others = [f"{name}: {side['version']}" for name, side in about["sides"].items()]
    setting = (
        f"ResNet18 student (infrared), ResNet50 teacher (colour, folded), base width {about['width']}, "
        f"{about['segments']} frames a clip, {about['dtype']}, {device}. {about['turns']} turns of "
        f"{about['steps']} steps a side, {'one side after the other' if about['apart'] else 'in turns'}; "
        f"medians; a new process for each kind of step. Ours asks the C library for huge pages, as the "
        f"commands that train do, a peer only with {PAGES}. {', '.join(others)}. {machine_line(about['machine'])}."
    )
    meaning = (
        "theirs / ours: above 1, ours is faster. by processor time: the same of the seconds of all threads, "
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
    parser.add_argument("--repeats", type=int, default=9, help="turns of each side")
    parser.add_argument("--steps", type=int, default=10 if gpu else 1, help="of a turn")
    parser.add_argument(
        "--apart", action="store_true", help="one side after the other: a GPU too small for all"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    peers = [name for name in arguments.peers.split(",") if name]
    if unknown := {peer.removesuffix(PAGES) for peer in peers} - set(PEERS):
        parser.error(
            f"--peers: {sorted(unknown)}, expected some of {', '.join(PEERS)}, each as it is or with {PAGES}"
        )
    about: dict[str, Any] = {
        "machine": describe_here("jax", "flax", "numpy"),
        **{name: getattr(arguments, name) for name in ("segments", "width", "dtype", "steps")},
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
        with in_processes(factories(peers, arguments.torch)) as made:
            about["sides"] = describe(made)
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
            with in_processes(factories(about["peers"], arguments.torch)) as sides:
                result = measure(
                    job,
                    sides,
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
