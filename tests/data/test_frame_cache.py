"""The cache of decoded frames: batches are the same, and what does not fit is never read."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from rgb2ir_jax.data import frame_cache, frame_cache_build
from rgb2ir_jax.data.frame_cache import FrameCacheError, prepare
from rgb2ir_jax.data.pipeline import eval_batches, train_iterator
from rgb2ir_jax.data.source import open_split
from rgb2ir_jax.video.jpeg import decode_jpeg

BOTH = ("rgb", "ir")
NAME = "ntu_rgbd_ir/ten_class_xsub/1.0.0"


def trained(data, modalities=BOTH, count=7):
    with train_iterator(data, 7, 8, modalities) as iterator:
        return [next(iterator) for _ in range(count)]


def same(first, second):
    return all(
        sorted(a) == sorted(b) and all(np.array_equal(a[key], b[key]) for key in a)
        for a, b in zip(first, second, strict=True)
    )


def files_of(cache):
    return sorted(path for path in Path(cache).rglob("*") if path.is_file() and path.name != "lock")


@pytest.fixture
def cached(data, tmp_path):
    """The data section with a cache in a new folder."""
    data.cache = str(tmp_path / "cache")
    return data


@pytest.fixture
def own_records(data, data_dir, tmp_path):
    """The data section of a copy of the data set, with its folder, and a cache beside it."""
    shutil.copytree(data_dir, tmp_path / "data")
    data.dir, data.cache = str(tmp_path / "data"), str(tmp_path / "cache")
    return data, tmp_path / "data" / NAME


@pytest.mark.parametrize(("workers", "threads", "crop"), [(0, 0, 24), (0, 3, 32), (2, 0, 32)])
def test_batches_are_the_same_as_without(data, tmp_path, workers, threads, crop):
    data.rgb_jitter, data.ir_jitter, data.crop = (0.2, 0.2), (0.1, 0.3), crop
    expected = trained(data), list(eval_batches(data, "test", 4, BOTH))
    data.cache, data.workers, data.threads = str(tmp_path / "cache"), workers, threads
    assert same(trained(data), expected[0])
    assert same(list(eval_batches(data, "test", 4, BOTH)), expected[1])


def test_a_run_goes_on_with_a_cache_that_it_began_without(data, tmp_path):
    expected = trained(data, count=6)
    with train_iterator(data, 7, 8, BOTH) as iterator:
        for _ in range(3):
            next(iterator)
        state = json.dumps(iterator.get_state())
    data.cache = str(tmp_path / "cache")
    with train_iterator(data, 7, 8, BOTH) as iterator:
        iterator.set_state(json.loads(state))
        assert same([next(iterator) for _ in range(3)], expected[3:])


def test_all_stored_frames_are_kept(cached):
    clips = prepare(cached, {"test": BOTH})["test"]
    source = open_split(cached, "test")
    assert len(clips) == len(source) == 9
    for index, record in enumerate(source):
        assert clips[index]["label"] == record["label"]
        for modality, channels in (("rgb", 3), ("ir", 1)):
            for found, jpeg in zip(clips[index][modality], record[modality], strict=True):
                np.testing.assert_array_equal(found, decode_jpeg(jpeg, channels))


def test_only_the_wanted_modality_is_kept_and_the_other_added_later(cached):
    trained(cached, ("ir",), 1)
    (only,) = files_of(cached.cache)
    assert only.name == "train.ir.frames"
    made = only.stat().st_mtime_ns
    trained(cached, BOTH, 1)
    assert [path.name for path in files_of(cached.cache)] == ["train.ir.frames", "train.rgb.frames"]
    assert only.stat().st_mtime_ns == made


def test_slices_have_caches_of_their_own(cached):
    quarter, half = (
        prepare(cached, {split: ("ir",)})[split] for split in ("train[:25%]", "train[:50%]")
    )
    assert (len(quarter), len(half)) == (6, 11)
    assert len(files_of(cached.cache)) == 2
    assert all(
        set(path.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
        for path in files_of(cached.cache)
    )


def test_a_whole_cache_is_only_read(cached, monkeypatch):
    expected = trained(cached)
    (folder,) = Path(cached.cache).iterdir()
    (folder / "lock").unlink()
    folder.chmod(0o500)
    monkeypatch.setattr(frame_cache, "build", lambda jobs: pytest.fail("made anew"))
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    try:
        assert same(trained(cached), expected)
        assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("touched", "another record files"),
        ("info", "another metadata"),
        ("decoder", "another simplejpeg"),
        ("cut", "cannot be read: it has"),
        ("emptied", "cannot be read: it is no file of frames"),
    ],
)
def test_a_stale_cache_is_made_anew_with_the_reason(
    own_records, change, reason, caplog, monkeypatch
):
    data, records = own_records
    expected = trained(data, ("ir",))
    (file,) = files_of(data.cache)
    if change == "touched":
        shard = next(records.glob("*train.array_record*"))
        os.utime(shard, ns=(0, 0))
    elif change == "info":
        info = records / "dataset_info.json"
        info.write_text(info.read_text() + "\n")
    elif change == "decoder":
        monkeypatch.setattr(frame_cache.importlib.metadata, "version", lambda name: "0.0.1")
    else:
        file.write_bytes(file.read_bytes()[: -1 if change == "cut" else 0])
    caplog.clear()
    with caplog.at_level(logging.INFO, "rgb2ir_jax"):
        assert same(trained(data, ("ir",)), expected)
    assert reason in caplog.text
    assert "it is made anew" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "rgb2ir_jax"):
        trained(data, ("ir",), 1)
    assert not caplog.text


def test_two_data_sets_of_one_name_keep_apart(own_records, data_dir, monkeypatch):
    data, _ = own_records
    trained(data, ("ir",), 1)
    data.dir = str(data_dir)
    trained(data, ("ir",), 1)
    data.dir = str(Path(data.cache).parent / "data")
    monkeypatch.setattr(frame_cache, "build", lambda jobs: pytest.fail("made anew"))
    trained(data, ("ir",), 1)


def test_an_interrupted_build_leaves_nothing(cached, monkeypatch):
    calls = []

    def interrupted(jpeg, channels):
        calls.append(1)
        if len(calls) > 100:
            raise KeyboardInterrupt
        return decode_jpeg(jpeg, channels)

    monkeypatch.setattr(frame_cache_build, "decode_jpeg", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_iterator(cached, 7, 8, BOTH)
    assert len(calls) > 100
    assert not files_of(cached.cache)


_SCRIPT = """
import sys, time
import ml_collections
from rgb2ir_jax.data import frame_cache, frame_cache_build
from rgb2ir_jax.video.jpeg import decode_jpeg
def slow(jpeg, channels):
    time.sleep(float(sys.argv[1]))
    return decode_jpeg(jpeg, channels)
