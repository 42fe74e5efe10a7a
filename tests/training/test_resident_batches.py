"""Batches cut on the devices are the host's, bit for bit, and what cannot be so is refused."""

import json
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from rgb2ir_jax.data.frame_cache import CachedClips
from rgb2ir_jax.data.frame_file import FrameFile, FrameIndex, write_frame_file
from rgb2ir_jax.training.batches_ahead import two_ahead
from rgb2ir_jax.training.experiment import Experiment
from rgb2ir_jax.training.observing.stopwatch import Stopwatch
from rgb2ir_jax.training.resident import batches as resident
from rgb2ir_jax.training.resident import frames as resident_frames
from rgb2ir_jax.training.resident.batches import ResidentBatches, training_batches
from rgb2ir_jax.training.resident.frames import check_fits
from rgb2ir_jax.training.sharding import make_mesh, split_batch
from tests.simulated_devices import environment_of

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

ROOT = pathlib.Path(__file__).parents[2]
BOTH = ("ir", "rgb")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def data(tiny_config, data_dir, cache):
    """The data section of frames on the device. Pictures have 40 x 64 pixels."""
    config = tiny_config("mgcam+dkd").copy_and_resolve_references()
    config.data.dir, config.data.cache, config.data.on_device = str(data_dir), str(cache), True
    return config.data


def taken(data, count, *, state=None, seed=5, modalities=BOTH):
    """Some batches on the host, the state after them, and where their frames were."""
    with training_batches(data, seed, 8, modalities, mesh=make_mesh()) as batches:
        if state is not None:
            batches.set_state(json.loads(json.dumps(state)))
        found = [next(batches) for _ in range(count)]
        kinds = {type(batch[name]) for batch in found for name in modalities}
        found = [{k: np.asarray(v) for k, v in batch.items()} for batch in found]
        return found, batches.get_state(), kinds


def on_host(data):
    data = data.copy_and_resolve_references()
    data.on_device = False
    return data


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert sorted(one) == sorted(other)
        for name in one:
            assert one[name].dtype == other[name].dtype, name
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"crop": 20, "threads": 2, "workers": 1},
        {"sampling": "dense", "segments": 4, "frame_stride": 2, "train_reach": 0.3},
    ],
)
def test_batches_of_several_epochs_are_the_hosts(data, fields):
    data.update(fields)
    # Three steps an epoch.
    found, state, kinds = taken(data, 7)
    data.workers = 0
    expected, host_state, _ = taken(on_host(data), 7)
    assert_same(found, expected)
    assert state == host_state
    assert all(issubclass(kind, jax.Array) for kind in kinds)
    assert not np.array_equal(found[0]["rgb"], found[3]["rgb"])


def test_another_seed_gives_other_batches_and_one_modality_the_same_as_both(data):
    both, *_ = taken(data, 1)
    other, *_ = taken(data, 1, seed=6)
    alone, *_ = taken(data, 1, modalities=("ir",))
    assert not np.array_equal(both[0]["ir"], other[0]["ir"])
    np.testing.assert_array_equal(both[0]["ir"], alone[0]["ir"])
    assert "rgb" not in alone[0]


def test_a_run_goes_on_from_the_host_to_the_device_and_back(data):
    expected, *_ = taken(on_host(data), 6)
    _, state, _ = taken(on_host(data), 2)
    middle, state, _ = taken(data, 2, state=state)
    last, *_ = taken(on_host(data), 2, state=state)
    assert_same([*middle, *last], expected[2:])


def test_frames_arrive_whole_in_pieces(data, monkeypatch):
    expected, *_ = taken(data, 2)
    # Seven pictures at once, which their number is no multiple of.
    monkeypatch.setattr(resident_frames, "_PIECE", 7 * 40 * 64 * 3 + 1)
    assert_same(taken(data, 2)[0], expected)


def test_training_ends_with_the_same_parameters(data, make_rig, tiny_config):
    rig = make_rig(tiny_config("student"))
    mesh, ended = make_mesh(), []
    for section in (data, on_host(data)):
        state = rig.new_state()
        with (
            training_batches(section, 1, 8, ("ir",), mesh=mesh) as batches,
            Stopwatch() as stopwatch,
        ):
            for ahead in two_ahead(batches, mesh, range(1, 5), stopwatch):
                assert ahead.batch["ir"].sharding == split_batch(mesh)
                assert ahead.position["step"] == min(ahead.step, 4)
                state, terms = rig.train_step(state, (), ahead.batch)
        ended.append(jax.device_get((state, terms)))
    first, second = map(jax.tree.leaves, ended)
    assert len(first) == len(second) > 60
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


_TWO_DEVICES = """
import json, sys
import jax, ml_collections, numpy as np
from rgb2ir_jax.training.resident.batches import training_batches
from rgb2ir_jax.training.sharding import make_mesh, put_batch, split_batch
data, *joint = (json.loads(word) for word in sys.argv[1:])
if joint:
    jax.distributed.initialize(*joint)
data = ml_collections.ConfigDict(data)
for model in (1, 2):
    mesh, found = make_mesh(model), []
    for data.on_device in (True, False):
        with training_batches(data, 5, 8, ("ir", "rgb"), mesh=mesh) as batches:
            found.append([put_batch(next(batches), mesh) for _ in range(4)])
    for one, other in zip(*found, strict=True):
        for name in one:
            assert one[name].sharding == other[name].sharding == split_batch(mesh), name
            assert one[name].shape == other[name].shape
            parts = zip(one[name].addressable_shards, other[name].addressable_shards, strict=True)
            for part, other_part in parts:
                assert part.index == other_part.index and len(part.data) == 4
                np.testing.assert_array_equal(part.data, other_part.data)
print("same", len(one["rgb"].addressable_shards))
"""


