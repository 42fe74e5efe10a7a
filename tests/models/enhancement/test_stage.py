"""Enhancement in front of a network: what it is, that nothing of it learns, and that it stays with the run."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import ntu
from rgb2ir_jax.models.enhancement.gamma import gamma_correction
from rgb2ir_jax.models.enhancement.stage import Enhancement, recorded_weights
from rgb2ir_jax.models.enhancement.weights import write_zero_dce, zero_dce_tensors
from rgb2ir_jax.models.network import NetworkSpec

SPEC = NetworkSpec("rgb", 18, 4, 3, 10, 0.0, False, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture
def weights(tmp_path, zero_dce):
    path = tmp_path / "from_elsewhere" / "zero_dce.safetensors"
    path.parent.mkdir()
    write_zero_dce(path, zero_dce_tensors(zero_dce))
    return path


def frames(channels=3, shape=(2, 3, 20, 18)):
    return jnp.asarray(np.random.default_rng(0).integers(0, 90, (*shape, channels), np.uint8))


def section(**fields):
    config = ntu.get_config().teacher
    with config.unlocked():
        for field, value in fields.items():
            config[field] = value
    return config


def test_no_enhancement_is_the_same_program_as_before():
    """Configs without one must keep their numbers to the last bit."""

    def before(x):
        mean, std = jnp.asarray(SPEC.mean, jnp.float32), jnp.asarray(SPEC.std, jnp.float32)
        normalised = (x.astype(jnp.float32) / 255.0 - mean) / std
        return jnp.broadcast_to(normalised, (*x.shape[:-1], 3)).astype(jnp.float32)

    texts = [jax.jit(f).lower(frames()).as_text() for f in (before, SPEC.normalise)]
    assert texts[0].partition("\n")[2] == texts[1].partition("\n")[2]
    assert NetworkSpec.from_config(ntu.get_config().teacher, 3).enhancement is None
    assert NetworkSpec.from_config(section(enhance=""), 3).enhancement is None
    assert NetworkSpec.from_config(ConfigDict(ntu.get_config().teacher), 3).sees == "rgb"


@pytest.mark.parametrize("channels", [3, 1])
def test_pictures_are_enhanced_before_they_are_normalised(weights, zero_dce, channels):
    x = frames(channels)
    pixels = x.astype(jnp.float32) / 255
    light, _ = zero_dce(pixels)
    if channels == 1:
        light = light.mean(-1, keepdims=True)
    mean, std = np.array(SPEC.mean), np.array(SPEC.std)
    enhancement = Enhancement("zero_dce", weights=weights)
    found = jax.jit(dataclasses.replace(SPEC, enhancement=enhancement).normalise)(x)
    np.testing.assert_allclose(found, (np.asarray(light) - mean) / std, atol=1e-4)
    gamma = dataclasses.replace(SPEC, enhancement=Enhancement("gamma", 2.5)).normalise(x)
    corrected = (np.asarray(x) / 255) ** 0.4
    np.testing.assert_allclose(gamma, (corrected - mean) / std, atol=1e-5)
    # To be looked at: the same, in 8 bits.
    shown = enhancement.pictures(np.asarray(x))
    assert (shown.shape, shown.dtype) == (x.shape, np.uint8)
    np.testing.assert_allclose(shown, 255 * np.asarray(light), atol=0.51)


@pytest.mark.parametrize("name", ["zero_dce", "gamma"])
def test_no_gradient_flows_into_it_black_pixels_included(weights, name):
    enhancement = Enhancement(name, weights=weights if name == "zero_dce" else None)
    pixels = jnp.concatenate([jnp.zeros((1, 8, 8, 3)), jnp.full((1, 8, 8, 3), 0.2)])
    gradient = jax.grad(lambda x: jnp.sum(enhancement(x)))(pixels)
    assert not gradient.any()


def test_a_network_keeps_its_weights_after_their_file_has_gone(weights, tmp_path):
    spec = dataclasses.replace(SPEC, enhancement=Enhancement("zero_dce", weights=weights))
    expected = spec.normalise(frames())
    description = tmp_path / "teacher" / "network.json"
    description.parent.mkdir()
    spec.save(description)
    assert sorted(f.name for f in description.parent.iterdir()) == [
        "network.json",
        "network.zero_dce.safetensors",
    ]
    weights.unlink()
    loaded = NetworkSpec.load(description)
    assert loaded.sees == "rgb, enhanced by zero_dce"
    np.testing.assert_array_equal(loaded.normalise(frames()), expected)
    # A run that goes on describes itself again.
    dataclasses.replace(SPEC, enhancement=Enhancement("zero_dce", weights=weights)).save(
        description
    )
    assert NetworkSpec.load(description) == loaded
    # And so does what was loaded, elsewhere.
    elsewhere = tmp_path / "student.json"
    loaded.save(elsewhere)
    again = NetworkSpec.load(elsewhere)
    assert recorded_weights(elsewhere).name == "student.zero_dce.safetensors"
    np.testing.assert_array_equal(again.normalise(frames()), expected)


def test_gamma_is_recorded_and_descriptions_without_either_stay_as_they_were(tmp_path):
    path = tmp_path / "network.json"
    spec = dataclasses.replace(SPEC, enhancement=Enhancement("gamma", 2.2))
    spec.save(path)
    assert NetworkSpec.load(path) == spec
    assert NetworkSpec.load(path).sees == "rgb, enhanced by gamma 2.2"
    SPEC.save(path)
    assert "enhancement" not in json.loads(path.read_text())
    assert NetworkSpec.load(path) == SPEC


def test_weights_that_change_under_a_run_are_noticed(weights, tmp_path, zero_dce):
    path = tmp_path / "network.json"
    spec = dataclasses.replace(SPEC, enhancement=Enhancement("zero_dce", weights=weights))
    spec.save(path)
    others = {name: 2 * tensor for name, tensor in zero_dce_tensors(zero_dce).items()}
    write_zero_dce(weights, others)
    changed = dataclasses.replace(SPEC, enhancement=Enhancement("zero_dce", weights=weights))
    with pytest.raises(ValueError, match="has changed since"):
        changed.save(path)
    write_zero_dce(recorded_weights(path), others)
    with pytest.raises(ValueError, match="holds other weights than the network was with"):
        NetworkSpec.load(path)
    recorded_weights(path).unlink()
    with pytest.raises(ValueError, match=r"there is no file .*network\.zero_dce\.safetensors"):
        NetworkSpec.load(path)


@pytest.mark.parametrize(
    "told",
    [
        *("zero_dce", 3, {}, {"name": "lime"}, {"name": "gamma", "x": 1}),
        *(
            {"name": "gamma", "gamma": gamma}
            # 1 / 1e-320 is infinite, and so is 1 / 1e-40 in float32.
            for gamma in (0, -1, True, "2", 10**400, 1e-320, 1e-40, float("inf"), float("nan"))
        ),
    ],
)
def test_a_description_of_no_enhancement_is_refused(tmp_path, told):
    path = tmp_path / "network.json"
    SPEC.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "enhancement": told}))
    with pytest.raises(ValueError, match=r"network\.json does not describe a network"):
        NetworkSpec.load(path)


def test_the_config_says_which_and_its_mistakes_are_named(tmp_path, weights):
    made = Enhancement.from_config(section(enhance="zero_dce", enhance_weights=str(weights)))
    assert made == Enhancement("zero_dce")
    assert made.tensors["e_conv1.bias"].shape == (32,)
    assert str(Enhancement.from_config(section(enhance="gamma", gamma=2.0))) == "gamma 2"
    with pytest.raises(ValueError, match="enhancement is 'lime', expected one of"):
        Enhancement.from_config(section(enhance="lime"))
    nameless = Enhancement.from_config(section(enhance="zero_dce"))
    with pytest.raises(ValueError, match="no file of its weights is named"):
        _ = nameless.tensors
    gone = Enhancement.from_config(section(enhance="zero_dce", enhance_weights=str(tmp_path / "x")))
    with pytest.raises(ValueError, match="there is no file"):
        _ = gone.tensors
    np.testing.assert_array_equal(
        Enhancement("gamma", 1.0)(jnp.ones((2, 2, 1))), gamma_correction(jnp.ones((2, 2, 1)))
    )
    with pytest.raises(ValueError, match="found 2"):
        Enhancement("zero_dce", weights=weights)(jnp.zeros((4, 4, 2)))
