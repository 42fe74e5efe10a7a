"""Zero-DCE trained on real video files without their labels: losses fall, frames brighten, runs go on."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import zero_dce as zero_dce_config
from rgb2ir_jax.models.enhancement.losses import WEIGHTS, zero_dce_loss
from rgb2ir_jax.models.enhancement.stage import Enhancement
from rgb2ir_jax.models.enhancement.weights import read_zero_dce, zero_dce_tensors
from rgb2ir_jax.models.enhancement.zero_dce import ZeroDCE
from rgb2ir_jax.training.enhancing import experiment
from rgb2ir_jax.training.enhancing.experiment import WEIGHTS_FILE, EnhancementExperiment
from rgb2ir_jax.training.enhancing.settings import apply_smoke, validate
from rgb2ir_jax.training.enhancing.step import make_loss, make_optimizer, make_test_step
from rgb2ir_jax.training.loop import fit
from rgb2ir_jax.training.sharding import make_mesh, put_batch
from rgb2ir_jax.training.signals import Interrupted
from rgb2ir_jax.training.state import Split

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

CHANGES = {
    "data.resize": 36,
    "data.crop": 32,
    "data.threads": 0,
    "zero_dce.batch_size": 8,
    "zero_dce.epochs": 6,
    "zero_dce.learning_rate": 5e-3,
    "zero_dce.figures": 2,
    "evaluation.batch_size": 8,
    "evaluation.every_epochs": 3,
    "log_every_steps": 1,
}


@pytest.fixture(scope="module")
def config_of(data_dir):
    def of(**fields):
        config = zero_dce_config.get_config()
        with config.unlocked():
            config.update_from_flattened_dict({**CHANGES, "data.dir": str(data_dir), **fields})
        return config

    return of


@pytest.fixture(scope="module")
def run(config_of, tmp_path_factory):
    """(work directory, result) of eighteen steps on infrared, which goes in as R = G = B."""
    workdir = tmp_path_factory.mktemp("zero_dce") / "run"
    return workdir, EnhancementExperiment(config_of(**{"zero_dce.modality": "ir"}), workdir).run()


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_losses_fall_and_are_written_down(run):
    workdir, result = run
    assert json.loads((workdir / "result.json").read_text()) == result
    assert (result["steps"], result["modality"], result["limited"]) == (18, "ir", False)
    trained = [line for line in lines(workdir / "zero_dce") if "epoch" in line]
    tested = [line for line in lines(workdir / "zero_dce") if "test/loss" in line]
    names = ("loss", "spatial", "exposure", "color", "smoothness")
    assert set(trained[0]) == {
        "step", "epoch", "train/grad_norm", "train/learning_rate", *(f"train/{n}" for n in names)
    }  # fmt: skip
    assert set(tested[0]) == {"step", *(f"test/{n}" for n in names)}
    assert [line["step"] for line in tested] == [9, 18]
    assert trained[-1]["train/loss"] < 0.8 * trained[0]["train/loss"]
    assert tested[-1]["test/loss"] == pytest.approx(result["metrics"]["test/loss"])
    for line in trained:
        weighted = [line[f"train/{n}"] * w for n, w in zip(names[1:], (1, 10, 5, 200), strict=True)]
        assert line["train/loss"] == pytest.approx(sum(weighted), rel=1e-5)
    assert (workdir / "zero_dce" / "enhanced.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_trained_stands_before_a_network(run):
    tensors = read_zero_dce(run[0] / WEIGHTS_FILE)
    assert not np.array_equal(tensors["e_conv7.bias"], np.zeros(24))
    enhancement = Enhancement("zero_dce", weights=run[0] / WEIGHTS_FILE)
    dark = np.full((1, 32, 32, 1), 40, np.uint8)
    # Towards the level of 0.6 that the exposure loss wants.
    assert enhancement.pictures(dark).mean() > 45


def test_a_finished_run_is_not_trained_again_and_another_config_is_refused(run, config_of):
    workdir, result = run
    config = config_of(**{"zero_dce.modality": "ir"})
    assert EnhancementExperiment(config, workdir).run() == result
    with pytest.raises(ValueError, match="holds a run with another config"):
        EnhancementExperiment(config_of(), workdir)


def test_a_stopped_run_goes_on_to_the_same_weights(run, config_of, tmp_path, monkeypatch):
    config, steps = config_of(**{"zero_dce.modality": "ir"}), []

    def stopped_in_step_5(name, state, teachers, train_step, *more, stop, **others):
        def step(*arguments):
            steps.append(None)
            stop.signal_name = "SIGTERM" if len(steps) == 5 else None
            return train_step(*arguments)

        return fit(name, state, teachers, step, *more, stop=stop, **others)

    with monkeypatch.context() as patched:
        patched.setattr(experiment, "fit", stopped_in_step_5)
        with pytest.raises(Interrupted, match="stopped after step"):
            EnhancementExperiment(config, tmp_path / "run").run()
    assert not (tmp_path / "run" / WEIGHTS_FILE).exists()
    EnhancementExperiment(config, tmp_path / "run").run()
    for name, tensor in read_zero_dce(run[0] / WEIGHTS_FILE).items():
        np.testing.assert_array_equal(read_zero_dce(tmp_path / "run" / WEIGHTS_FILE)[name], tensor)


def test_a_run_that_was_killed_before_its_result_is_tested(run, config_of, tmp_path):
    workdir, result = run
    shutil.copytree(workdir, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    again = EnhancementExperiment(config_of(**{"zero_dce.modality": "ir"}), tmp_path / "run").run()
    assert again["metrics"] == result["metrics"]
    assert result["metrics"].keys() == {f"test/{n}" for n in ("loss", *WEIGHTS)}


def test_a_weight_of_zero_switches_an_infinite_loss_off():
    """Its value is written down all the same."""
    section = zero_dce_config.get_config().zero_dce
    pictures = jnp.full((1, 16, 16, 3), 0.25)

    def network(images):
        return images, jnp.zeros((1, 16, 16, 24)).at[0, 0, 0].set(jnp.inf)

    section.smoothness_weight = 0.0
    total, terms = make_loss(section)(network, pictures)
    assert not np.isfinite(terms["smoothness"])
    # Nothing has changed, all is grey, and the exposure is 0.6 - 0.25 away.
    assert total == pytest.approx(10 * 0.35**2, rel=1e-5)


def test_training_may_begin_with_given_weights(run, config_of, tmp_path):
    fields = {
        "zero_dce.init": str(run[0] / WEIGHTS_FILE),
        "limit_train_steps": 1,
        "zero_dce.figures": 0,
    }
    result = EnhancementExperiment(config_of(**fields), tmp_path / "run").run()
    assert result["limited"] is True
    first, then = (read_zero_dce(folder / WEIGHTS_FILE) for folder in (run[0], tmp_path / "run"))
    moved = max(np.abs(then[name] - tensor).max() for name, tensor in first.items())
    # Adam's first step moves each weight by the learning rate at most.
    assert 0 < moved <= 1.01 * 5e-3


def test_updates_are_those_of_torch_adam_behind_clipping():
    """By hand, in float64: clip to the norm, add decay to the gradient, then Adam (torch's defaults)."""
    section = zero_dce_config.get_config().zero_dce
    rng = np.random.default_rng(0)
    weight = rng.normal(size=5)
    optimizer = make_optimizer(section)
    params = jnp.asarray(weight, jnp.float32)
    state = optimizer.init(params)
    first, second = np.zeros(5), np.zeros(5)
    for step in range(1, 6):
        gradient = rng.normal(size=5)
        updates, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state, params)
        params = params + updates
        clipped = gradient * min(1, 0.1 / np.linalg.norm(gradient)) + 1e-4 * weight
        first = 0.9 * first + 0.1 * clipped
        second = 0.999 * second + 0.001 * clipped**2
        unbiased = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        weight = weight - 1e-4 * first / (1 - 0.9**step) / unbiased
        np.testing.assert_allclose(params, weight, rtol=1e-5)


