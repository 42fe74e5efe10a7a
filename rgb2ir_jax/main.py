"""The experiment: pretrains the teacher, distils the student, tests it.

    python -m rgb2ir_jax.main --config=configs/ntu.py[:VARIANT] --workdir=DIR [--config.FIELD=VALUE
    ...]

Started again with the same command, it goes on where it stopped. Exit codes: 0 done; 2 a mistake in
the command, config or environment; 3 the training diverged; 75 asked to end by SIGTERM or SIGINT, and
saved; 130 ended at once by a second signal.
"""

import shlex
import sys
from pathlib import Path

from absl import app, flags

from rgb2ir_jax.launch.command_line import define_config, fail, parse_flags

_CONFIG = define_config()
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for checkpoints, metrics and results.", required=True
)


def main(_: list[str]) -> None:
    """Runs the experiment that the flags describe; a user's mistake is one line and exit code 2."""
    # JAX and all that builds on it load here, so that --help and a misspelt flag answer at once.
    from rgb2ir_jax.launch.compilation_cache import use_compilation_cache
    from rgb2ir_jax.reporting.tables import results_table
    from rgb2ir_jax.training.experiment import Experiment
    from rgb2ir_jax.training.progress import show_log

    show_log()
    use_compilation_cache()
    try:
        experiment = Experiment(_CONFIG.value, Path(_WORKDIR.value).expanduser())
    except (ValueError, OSError) as error:
        fail(error)
    from rgb2ir_jax.training.loop import DivergedError
    from rgb2ir_jax.training.signals import EXIT_CODE, Interrupted

    try:
        result = experiment.run()
    except DivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
    except Interrupted as stopped:
        again = shlex.join(["python", "-m", "rgb2ir_jax.main", *sys.argv[1:]])
        print(f"{stopped}; go on with: {again}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    if result["synthetic"]:
        print("On synthetic footage:\n")
    print(results_table(result["networks"]))
    print(
        f"Results: {experiment.workdir / 'result.json'}; curves: tensorboard --logdir={experiment.workdir}"
    )


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
