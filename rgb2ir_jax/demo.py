"""The whole story in miniature: film, build, train three networks, test them, print the table.

    python -m rgb2ir_jax.demo [--out=runs/demo] [--seeds=1] [--clips=N]

What is already there is reused, so a second run takes seconds and an interrupted one goes on. The footage
is synthetic; its numbers say nothing about NTU RGB+D.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rgb2ir_jax.launch.cpu_memory import start_with_memory_settings

# The networks in the order of training: the distilled student learns from the first one's teacher.
_VARIANTS = ("teacher", "student", "mgcam+dkd")
_REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS_FILE = "results.json"

CLIPS = 1300
HEIGHT = 108
FOOTAGE_SEED = 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the demo; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rgb2ir_jax.demo",
        description="Films a synthetic data set, trains teacher and students on it, prints the table.",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="work directory")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each network")
    parser.add_argument("--clips", type=int, default=CLIPS, help="pairs of videos to film")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}, expected at least 1")
    if options.clips < 20:
        parser.error(f"--clips is {options.clips}, expected at least 20: ten classes in two splits")

    start_with_memory_settings()
    from rgb2ir_jax.synthesis.dataset import SynthesisError

    started = time.monotonic()
    try:
        film(options.out / "footage", options.clips)
        build(options.out / "footage", options.out / "data", options.clips)
        entries = train(options.out, range(options.seeds))
    except (SynthesisError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on where it was")
    _print_table(entries, options.out, time.monotonic() - started)
    return 0


def film(footage: Path, clips: int) -> None:
    """Step 1: synthetic video files in NTU RGB+D's layout.

    Raises:
        SynthesisError: the folder holds other footage.
    """
    from rgb2ir_jax.synthesis.dataset import SynthesisError, film_dataset

    _headline(f"1/3  Filming {clips} pairs of RGB and infrared videos into {footage}")
    report = film_dataset(footage, clips=clips, height=HEIGHT, seed=FOOTAGE_SEED)
    there = len(list(footage.glob("nturgb+d_ir/*_ir.avi")))
    if there > clips:
        raise SynthesisError(
            f"{footage} holds {there} pairs, more than the {clips} asked for; choose another --out, or "
            f"--clips={there}"
        )
    if report.filmed:
        print(f"filmed {report.filmed} pairs, {report.pairs_per_minute:.0f} a minute")
    if report.reused:
        print(f"{report.reused} pairs are there already: reused")


def build(footage: Path, data: Path, clips: int) -> None:
    """Step 2: the stock `tfds build` turns the files into records."""
    from configs import demo
    from rgb2ir_jax.data.source import DatasetNotFoundError, describe

    config = demo.get_config().data.copy_and_resolve_references()
    config.unlock()
    config.dir = str(data)
    _headline(f"2/3  Building the data set {config.name}/{config.config} in {data}")
    try:
        found = sum(describe(config).num_clips.values())
    except DatasetNotFoundError:
        found = 0
    if found == clips:
        print(f"{found} clips are there already: reused")
        return
    command = [
        str(Path(sys.executable).with_name("tfds")),
        "build",
        str(_REPOSITORY / "data_builders" / config.name),
        f"--config={config.config}",
        f"--manual_dir={footage}",
        f"--data_dir={data}",
    ]
    if found:
        print(f"{found} clips were built from other footage: built anew")
        command.append("--overwrite")
    print("$ " + " ".join(command), flush=True)
    log = data.parent / "build.log"
    data.mkdir(parents=True, exist_ok=True)
    # The command's own log is long and of interest only when it fails; its progress bar goes with it.
    with log.open("w") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if status.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        sys.exit(
            f"{tail}\nerror: tfds build failed with code {status.returncode}; its log is {log}"
        )
    print(f"built {sum(describe(config).num_clips.values())} clips; log in {log}")


def train(out: Path, seeds: range) -> list[dict[str, Any]]:
    """Step 3: the RGB teacher, the infrared student alone, the distilled student, for each seed.

    Raises:
        Interrupted: SIGTERM or SIGINT asked to end; what is done is saved.
    """
    from configs import demo
    from rgb2ir_jax.launch.compilation_cache import use_compilation_cache
    from rgb2ir_jax.training.checkpoints import write_json
    from rgb2ir_jax.training.experiment import Experiment
    from rgb2ir_jax.training.garbage import collect_rarely
    from rgb2ir_jax.training.loop import DivergedError
    from rgb2ir_jax.training.observing.progress import show_log

    collect_rarely()
    show_log()
    use_compilation_cache()
    entries: list[dict[str, Any]] = []
    for seed in seeds:
        runs = out / f"seed{seed}"
        for variant in _VARIANTS:
            _headline(f"3/3  Training '{variant}', seed {seed}, in {runs / variant}")
            config = demo.get_config(variant)
            config.seed = seed
            config.data.dir = str(out / "data")
            if config.distill:
                config.teacher.checkpoint = str(runs / "teacher")
            try:
                result = Experiment(config, runs / variant).run_before_others()
            except (ValueError, DivergedError) as error:
                sys.exit(f"error: {error}")
            entries += [_entry(network) for network in result["networks"]]
            write_json(out / RESULTS_FILE, _with_earlier(entries, out / RESULTS_FILE))
    return entries


def _with_earlier(entries: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """The entries and those of other seeds and variants that an earlier call left in the file."""
    earlier = json.loads(path.read_text()) if path.is_file() else []
    ours = {(entry["seed"], entry["variant"]) for entry in entries}
    others = [entry for entry in earlier if (entry["seed"], entry["variant"]) not in ours]
    order = {variant: place for place, variant in enumerate(_VARIANTS)}
    return sorted(entries + others, key=lambda entry: (entry["seed"], order[entry["variant"]]))


def _entry(network: dict[str, Any]) -> dict[str, Any]:
    return {
        key: network[key]
        for key in (
            "variant",
            "modality",
            "seed",
            "top1",
            "top5",
            "mean_class_accuracy",
            "clips_tested",
            "seconds",
            "config_name",
        )
    }


def _headline(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _print_table(entries: list[dict[str, Any]], out: Path, seconds: float) -> None:
    from rgb2ir_jax.reporting.tables import results_table, spread_table

    print("\nSynthetic footage, cross-subject test set, chance is 10%:\n")
    print(results_table(entries))
    if len({entry["seed"] for entry in entries}) > 1:
        print("\nMean and standard deviation over seeds:\n")
        print(spread_table(entries))
    print(
        f"\nTook {seconds / 60:.1f} minutes. Where to look:\n"
        f"  {out / RESULTS_FILE}: these numbers\n"
        f"  {out}/seed0/*/*/confusion.png: who is mistaken for what\n"
        f"  {out}/footage: the videos\n"
        f"  .venv/bin/tensorboard --logdir={out}: curves and figures"
    )


if __name__ == "__main__":
    sys.exit(main())
