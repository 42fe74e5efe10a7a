"""The experiment: pretrains the teacher, distils the student, tests it.

    python -m rgb2ir_jax.main --config=configs/ntu.py[:VARIANT] --workdir=DIR [--config.FIELD=VALUE
    ...]

Started again with the same command, it goes on where it stopped.
"""

import sys
from pathlib import Path
from typing import NoReturn

from absl import app, flags
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file(
    "config", help_string="A file of configs/, with :VARIANT after it."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for checkpoints, metrics and results.", required=True
)
flags.mark_flag_as_required("config")


def parse_flags(arguments: list[str]) -> list[str]:
    """What absl does with the command line, but a user's mistake is one line and exit code 2."""
    try:
        remaining = flags.FLAGS(arguments)
        # A config file that is not there fails when the config is first looked at.
        _CONFIG.value.is_locked  # noqa: B018
    except flags.Error as error:
        _fail(_root(error) if "\n" in str(error) else error)
    except OSError as error:
        _fail(f"--config: {str(error).splitlines()[-1].strip()}")
    except (AttributeError, KeyError) as error:
        if "Traceback" in str(error):  # From within the config file: a bug for its author.
            raise
        # ml_collections names the field that the config does not have, and one that is like it.
        inner = error.args[0]
        found = inner.args[0] if isinstance(inner, KeyError) else inner
        _fail("the config has no such field: " + str(found).replace("\n", ". "))
    if len(remaining) > 1:
        _fail(f"unexpected arguments {remaining[1:]}; every option starts with --")
    return remaining


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _fail(message: object) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def main(_: list[str]) -> None:
    """Runs the experiment that the flags describe; a user's mistake is one line and exit code 2."""
    # JAX and all that builds on it load here, so that --help and a misspelt flag answer at once.
    from rgb2ir_jax.reporting.tables import results_table
    from rgb2ir_jax.training.experiment import Experiment
    from rgb2ir_jax.training.progress import show_log

    show_log()
    use_compilation_cache()
    try:
        experiment = Experiment(_CONFIG.value, Path(_WORKDIR.value).expanduser())
    except (ValueError, OSError) as error:
        _fail(error)
    from rgb2ir_jax.training.loop import DivergedError

    try:
        result = experiment.run()
    except DivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    print(results_table(result["networks"]))
    print(
        f"Results: {experiment.workdir / 'result.json'}; curves: tensorboard --logdir={experiment.workdir}"
    )


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk, unless JAX_COMPILATION_CACHE_DIR says where they go."""
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update(
            "jax_compilation_cache_dir", str(Path("~/.cache/rgb2ir_jax/xla").expanduser())
        )
        # Many small programs add up to seconds of every start.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
