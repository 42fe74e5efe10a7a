"""Every clip's logits once and in order, whatever the batches look like."""

import json
import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from rgb2ir_jax.evaluation.inference import make_scorer, predict_split
from rgb2ir_jax.training.sharding import make_mesh
from tests.simulated_devices import environment_of


def batches(*masks):
    """Batches of clips whose number is their content and label; padding is -1."""
    clip = 0
    for mask in masks:
        numbers = np.full(len(mask), -1, np.int32)
        for row, real in enumerate(mask):
            if real:
                numbers[row] = clip
                clip += 1
        yield {"ir": numbers, "label": numbers, "mask": np.array(mask, np.float32)}


def predict(batch):
    return jnp.stack([batch["ir"], 10.0 * batch["ir"]], axis=1)


@pytest.mark.parametrize(("limit", "clips"), [(0, 7), (1, 1), (3, 3), (4, 4), (5, 5), (99, 7)])
def test_padding_is_left_out_and_the_limit_kept(limit, clips):
    logits, labels = predict_split(predict, batches([1, 1, 1], [1, 1, 1], [1, 0, 0]), limit=limit)
    assert labels.tolist() == list(range(clips))
    np.testing.assert_array_equal(logits, np.outer(np.arange(clips), [1, 10]))
    assert logits.dtype == np.float32


def test_padding_may_stand_anywhere():
    _, labels = predict_split(predict, batches([0, 1], [0, 0], [1, 1]))
    assert labels.tolist() == [0, 1, 2]


def test_no_batch_is_read_beyond_the_limit():
    asked = []

    def noted():
        for number, batch in enumerate(batches([1, 1], [1, 1], [1, 1])):
            asked.append(number)
            yield batch

    predict_split(predict, noted(), limit=3)
    assert asked == [0, 1]


def test_nothing_to_predict_is_an_error():
    with pytest.raises(ValueError, match="no clips to predict"):
        predict_split(predict, [])


def first_pixels(variables, frames):
    """Logits that tell which frames were seen: the mean over time, and a product over it."""
    assert frames.shape[0] == 1
    assert frames.dtype == jnp.uint8
    seen = frames[:, :, 0, 0, 0].astype(jnp.float32)
    return jnp.stack([variables * seen.mean(axis=1), seen[:, 0] * seen[:, -1]], axis=1)


def numbered(*shape):
    return np.arange(np.prod(shape), dtype=np.uint8).reshape(*shape, 1, 1, 1)


def test_a_single_view_is_scored_as_it_is():
    clips = numbered(3, 4)
    scores = make_scorer(first_pixels, make_mesh())(2.0, clips)
    np.testing.assert_array_equal(scores, [[3, 0], [11, 28], [19, 88]])


def test_views_and_their_segments_are_averaged():
    clips = numbered(2, 3, 4)
    scores = make_scorer(first_pixels, make_mesh())(1.0, clips)
    seen = clips.reshape(2, 3, 4).astype(float)
    np.testing.assert_allclose(scores[:, 0], seen.mean(axis=(1, 2)))
    np.testing.assert_allclose(scores[:, 1], (seen[..., 0] * seen[..., -1]).mean(axis=1))


@pytest.mark.parametrize("views", [(), (3,)])
def test_segments_are_dealt_out_to_clips_over_the_whole_time(views):
    clips = numbered(2, *views, 6)
    scores = make_scorer(first_pixels, make_mesh(), sub_clips=2)(1.0, clips)
    seen = clips.reshape(2, -1, 6).astype(float)
    # Every other frame makes a clip: 0, 2, 4 and 1, 3, 5.
    products = [seen[..., 0] * seen[..., 4], seen[..., 1] * seen[..., 5]]
    np.testing.assert_allclose(scores[:, 1], np.mean(products, axis=(0, 2)))
    np.testing.assert_allclose(scores[:, 0], seen.mean(axis=(1, 2)))


# The logits of a real network, for three sizes of batch, with as many devices as the environment
# has; printed as the bits that they are.
SCRIPT = """
import json
import rgb2ir_jax  # Sets its XLA flag beside the one that the environment brings.
import jax, numpy as np
from configs import ntu
from rgb2ir_jax.evaluation.inference import make_scorer, predict_split
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.state import Split, merge

config = ntu.get_config("student")
with config.unlocked():
    config.student.depth, config.student.width = 10, 4
spec, mesh = NetworkSpec.from_config(config.student, 10), make_mesh()
network = Split.create(lambda: spec.build(0), replicated(mesh))
score = make_scorer(
    lambda variables, frames: merge(network.graph, variables)(
        spec.normalise(frames), train=False
    ).logits,
    mesh,
)
clips = np.random.default_rng(0).integers(0, 256, (11, 3, 2, 32, 32, 1), np.uint8)

def batches(size):
    for start in range(0, 11, size):
        rows = clips[start : start + size]
        padding = size - len(rows)
        yield {
            "ir": np.pad(rows, [(0, padding)] + [(0, 0)] * 5),
            "label": np.zeros(size, np.int32),
            "mask": np.arange(size) < len(rows),
        }

found = [
    predict_split(lambda batch: score(network.variables, batch["ir"]), batches(size))[0]
    for size in (4, 8, 12)
]
print(json.dumps([jax.device_count(), [logits.tobytes().hex() for logits in found]]))
"""


def test_logits_are_the_same_bits_for_any_batch_and_number_of_devices():
    outcomes = []
    for devices in (1, 4):
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=pathlib.Path(__file__).parents[2],
            env=environment_of(devices),
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        outcomes.append(json.loads(run.stdout.splitlines()[-1]))
    assert [count for count, _ in outcomes] == [1, 4]
    distinct = {bits for _, found in outcomes for bits in found}
    assert len(distinct) == 1
    assert len(bytes.fromhex(distinct.pop())) == 11 * 10 * 4
