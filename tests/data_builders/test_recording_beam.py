"""A build on Beam's in-process runner gives what a local build gives."""

import json
import os
import pathlib
import subprocess
import sys

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_builders.ntu_rgbd_ir.ntu_rgbd_ir_dataset_builder import Builder
from data_builders.recording.report import TooManyBadClipsError

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning"),
    # Beam's own imports and its runner's threads.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


ROOT = pathlib.Path(__file__).parents[2]


def build(manual_dir, data_dir, *, on_beam):
    from apache_beam.options.pipeline_options import PipelineOptions

    builder = Builder(data_dir=data_dir)
    builder.workers = 0
    # What `tfds build --beam_pipeline_options=runner=FnApiRunner,...` makes of its argument.
    options = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            manual_dir=manual_dir, beam_options=options if on_beam else None
        )
    )
    return tfds.builder_from_directory(builder.data_dir)


def report(builder):
    return json.loads((pathlib.Path(builder.data_dir) / "build_report.json").read_text())


@pytest.fixture
def damaged(tmp_path, footage):
    folder = tmp_path / "in"
    for sample in footage.samples:
        footage.write_sample(folder, sample, 5, 4)
    (folder / "nturgb+d_ir" / f"{footage.samples[0]}_ir.avi").write_bytes(b"RIFF")
    (folder / "nturgb+d_rgb" / f"{footage.samples[3]}_rgb.avi").unlink()
    return folder


def test_the_same_records_and_the_same_report(damaged, tmp_path, monkeypatch):
    monkeypatch.setenv("RGB2IR_BUILD_MAX_BAD_FRACTION", "0.25")
    local = build(damaged, tmp_path / "local", on_beam=False)
    beam = build(damaged, tmp_path / "beam", on_beam=True)
    for split, size in (("train", 3), ("test", 3)):
        both = [list(builder.as_data_source(split=split)) for builder in (local, beam)]
        assert len(both[0]) == len(both[1]) == size
        for a, b in zip(*both, strict=True):
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(np.asarray(a[name]), np.asarray(b[name]))
    assert report(beam) == report(local)
    assert len(report(beam)["skipped"]) == 2
    assert not list(pathlib.Path(beam.data_dir).glob("outcomes*"))


def test_too_many_bad_clips_stop_a_beam_build_too(damaged, tmp_path, footage, monkeypatch):
    monkeypatch.setenv("RGB2IR_BUILD_MAX_BAD_FRACTION", "0.125")
    with pytest.raises(TooManyBadClipsError, match=f"{footage.samples[0]}.*cannot be opened"):
        build(damaged, tmp_path / "out", on_beam=True)
    assert not list((tmp_path / "out").rglob("dataset_info.json"))


def test_a_split_without_any_good_clip_is_explained(damaged, tmp_path, footage, monkeypatch):
    monkeypatch.setenv("RGB2IR_BUILD_MAX_BAD_FRACTION", "0.5")
    for path in damaged.rglob("*_rgb.avi"):
        if path.name[8:12] in ("P001", "P002", "P038"):
            path.write_bytes(b"no video")
    (damaged / "nturgb+d_ir" / f"{footage.samples[4]}_ir.avi").unlink()
    with pytest.raises(TooManyBadClipsError, match=r"of 8 clips cannot be used"):
        build(damaged, tmp_path / "out", on_beam=True)


@pytest.mark.slow
def test_the_stock_command_with_beam_and_a_config_of_ones_own(footage_dir, tmp_path):
    config = {"name": "thin", "num_classes": 10, "protocol": "xview", "frame_stride": 4}
    command = [
        pathlib.Path(sys.executable).with_name("tfds"), "build", "data_builders/ntu_rgbd_ir",
        f"--config={json.dumps(config)}", f"--manual_dir={footage_dir}", f"--data_dir={tmp_path}",
        "--beam_pipeline_options=runner=FnApiRunner,direct_running_mode=in_memory",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Wrote 5 train, 3 test" in done.stdout
    built = tfds.builder_from_directory(tmp_path / "ntu_rgbd_ir" / "thin" / "1.0.0")
    for record in built.as_data_source(split="test"):
        assert (record["rgb_frames"], record["ir_frames"]) == (16, 14)
        assert len(record["rgb"]) == len(record["ir"]) == 4
