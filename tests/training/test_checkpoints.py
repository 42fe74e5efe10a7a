"""Damaged checkpoints: every broken file is noticed, named, and the checkpoint before it is used."""

import json
import logging
import shutil

import jax
import numpy as np
import pytest

from rgb2ir_jax.training.checkpoints import NETWORK_FILE, Checkpoints, Retention, load_network
from rgb2ir_jax.training.saving.digest import array_digest
from rgb2ir_jax.training.sharding import make_mesh, replicated

# Orbax leaves coroutines behind when a file that it reads is broken.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
)

CONTENT = {"data": {"step": 3}, "seconds": 1.5, "finished": False}


@pytest.fixture(scope="module")
def saved(overfitted, tmp_path_factory):
    """A folder with the checkpoints 1 and 2, and a function that reads the newest."""
    rig = overfitted("student").rig
    folder = tmp_path_factory.mktemp("saved")
    checkpoints = Checkpoints(folder, Retention(2))
    for step in (1, 2):
        state = jax.tree.map(lambda leaf, step=step: leaf + step, rig.new_state())
        checkpoints.save(state, {**CONTENT, "step": step}, None, step)
    checkpoints.close()
    rig.learner.spec.save(folder / NETWORK_FILE)
    return folder, rig


@pytest.fixture
def copied(saved, tmp_path):
    shutil.copytree(saved[0], tmp_path / "phase")
    return tmp_path / "phase"


def restore(folder, rig):
    checkpoints = Checkpoints(folder, Retention(2))
    try:
        return checkpoints.restore(rig.new_state())
    finally:
        checkpoints.close()


def assert_is(found, rig, step):
    state, content = found
    assert content["step"] == step
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(rig.new_state()), strict=True):
        np.testing.assert_array_equal(a, b + step)


def test_the_newest_is_restored_as_it_was(saved, copied):
    assert_is(restore(copied, saved[1]), saved[1], 2)


def test_no_checkpoint_is_no_error(saved, tmp_path):
    assert restore(tmp_path, saved[1]) is None


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1 << 4
    path.write_bytes(content)


def largest(folder):
    return max(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )


@pytest.mark.parametrize("damage", [truncate, flip])
@pytest.mark.parametrize("part", ["network", "training", "record"])
def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_is_used(
    saved, copied, part, damage, caplog, monkeypatch
):
    monkeypatch.setattr(logging.getLogger("rgb2ir_jax"), "propagate", True)
    damage(largest(copied / "checkpoints" / "2" / part))
    assert_is(restore(copied, saved[1]), saved[1], 1)
    (warning,) = (r.getMessage() for r in caplog.records if r.name.startswith("rgb2ir_jax"))
    assert f"{copied}/checkpoints/2 is damaged" in warning
    assert "trying the one before it" in warning
    assert [path.name for path in (copied / "damaged_checkpoints").iterdir()] == ["2"]
    # The step is free again for a whole checkpoint.
    assert [path.name for path in (copied / "checkpoints").iterdir()] == ["1"]


@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_harmless_or_noticed(saved, copied):
    """Every file of the checkpoint, one bit at random places: never other numbers than were saved."""
    rng, (folder, rig) = np.random.default_rng(0), saved
    newest = copied / "checkpoints" / "2"
    files = [path for path in newest.rglob("*") if path.is_file() and path.stat().st_size]
    noticed = 0
    for path in files:
        whole = path.read_bytes()
        content = bytearray(whole)
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        found = restore(copied, rig)
        step = found[1]["step"]
        assert_is(found, rig, step)
        noticed += step == 1
        shutil.rmtree(copied)
        shutil.copytree(folder, copied)
    assert noticed >= 2


def test_when_none_is_whole_the_run_says_so(saved, copied):
    for step in ("1", "2"):
        flip(largest(copied / "checkpoints" / step / "network"))
    with pytest.raises(
        ValueError, match=r"none of the checkpoints in .* is whole \(2 damaged, now"
    ):
        restore(copied, saved[1])
    assert len(list((copied / "damaged_checkpoints").iterdir())) == 2


def test_checkpoints_of_an_earlier_version_are_refused(saved, copied):
    (copied / "checkpoints" / "2" / "data").mkdir()
    with pytest.raises(ValueError, match="was written by an earlier version"):
        restore(copied, saved[1])
    with pytest.raises(ValueError, match="was written by an earlier version"):
        load_network(copied, replicated(make_mesh()))


def test_a_damaged_network_is_not_deployed(saved, copied):
    flip(largest(copied / "checkpoints" / "2" / "network"))
    with pytest.raises(ValueError, match=r"checkpoints/2 is damaged .* copy it anew"):
        load_network(copied, replicated(make_mesh()))
    spec, _, content = load_network(copied, replicated(make_mesh()), step=1)
    assert content["step"] == 1
    assert spec == saved[1].learner.spec
    with pytest.raises(ValueError, match=r"has no step 7; it has \[1, 2\]"):
        load_network(copied, replicated(make_mesh()), step=7)


def test_a_half_written_checkpoint_is_cleared_away(saved, copied):
    half = copied / "checkpoints" / "3.orbax-checkpoint-tmp"
    shutil.copytree(copied / "checkpoints" / "2", half)
    assert_is(restore(copied, saved[1]), saved[1], 2)


def test_ranks_are_known_after_a_restart(saved, tmp_path):
    rig = saved[1]
    for step, rank in ((1, 0.1), (2, 0.8), (3, 0.3), (4, None)):
        checkpoints = Checkpoints(tmp_path, Retention(1, best=1))
        state = rig.new_state()
        checkpoints.save(state, {**CONTENT, "step": step}, rank, step)
        checkpoints.close()
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {"2", "4"}


def test_the_digest_sees_values_shapes_types_and_names():
    tree = {"a": np.arange(6, dtype=np.float32), "b": np.zeros((), np.int32)}
    others = [
        {**tree, "a": tree["a"].reshape(2, 3)},
        {**tree, "a": tree["a"].view(np.int32)},
        {**tree, "a": np.where(tree["a"] == 2, -2, tree["a"]).astype(np.float32)},
        {"a": tree["a"], "c": tree["b"]},
    ]
    digests = {array_digest(t) for t in (tree, *others)}
    assert len(digests) == 5
    assert array_digest(jax.tree.map(jax.numpy.asarray, tree)) == array_digest(tree)
    half = {"a": jax.numpy.ones(3, jax.numpy.bfloat16)}
    assert array_digest(half) != array_digest({"a": half["a"] * 2})
    assert json.dumps(array_digest(tree))
