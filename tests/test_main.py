"""The command: a user's mistake is one clear message, told before any work."""

import os
import pathlib
import subprocess
import sys

import pytest

from configs.methods import DEFAULTS, SETTINGS

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = "--config=configs/ntu.py"


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "rgb2ir_jax.main", *arguments],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def refusal(tmp_path):
    """Runs the command with a mistake in it and returns what it says of it."""

    def run(*arguments):
        workdir = tmp_path / "run"
        outcome = command(*arguments, f"--workdir={workdir}")
        assert outcome.returncode == 2, outcome
        assert outcome.stderr.startswith("error: ")
        assert "Traceback" not in outcome.stderr + outcome.stdout
        assert not outcome.stdout
        assert not workdir.exists()
        return outcome.stderr.removeprefix("error: ").rstrip("\n")

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [f"{CONFIG}:nonsense"],
            (
                "variant 'nonsense' is not known; expected 'teacher', 'student' or methods joined by "
                f"'+' without repetition, of: {', '.join(sorted({*DEFAULTS, *SETTINGS}))}"
            ),
        ),
        (
            [CONFIG, "--config.optimizer.learning_rat=1"],
            (
                "the config has no such field: 'learning_rat'. Did you mean \"learning_rate\" instead "
                'of "learning_rat"?'
            ),
        ),
        (
            [CONFIG, "--config.optimiser.momentum=1"],
            (
                "the config has no such field: 'optimiser'. Did you mean \"optimizer\" instead of "
                '"optimiser"?'
            ),
        ),
        (
            [CONFIG, "--config.optimizer.momentum=much"],
            "flag --config.optimizer.momentum=much: could not convert string to float: 'much'",
        ),
        (
            ["--config=configs/missing.py"],
            "--config: [Errno 2] No such file or directory: 'configs/missing.py'",
        ),
        ([], "flag --config=None: Flag --config must have a value other than None."),
        ([CONFIG, "--wrkdir=x"], "Unknown command line flag 'wrkdir'. Did you mean: workdir ?"),
        (
            [CONFIG, "config.seed=3"],
            "unexpected arguments ['config.seed=3']; every option starts with --",
        ),
    ],
)
def test_a_mistake_in_the_command_line_is_one_line(refusal, arguments, message):
    assert refusal(*arguments) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [CONFIG, "--config.optimizer.learning_rate=-1"],
            "config.optimizer.learning_rate is -1.0, expected a finite number above 0",
        ),
        (
            [f"{CONFIG}:teacher", "--config.teacher.checkpoint=runs/old"],
            (
                "config.teacher.checkpoint is set, but the variant 'teacher' trains the teacher; "
                "leave one out"
            ),
        ),
    ],
)
def test_a_config_that_makes_no_sense_is_one_line(refusal, arguments, message):
    assert refusal(*arguments) == message


def test_a_missing_data_set_comes_with_the_command_that_builds_it(refusal, tmp_path):
    said = refusal(CONFIG, f"--config.data.dir={tmp_path / 'nowhere'}")
    assert f"config.data.dir is '{tmp_path / 'nowhere'}', and there is no such folder" in said
    assert "tfds build data_builders/ntu_rgbd_ir --config=ten_class_xsub" in said
    assert len(said.splitlines()) == 3


def test_a_missing_workdir_is_one_line():
    outcome = command(CONFIG)
    assert outcome.returncode == 2
    assert outcome.stderr == (
        "error: flag --workdir=None: Flag --workdir must have a value other than None.\n"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--config=configs/ntu.py:nonsense"]])
def test_help_and_mistakes_do_not_wait_for_jax(arguments):
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['main', *{arguments!r}]\n"
        "try:\n"
        "    runpy.run_module('rgb2ir_jax.main', run_name='__main__')\n"
        "finally:\n"
        "    print('heavy:', sorted({'jax', 'flax', 'tensorflow'} & set(sys.modules)))\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert outcome.stdout.splitlines()[-1] == "heavy: []"


def test_help_shows_how_the_command_is_called():
    outcome = command("--help")
    assert "--config=configs/ntu.py[:VARIANT] --workdir=DIR" in outcome.stdout
    assert not outcome.stderr
