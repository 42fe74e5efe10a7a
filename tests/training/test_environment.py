"""Mistakes in config and environment: one line each, before any work."""

import os
import pathlib
import shutil
import subprocess
import sys
import types

import jax
import pytest

from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training import environment
from rgb2ir_jax.training.experiment import Experiment

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def config_of(tiny_config, data_dir):
    def of(variant="student", **fields):
        config = tiny_config(variant)
        with config.unlocked():
            config.update_from_flattened_dict({"data.dir": str(data_dir), **fields})
        return config

    return of


@pytest.mark.parametrize(
    ("variant", "fields", "message"),
    [
        ("student", {"optimizer.learning_rate": -1.0}, r"config\.optimizer\.learning_rate is -1\.0, expected"),
        ("student", {"student.batch_size": 0}, r"config\.student\.batch_size is 0, expected"),
        ("student", {"data.crop": 48}, r"config\.data\.crop is 48 and config\.data\.resize 36"),
        ("student", {"teacher.checkpoint": "x"}, "variant 'student' has no teacher; leave one out"),
        ("student", {"student.batch_size": 64}, r"the split 'train' of .* has 24 clips; lower it"),
        ("student", {"data.test_split": "validation"}, r"has no split 'validation'; it has"),
        ("mgcam+dkd", {"teacher.checkpoint": "nowhere"}, r"which holds no trained teacher: expected"),
        ("student", {"checkpoint.best_metric": "top1"}, r"expected one of 'test/top1', "),
        ("student", {"checkpoint.keep": 10**9}, r"GB free, and the checkpoints of this run will take about"),
        ("student", {"early_stopping.patience": -1}, r"early_stopping\.patience is -1, expected"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_before_any_work(config_of, tmp_path, variant, fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        Experiment(config_of(variant, **fields), tmp_path / "run")
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_named(config_of, tmp_path, monkeypatch):
    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(environment.tempfile, "TemporaryFile", refused)
    with pytest.raises(ValueError, match=r"--workdir .*/run cannot be written: Permission denied"):
        Experiment(config_of(), tmp_path / "run")


def test_a_full_disk_is_noticed_before_the_first_step(config_of, tmp_path, monkeypatch):
    config = config_of()
    with config.unlocked():
        config.student.depth, config.student.width = 18, 64
    # A ResNet18 of ten classes with one input channel, by torchvision's count.
    parameters = 11_689_512 - 2 * 64 * 49 - 990 * 513
    statistics = 2 * (64 + 4 * 64 + 5 * 128 + 5 * 256 + 5 * 512)
    needed = 4 * (2 * parameters + statistics)
    spec = NetworkSpec.from_config(config.student, 10)
    assert environment.checkpoint_bytes(config, spec) == needed
    free = types.SimpleNamespace(free=4 * needed)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    environment.check_disk(tmp_path, config, ["student"], 10)
    free.free -= 1
    with pytest.raises(
        ValueError, match=r"has 0\.4 GB free, .* about 0\.4 GB \(4 for each network\)"
    ):
        environment.check_disk(tmp_path, config, ["student"], 10)


def test_devices_that_are_not_there_are_named(monkeypatch):
    def none():
        raise RuntimeError("Unable to initialize backend 'cuda':\n no driver")

    monkeypatch.setattr(jax, "devices", none)
    with pytest.raises(ValueError, match=r"backend 'cuda': no driver\. Look at JAX_PLATFORMS"):
        environment.check_devices()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"JAX_PLATFORMS": "cuda"}, "JAX finds no device to compute on: "),
        (
            {"XLA_FLAGS": "--xla_force_host_platform_device_count=3", "JAX_PLATFORMS": "cpu"},
            "config.student.batch_size is 8, which 3 devices cannot share equally",
        ),
    ],
)
def test_the_command_prints_it_and_exits_with_2(data_dir, tmp_path, settings, message):
    outcome = subprocess.run(
        [
            *(sys.executable, "-m", "rgb2ir_jax.main", "--config=configs/ntu.py:student"),
            *("--config.teacher.batch_size=12", f"--workdir={tmp_path / 'run'}"),
            f"--config.data.dir={data_dir}",
        ],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 2, outcome.stderr
    (line,) = outcome.stderr.splitlines()
    assert line.startswith(f"error: {message}")
