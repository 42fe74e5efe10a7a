"""Starts processes of `rgb2ir_jax.main`: everything is imported once, and each is a fork of that.

Reads what to start, or whom to wait for, from stdin, and answers with process numbers and exit codes
on stdout.
"""

import json
import os
import sys

import sklearn.metrics  # noqa: F401
from absl import app

from rgb2ir_jax import main
from rgb2ir_jax.launch.command_line import parse_flags
from rgb2ir_jax.training import distributed, experiment  # noqa: F401

# What a test waits for in vain should not take a minute.
distributed._SECONDS_UNTIL_SEEN = 2.0


def answer(number):
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def become(arguments, environment, log):
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(environment)
    sys.argv = ["rgb2ir_jax.main", *arguments]
    # Ends by SystemExit, after which the processes say goodbye to each other.
    app.run(main.main, argv=sys.argv, flags_parser=parse_flags)


for line in sys.stdin:
    request = json.loads(line)
    if "wait" in request:
        _, status = os.waitpid(request["wait"], 0)
        answer(os.waitstatus_to_exitcode(status))
        continue
    child = os.fork()
    if not child:
        become(**request)
    answer(child)
