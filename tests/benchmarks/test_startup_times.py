"""The benchmark of what a user waits for: what it runs, and what it does when that fails."""

import sys

import pytest

from benchmarks.startup import COMMANDS, Command, seconds_of


def test_a_command_is_timed(tmp_path):
    command = Command((sys.executable, "-c", "import time; time.sleep(0.2)"), 0, None)
    assert 0.2 < seconds_of(command, tmp_path) < 60


def test_a_command_that_ends_otherwise_than_it_should(tmp_path):
    command = Command((sys.executable, "-c", "raise SystemExit('no such thing')"), 0, None)
    with pytest.raises(ValueError, match=r"(?s)code 1, expected 0.*no such thing"):
        seconds_of(command, tmp_path)


def test_nothing_compiled_is_found_from_before(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/somewhere")
    code = (
        "import os, sys\n"
        f"ok = os.environ['HOME'] == {str(tmp_path)!r} and 'JAX_COMPILATION_CACHE_DIR' not in os.environ\n"
        "sys.exit(0 if ok else 5)"
    )
    seconds_of(Command((sys.executable, "-c", code), 0, None), tmp_path)


def test_help_and_a_misspelt_field_end_as_expected(tmp_path):
    for name in ("main --help", "main, misspelt config field"):
        assert seconds_of(COMMANDS[name], tmp_path) > 0