def test_the_test_is_the_mean_over_pictures_and_padding_does_not_count():
    section, mesh = zero_dce_config.get_config().zero_dce, make_mesh()
    graph, variables = Split.of(ZeroDCE(rngs=nnx.Rngs(0)))
    frames = np.random.default_rng(0).integers(0, 99, (3, 2, 32, 32, 3), np.uint8)
    test_step = make_test_step(graph, make_loss(section), mesh)
    batch = {"frames": frames, "mask": np.array([1, 1, 0], np.float32)}
    found = jax.device_get(test_step(variables, put_batch(batch, mesh)))
    assert found["clips"] == 2
    network = nnx.merge(graph, variables.params, variables.stats)
    losses = []
    for picture in frames[:2].reshape(4, 32, 32, 3):
        pixels = jnp.asarray(picture[None], jnp.float32) / 255
        losses.append(float(zero_dce_loss(pixels, *network(pixels))))
    assert found["loss"] / 2 == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "zero_dce.epochs",
            0,
            "config.zero_dce.epochs is 0, expected a whole number of at least 1",
        ),
        ("zero_dce.exposure_level", 1.5, "exposure_level is 1.5"),
        ("zero_dce.color_weight", -1.0, "color_weight is -1.0"),
        ("zero_dce.exposure_patch", 64, "exposure_patch is 64, and config.data.crop 32"),
        ("zero_dce.modality", "sonar", "'sonar' were asked for.* hold rgb, ir alone"),
        ("zero_dce.init", "nowhere.pth", "there is no file nowhere.pth"),
        ("data.segments", 0, "config.data.segments is 0"),
    ],
)
def test_mistakes_are_named_before_any_work(config_of, tmp_path, field, value, message):
    with pytest.raises(ValueError, match=message):
        EnhancementExperiment(config_of(**{field: value}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_defaults_are_the_authors_and_smoke_shortens_them():
    config = zero_dce_config.get_config()
    validate(config)
    section = config.zero_dce
    assert (section.learning_rate, section.weight_decay, section.clip_norm) == (1e-4, 1e-4, 0.1)
    weights = [section[f"{n}_weight"] for n in ("spatial", "exposure", "color", "smoothness")]
    assert weights == [1, 10, 5, 200]
    assert (section.exposure_patch, section.exposure_level, section.batch_size) == (16, 0.6, 8)
    with config.unlocked():
        config.smoke = True
    short = apply_smoke(config)
    validate(short)
    assert (short.limit_train_steps, short.zero_dce.epochs, short.data.crop) == (2, 1, 256)
    with pytest.raises(ValueError, match="has none"):
        zero_dce_config.get_config("dkd")
    assert len(zero_dce_tensors(ZeroDCE(rngs=nnx.Rngs(0)))) == 14
