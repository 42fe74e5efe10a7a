"""`report --look` end to end: numbers of the run's test, features and Grad-CAM by other means."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import ntu
from rgb2ir_jax.data.pipeline import eval_batches
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.launch.looks import confident_mistakes, example_clips, spread_over_classes
from rgb2ir_jax.launch.trained_network import load_run, score_split
from rgb2ir_jax.report import main
from rgb2ir_jax.reporting.runs.look_file import read_looks
from rgb2ir_jax.training.checkpoints import load_network
from rgb2ir_jax.training.sharding import replicated
from rgb2ir_jax.training.state import merge
from rgb2ir_jax.video.jpeg import decode_jpeg
from tests.written_run import CLASSES, write_run

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

CLIPS = 13


@pytest.fixture(scope="module")
def looked(records, tmp_path_factory):
    """A teacher and a student with random weights that were shown thirteen clips; and the page."""
    folder = tmp_path_factory.mktemp("looked")
    splits = {
        split: [records.make(f"{split}{k}", k % 3) for k in range(count)]
        for split, count in (("train", 3), ("test", CLIPS))
    }
    records.build(folder / "data", CLASSES, splits, name="paired_video")
    config = ntu.get_config("st")
    with config.unlocked():
        config.data.name, config.data.config = "paired_video", "default"
        config.data.dir = str(folder / "data")
        config.data.segments, config.data.resize, config.data.crop = 5, 72, 64
        config.evaluation.batch_size = 4
    write_run(folder / "run", config, width=4, synthetic=True)
    assert main([str(folder / "run"), f"--out={folder}/report.html", "--look"]) == 0
    return folder


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_logits_are_the_tests_and_the_rest_follows_from_the_last_stage(looked, name):
    looks = read_looks(looked / "run" / name / "looks.npz")
    network = load_run(looked / "run", name)
    data = network.config.data
    logits, labels = score_split(network, data, "test", Protocol.from_config(network.config))
    np.testing.assert_array_equal(looks.logits, logits)
    np.testing.assert_array_equal(looks.labels, labels)
    np.testing.assert_array_equal(looks.labels, np.arange(CLIPS) % 3)

    spec, split, _ = load_network(looked / "run" / name, replicated(network.mesh))
    module = merge(split.graph, split.variables)
    (batch,) = eval_batches(data, "test", CLIPS, [spec.modality])
    frames = batch[spec.modality]
    output = jax.jit(lambda x: module(spec.normalise(x), train=False))(jnp.asarray(frames))
    maps = np.asarray(output.stages["stage4"], np.float64)
    assert maps.shape[1:4] == (5, 2, 2)
    np.testing.assert_array_equal(looks.feature_clips, np.arange(CLIPS))
    np.testing.assert_allclose(looks.features, maps.mean(axis=(1, 2, 3)), rtol=2e-3, atol=1e-3)

    kernel = np.asarray(module.network.fc.kernel[...], np.float64)
    named = np.argmax(logits, axis=1)
    wrong = np.flatnonzero(named != labels)
    assert set(looks.mistakes) <= set(wrong)
    assert len(looks.mistakes) == min(8, len(wrong))
    assert looks.facts["times"] == [0, 1, 3, 4]
    for clip in looks.shown.tolist():
        row = looks.row(clip)
        assert looks.facts["sample_ids"][row] == f"test{clip}"
        for place, label in enumerate((labels[clip], named[clip])):
            activation = np.maximum(maps[clip] @ kernel[:, label], 0)
            shares = activation / max(activation.max(), 1e-30)
            np.testing.assert_allclose(looks.evidence[row, place] / 255, shares[[0, 1, 3, 4]],
                                       atol=0.51 / 255 + 1e-4)  # fmt: skip
        for time, jpeg in zip((0, 1, 3, 4), looks.frames[row], strict=True):
            seen = decode_jpeg(jpeg, frames.shape[-1]).astype(float)
            assert np.abs(seen - frames[clip, time]).mean() < 6


def test_the_page_has_it_all_and_what_is_there_is_not_made_again(looked, capsys):
    page = (looked / "report.html").read_text()
    for words in ("McNemar", "Grad-CAM", "was named", "PCA of 13 synthetic test clips"):
        assert (words in page) == (words != "McNemar"), words
    assert "--look" not in page
    kept = looked / "run" / "student" / "looks.npz"
    written = kept.stat().st_mtime_ns
    assert main([str(looked / "run"), f"--out={looked}/again.html", "--look"]) == 0
    assert kept.stat().st_mtime_ns == written
    assert "looks.npz is there" in capsys.readouterr().out
    assert (looked / "again.html").read_text() == page


def test_a_network_that_cannot_be_shown_anything_is_told_and_the_page_comes(
    looked, tmp_path, capsys
):
    run = tmp_path / "run"
    (run / "student").mkdir(parents=True)
    for name in ("config.json", "result.json", "student/result.json", "student/network.json"):
        (run / name).write_text((looked / "run" / name).read_text())
    assert main([str(run), f"--out={tmp_path}/report.html", "--look"]) == 0
    assert "warning: " in (told := capsys.readouterr().err)
    assert "could not be looked at" in told
    assert "No network has been shown" in (tmp_path / "report.html").read_text()
    config = json.loads((run / "config.json").read_text())
    assert config["data"]["segments"] == 5


def test_an_option_without_its_flag_is_refused(looked, capsys):
    with pytest.raises(SystemExit):
        main([str(looked / "run"), f"--out={looked}/no.html", "--data_dir=x"])
    assert "belongs to --look" in capsys.readouterr().err


def test_clips_are_chosen_by_their_labels_alone():
    labels = np.arange(1000) % 7
    chosen = spread_over_classes(labels, 100)
    assert len(chosen) == 98
    np.testing.assert_array_equal(np.bincount(labels[chosen]), np.full(7, 14))
    assert chosen.min() < 10
    assert chosen.max() > 990
    np.testing.assert_array_equal(spread_over_classes(labels[:50], 100), np.arange(50))
    assert len(spread_over_classes(np.arange(1000), 100)) == 100
    examples = example_clips(np.repeat([0, 2, 5], [1, 2, 3]))
    np.testing.assert_array_equal(examples, [0, 2, 4])


def test_mistakes_come_by_falling_probability():
    logits = np.log([[0.6, 0.4], [0.1, 0.9], [0.7, 0.3], [0.2, 0.8]]).astype(np.float32)
    np.testing.assert_array_equal(confident_mistakes(logits, np.array([1, 0, 0, 1])), [1, 0])