frame_cache_build.decode_jpeg = slow
frame_cache.prepare(ml_collections.ConfigDict({data!r}), {{"test": ("rgb", "ir")}})
"""


def start(data, seconds):
    script = _SCRIPT.format(data=data.to_dict())
    return subprocess.Popen([sys.executable, "-c", script, str(seconds)])


def test_a_killed_build_is_swept_away_by_the_next(cached):
    process = start(cached, 1.0)
    deadline = time.monotonic() + 60
    while len(files_of(cached.cache)) < 2:
        assert process.poll() is None, "ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert all(path.suffix == ".partial" for path in files_of(cached.cache))
    batches = list(eval_batches(cached, "test", 4, BOTH))
    assert [path.name for path in files_of(cached.cache)] == ["test.ir.frames", "test.rgb.frames"]
    cached.cache = ""
    assert same(batches, list(eval_batches(cached, "test", 4, BOTH)))


def test_two_processes_at_once_make_it_once(cached):
    processes = [start(cached, 0.003) for _ in range(2)]
    assert [process.wait(timeout=90) for process in processes] == [0, 0]
    assert [path.name for path in files_of(cached.cache)] == ["test.ir.frames", "test.rgb.frames"]
    batches = list(eval_batches(cached, "test", 4, BOTH))
    cached.cache = ""
    assert same(batches, list(eval_batches(cached, "test", 4, BOTH)))


def test_too_little_space_is_told_before_anything_is_written(cached, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(
        frame_cache_build.shutil, "disk_usage", lambda folder: usage(0, 0, 2**28 + 10**6)
    )
    with pytest.raises(FrameCacheError, match="The frame cache needs") as caught:
        prepare(cached, {"test": BOTH, "train": ("ir",)})
    # Nine and twenty-two clips: 40 frames of 64x36x3 and 25 of 48x40 pixels.
    rgb, test_ir, train_ir = 9 * 40 * 64 * 36 * 3, 9 * 25 * 48 * 40, 22 * 25 * 48 * 40
    numbers = [float(word) for word in str(caught.value).replace(",", " ").replace(")", " ").split()
               if word.replace(".", "").replace("e-", "").isdigit()]  # fmt: skip
    expected = [(rgb + test_ir + train_ir) / 1e9, rgb / 1e9, test_ir / 1e9, train_ir / 1e9]
    np.testing.assert_allclose(numbers[:4], expected, rtol=0.02)
    assert "--config.data.cache=FOLDER" in str(caught.value)
    assert "frame_stride" in str(caught.value)
    assert not files_of(cached.cache)


def test_a_full_disk_is_told(cached, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frame_cache_build.FrameWriter, "write", full)
    with pytest.raises(FrameCacheError, match=r"cannot be written .No space left on device"):
        prepare(cached, {"test": BOTH})
    assert not files_of(cached.cache)


@pytest.mark.parametrize("place", ["/proc/no/cache", "a_file/cache"])
def test_a_folder_that_cannot_be_written_is_told(data, tmp_path, place):
    (tmp_path / "a_file").write_text("")
    data.cache = str(tmp_path / place)
    with pytest.raises(FrameCacheError, match=r"cannot be written .*--config\.data\.cache=FOLDER"):
        train_iterator(data, 0, 8, BOTH)


def test_a_record_that_does_not_decode_is_named(cached, monkeypatch):
    def damaged(jpeg, channels):
        if channels == 1:
            raise ValueError("premature end")
        return decode_jpeg(jpeg, channels)

    monkeypatch.setattr(frame_cache_build, "decode_jpeg", damaged)
    with pytest.raises(FrameCacheError, match=r"clip \d of test \(S001C001P003.*premature end"):
        prepare(cached, {"test": BOTH})
    assert not files_of(cached.cache)


def test_progress_is_told_where_there_is_no_terminal(cached, caplog, monkeypatch):
    from rgb2ir_jax.data.build_progress import BuildProgress

    monkeypatch.setattr(BuildProgress, "SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO, "rgb2ir_jax"):
        prepare(cached, {"test": ("ir",)})
    assert "decoding test: 9 of 9 clips, 0.0 min left" in caplog.text
    assert "GB are free" in caplog.text
