"""Runs that a test can kill: everything is imported once, and each run is a fork of that process.

Reads work directories and worker numbers from stdin, and answers with process numbers and exit
statuses on stdout.
"""

import json
import os
import pathlib
import sys

import jax
import sklearn.metrics  # noqa: F401

from configs import ntu
from rgb2ir_jax.training.experiment import Experiment

FIELDS = json.loads(sys.argv[1])


def train(workdir: str, workers: int) -> None:
    # Slow imports come before the fork, JAX's threads after it.
    jax.config.update("jax_platforms", "cpu")
    config = ntu.get_config("student")
    with config.unlocked():
        config.update_from_flattened_dict(
            {k: tuple(v) if isinstance(v, list) else v for k, v in FIELDS.items()}
        )
        config.data.workers = workers
    Experiment(config, pathlib.Path(workdir)).run()


def answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


for line in sys.stdin:
    workdir, workers = json.loads(line)
    child = os.fork()
    if not child:
        log = os.open(workdir + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = 1
        try:
            train(workdir, workers)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    answer(child)
    _, status = os.waitpid(child, 0)
    answer(os.waitstatus_to_exitcode(status))