def start(data, devices, *joint):
    return subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            _TWO_DEVICES,
            *map(json.dumps, [data.to_dict(), *joint]),
        ],
        env=environment_of(devices, PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("processes", [1, 2])
def test_two_devices_cut_their_own_clips(data, processes):
    taken(data, 1)  # The cache is there.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    joint = [(address, 2, index) for index in range(2)] if processes == 2 else [()]
    started = [start(data, 2 // processes, *which) for which in joint]
    for process in started:
        found, said = process.communicate(timeout=120)
        # JAX's collectives on CPU leave notes.
        assert found.splitlines()[-1:] == [f"same {2 // processes}"], said


def test_a_device_that_computes_otherwise_is_refused(data, monkeypatch):
    make_scaling = resident.make_scaling

    def slightly_other(*arguments):
        scaling = make_scaling(*arguments)
        rows, _ = scaling.axes[2]
        # One unit in the last place of one weight, as a fused product would change a sum.
        rows.weights[0, 3, 0] = np.nextafter(rows.weights[0, 3, 0], np.float32(9)) * 1.01
        return scaling

    monkeypatch.setattr(resident, "make_scaling", slightly_other)
    with pytest.raises(ValueError, match=r"rgb values that .* cut out differ from the host's"):
        taken(data, 1, modalities=("rgb",))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cache": ""}, r"config\.data\.cache is empty; .*--config\.data\.cache=FOLDER"),
        ({"ir_jitter": (0.1, 0.0)}, r"config\.data\.ir_jitter is \(0\.1, 0\.0\), and light .* on the host"),
    ],
)  # fmt: skip
def test_what_needs_the_host_is_refused_before_any_work(
    tiny_config, data, tmp_path, fields, message
):
    config = tiny_config("student").copy_and_resolve_references()
    config.data = data
    config.data.update(fields)
    with pytest.raises(ValueError, match=message):
        ResidentBatches(config.data, 0, 8, BOTH, make_mesh())
    with pytest.raises(ValueError, match=message):
        Experiment(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_frames_that_do_not_fit_are_refused_before_any_work(
    data, tiny_config, tmp_path, monkeypatch
):
    class Small:
        def memory_stats(self):
            return {"bytes_limit": 2_000_000}

    config = tiny_config("student").copy_and_resolve_references()
    config.data = data
    monkeypatch.setattr(resident_frames.jax, "local_devices", lambda: [Small()])
    # 24 clips of 8 frames of 40 x 64 bytes: 0.0004915 GB of infrared, three times that of colour.
    message = r"take 0\.001966 GB on each device \(ir 0\.0004915, rgb 0\.001475\), more than 60% of the device's"
    with pytest.raises(ValueError, match=message):
        ResidentBatches(data, 0, 8, BOTH, make_mesh())
    check = {"student.batch_size": 4, "data.train_split": "train[:50%]"}
    config.update_from_flattened_dict(check)
    monkeypatch.setattr(Small, "memory_stats", lambda self: {"bytes_limit": 400_000})
    with pytest.raises(ValueError, match=r"ir 0\.0002458\), more than 60%.*train_split"):
        Experiment(config, tmp_path / "run")
    monkeypatch.setattr(Small, "memory_stats", lambda self: None)
    monkeypatch.setattr(resident_frames.os, "sysconf", lambda name: 500)
    with pytest.raises(
        ValueError, match=r"the host's memory for each of 1 device\(s\), 0\.00025 GB"
    ):
        Experiment(config, tmp_path / "run")


def test_frames_of_several_sizes_are_named(tmp_path):
    counts, heights = np.array([2, 1], np.int32), np.array([4, 4, 6], np.int32)
    index = FrameIndex(np.zeros(2, np.int32), counts, heights, np.full(3, 5, np.int32))
    with write_frame_file(tmp_path / "x.frames", index, 1, {}) as writer:
        for clip, frame, height in ((0, 0, 4), (0, 1, 4), (1, 0, 6)):
            writer.write(clip, frame, np.zeros((height, 5, 1), np.uint8))

    clips = CachedClips({"ir": FrameFile(tmp_path / "x.frames")})
    with pytest.raises(
        ValueError, match=r"2 sizes: 2 of 4x5, 1 of 6x5\); expected one size\. Build"
    ):
        check_fits(clips, ["ir"])


@pytest.mark.slow
def test_a_run_writes_the_same_numbers(tiny_config, data, tmp_path):
    lines = []
    for place, section in (("device", data), ("host", on_host(data))):
        config = tiny_config("mgcam+dkd").copy_and_resolve_references()
        config.data = section
        config.teacher.epochs = config.student.epochs = 2
        config.log_every_steps = 1
        Experiment(config, tmp_path / place).run()
        lines.append(
            [
                (tmp_path / place / phase / "metrics.jsonl").read_text()
                for phase in ("teacher", "student")
            ]
        )
    assert lines[0] == lines[1]
