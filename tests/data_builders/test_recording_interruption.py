"""kill -9 at any moment leaves nothing that reads as complete, and a rerun builds the same."""

import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds

from rgb2ir_jax.video.encode import write_video

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = """
import sys
import tensorflow_datasets as tfds
from data_builders.ntu_rgbd_ir.ntu_rgbd_ir_dataset_builder import Builder
builder = Builder(data_dir=sys.argv[2])
builder.download_and_prepare(
    download_config=tfds.download.DownloadConfig(manual_dir=sys.argv[1])
)
"""


def start(manual_dir, data_dir):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(manual_dir), str(data_dir)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "RGB2IR_BUILD_WORKERS": "2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def contents(data_dir):
    """Metadata byte for byte, and the records (array_record files hold more than the records)."""
    folder = data_dir / "ntu_rgbd_ir" / "ten_class_xsub" / "1.0.0"
    found = {path.name: path.read_bytes() for path in folder.glob("*.json")}
    found["build_report.json"] = json.loads(found["build_report.json"])["written"]
    builder = tfds.builder_from_directory(folder)
    for split in builder.info.splits:
        content = hashlib.sha256()
        for record in builder.as_data_source(split=split):
            for name in sorted(record):
                for part in record[name] if name in ("rgb", "ir") else [record[name]]:
                    content.update(np.asarray(part).tobytes() + name.encode())
        found[split] = content.hexdigest()
    return found


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def session_is_over(session):
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
def test_a_killed_build_leaves_nothing_and_a_rerun_gives_the_same(tmp_path):
    footage = tmp_path / "footage"
    footage.mkdir()
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (40, 108, 192, 3), np.uint8)
    write_video(tmp_path / "rgb.avi", frames)
    write_video(tmp_path / "ir.avi", frames[:, :, :, :1])
    for performer in (1, 3):
        for action in range(1, 11):
            for modality in ("rgb", "ir"):
                name = f"S001C001P{performer:03}R001A{action:03}_{modality}.avi"
                (footage / name).hardlink_to(tmp_path / f"{modality}.avi")
    whole = start(footage, tmp_path / "whole")
    wait_for(lambda: list((tmp_path / "whole").rglob("build.lock")))
    begun = time.monotonic()
    assert whole.wait(60) == 0
    takes = time.monotonic() - begun
    for seed in range(2):
        killed = start(footage, tmp_path / "killed")
        wait_for(lambda: list((tmp_path / "killed").rglob("build.lock")))
        time.sleep(random.Random(seed).uniform(0, takes * 0.8))
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(10)
        assert not list((tmp_path / "killed").rglob("dataset_info.json"))
        assert len(list((tmp_path / "killed").rglob("incomplete.*"))) == 1
        # No worker outlives its build.
        wait_for(lambda session=killed.pid: session_is_over(session), 15)
    assert start(footage, tmp_path / "killed").wait(60) == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert not list((tmp_path / "killed").rglob("incomplete.*"))
    folder = tmp_path / "killed" / "ntu_rgbd_ir" / "ten_class_xsub" / "1.0.0"
    assert tfds.builder_from_directory(folder).info.splits.total_num_examples == 20
