"""An exported network that mixes the frames of a clip is tested with its own segments, in any crops."""

from pathlib import Path

import ml_collections
import numpy as np
import pytest

from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.launch import exported_network
from rgb2ir_jax.launch.exported_network import ExportedNetwork
from rgb2ir_jax.prediction.description import StudentDescription
from rgb2ir_jax.prediction.scoring import program_score
from rgb2ir_jax.prediction.student import Student

SEGMENTS, SIDE = 4, 8


@pytest.fixture
def network(monkeypatch):
    """Its logits are the brightness of what it sees and of a clip's first frame."""
    fields = ("student", "ir", ("a", "b"), 2 * SEGMENTS, 1, SEGMENTS, True, SIDE, SIDE, 1)
    told = StudentDescription(*fields, (0.5,), (0.25,))

    def program(clips):
        assert clips.shape[1:] == (SEGMENTS, SIDE, SIDE, 1)
        seen = clips.astype(np.float32).mean(axis=(2, 3, 4))
        return np.stack([seen.mean(axis=1), seen[:, 0]], axis=1)

    def batches(data, split, size, modalities, *, segments, crops):
        shape = (3, segments, SIDE, SIDE, 1) if crops == 1 else (3, crops, segments, SIDE, SIDE, 1)
        frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        whole = {"label": np.arange(3, dtype=np.int32) % 2, "mask": np.ones(3, np.float32)}
        return [{"ir": frames, "index": np.arange(3, dtype=np.int32), **whole}]

    monkeypatch.setattr(exported_network, "eval_batches", batches)
    student = Student(Path("exported"), told, program_score(program, told))
    return ExportedNetwork(student, Path(), ml_collections.ConfigDict())


def test_crops_are_averaged(network):
    logits, labels = network.score_split("test", Protocol(2 * SEGMENTS, 3))
    frames = np.random.default_rng(0).integers(0, 256, (3, 3, 8, SIDE, SIDE, 1), np.uint8)
    brightness = frames.mean(axis=(3, 4, 5))
    np.testing.assert_allclose(logits[:, 0], brightness.mean(axis=(1, 2)), rtol=1e-5)
    # Eight segments are two clips of four, which begin with the first one and the second.
    np.testing.assert_allclose(logits[:, 1], brightness[:, :, :2].mean(axis=(1, 2)), rtol=1e-5)
    assert labels.tolist() == [0, 1, 0]


def test_other_segments_are_refused(network):
    with pytest.raises(ValueError, match="tested with 8 segments, found 4; evaluate its run"):
        network.score_split("test", Protocol(SEGMENTS, 1))
