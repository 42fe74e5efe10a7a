"""The experiment: pretrains the teacher, distils the student, tests it.

    python -m rgb2ir_jax.main --config=configs/ntu.py[:VARIANT] --workdir=DIR [--config.FIELD=VALUE
    ...]

On several hosts, once on each, or by srun or mpirun alone (docs/launch.md):

    python -m rgb2ir_jax.main ... --coordinator=HOST:PORT --num_processes=N --process_id=I

Started again with the same command, it goes on where it stopped. Exit codes: 0 done; 2 a mistake in
the command, config or environment; 3 the training diverged; 75 asked to end by SIGTERM or SIGINT, and
saved; 76 another process of the run ended; 130 ended at once by a second signal.
"""

import os
import shlex
import sys
from pathlib import Path

from absl import app, flags

from rgb2ir_jax.launch.command_line import define_config, fail, parse_flags
from rgb2ir_jax.launch.cpu_memory import (
    keep_memory_of_steps,
    largest_maps,
    start_with_memory_settings,
)
from rgb2ir_jax.launch.processes import define_processes, join
from rgb2ir_jax.training.garbage import collect_rarely

LOST_EXIT_CODE = 76
"""Of a process whose run has lost another one: EX_PROTOCOL of sysexits.h."""

_PROCESSES = define_processes()
_CONFIG = define_config()
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for checkpoints, metrics and results.", required=True
)


def main(_: list[str]) -> None:
    """Runs the experiment that the flags describe; a user's mistake is one line and exit code 2."""
    keeps_memory = start_with_memory_settings()
    collect_rarely()
    # JAX and all that builds on it load here, so that --help and a misspelt flag answer at once.
    try:
        join(_PROCESSES)
    except ValueError as error:
        fail(error)
    import jax

    from rgb2ir_jax.data.settings import validate as validate_data
    from rgb2ir_jax.launch.compilation_cache import use_compilation_cache
    from rgb2ir_jax.training.determinism import use_deterministic_kernels
    from rgb2ir_jax.training.environment import check_devices
    from rgb2ir_jax.training.validation import apply_smoke, validate

    use_compilation_cache()
    distils = "zero_dce" not in _CONFIG.value
    try:
        # Before the first look at a device.
        use_deterministic_kernels(_CONFIG.value)
        if distils and keeps_memory:
            keep_memory_of_steps(largest_maps(_CONFIG.value))
        check_devices()
        # The experiment does this too; but it takes seconds to load. Several processes fail together.
        if distils and jax.process_count() == 1:
            validate(apply_smoke(_CONFIG.value))
            validate_data(_CONFIG.value.data)
    except (ValueError, OSError) as error:
        fail(error)

    from rgb2ir_jax.reporting.tables import results_table
    from rgb2ir_jax.training.distributed import ToldError, is_main
    from rgb2ir_jax.training.enhancing.experiment import EnhancementExperiment
    from rgb2ir_jax.training.experiment import Experiment
    from rgb2ir_jax.training.observing.progress import show_log

    try:
        show_log()
        kind = Experiment if distils else EnhancementExperiment
        experiment = kind(_CONFIG.value, Path(_WORKDIR.value).expanduser())
    except ToldError:
        sys.exit(2)
    except (ValueError, OSError) as error:
        fail(error)
    from rgb2ir_jax.training.loop import DivergedError
    from rgb2ir_jax.training.signals import EXIT_CODE, Interrupted

    try:
        result = experiment.run()
    except DivergedError as error:
        if is_main():
            print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
    except Interrupted as stopped:
        again = shlex.join(["python", "-m", "rgb2ir_jax.main", *sys.argv[1:]])
        if is_main():
            print(f"{stopped}; go on with: {again}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    except RuntimeError as error:  # JAX's, when what it waits for from another process fails.
        if jax.process_count() == 1:
            raise
        reason = str(error).partition("\n")[0]
        print(
            f"error: {reason}. Has another process of this run ended? Start all of them again, and they "
            "go on from the last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        # Goodbyes would wait for a minute for the one that is not there.
        os._exit(LOST_EXIT_CODE)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    if not is_main():
        return
    if result["synthetic"]:
        print("On synthetic footage:\n")
    if "networks" in result:
        print(results_table(result["networks"]))
    else:
        losses = ", ".join(f"{name} {value:.4f}" for name, value in result["metrics"].items())
        print(f"{experiment.workdir / result['weights']}: {losses}")
    print(
        f"Results: {experiment.workdir / 'result.json'}; curves: tensorboard --logdir={experiment.workdir}"
    )


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
