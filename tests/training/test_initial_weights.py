"""`config.*.init`: weights that come from an exported file and from a phase of an earlier run."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.pretrained import torchvision_tensors
from rgb2ir_jax.training.checkpoints import load_network
from rgb2ir_jax.training.experiment import Experiment
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.state import merge

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")


@pytest.fixture
def config_of(tiny_config, data_dir):
    def of(**init):
        config = tiny_config("student")
        with config.unlocked():
            config.data.dir = str(data_dir)
            config.limit_train_steps, config.limit_test_clips = 1, 8
            config.evaluation.batch_size = 8
            # A step that leaves the weights where they are.
            config.optimizer.learning_rate = 1e-30
            config.student.update(init)
        return config

    return of


def tensors_of(folder):
    _, network, _ = load_network(folder, replicated(make_mesh()))
    return torchvision_tensors(merge(network.graph, network.variables).network)


def parameters(tensors):
    return {name: value for name, value in tensors.items() if "running" not in name}


def test_a_network_starts_from_a_file_and_from_a_phase(config_of, tmp_path):
    config = config_of()
    spec = NetworkSpec.from_config(config.student, 10)
    given = torchvision_tensors(spec.build(seed=77).network)
    save_file(
        {name: np.ascontiguousarray(t) for name, t in given.items()}, tmp_path / "w.safetensors"
    )

    first = Experiment(config_of(init=str(tmp_path / "w.safetensors")), tmp_path / "first").run()
    found = parameters(tensors_of(tmp_path / "first" / "student"))
    for name, value in parameters(given).items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-20)
    noted = json.loads((tmp_path / "first" / "student" / "initial_weights.json").read_text())
    assert noted == first["networks"][0]["initial_weights"]
    assert noted["tensors"] == len(given)
    assert len(noted["sha256"]) == 64

    # The file may go once the run has begun.
    (tmp_path / "w.safetensors").unlink()
    Experiment(config_of(init=str(tmp_path / "w.safetensors")), tmp_path / "first")
    Experiment(config_of(init=str(tmp_path / "first" / "student")), tmp_path / "second").run()
    again = tensors_of(tmp_path / "second" / "student")
    for name, value in found.items():
        np.testing.assert_allclose(again[name], value, rtol=0, atol=1e-20)


def test_random_weights_are_other_ones(config_of, tmp_path):
    result = Experiment(config_of(), tmp_path / "run").run()
    assert result["networks"][0]["initial_weights"] is None
    assert not list(tmp_path.rglob("initial_weights.json"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.pth", r"config\.student\.init: 'nowhere\.pth' is neither a file"),
        (
            "imagenet1k_v1",
            r"config\.student\.init: 'imagenet1k_v1' is published for networks of width 64",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_before_any_work(config_of, tmp_path, source, message):
    with pytest.raises(ValueError, match=message):
        Experiment(config_of(init=source), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_misfits_are_listed(config_of, tmp_path):
    config = config_of()
    spec = NetworkSpec.from_config(config.student, 10)
    tensors = dict(torchvision_tensors(spec.build(seed=1).network))
    tensors["layer9.weight"] = tensors.pop("layer1.0.conv1.weight")
    save_file(
        {name: np.ascontiguousarray(t) for name, t in tensors.items()}, tmp_path / "w.safetensors"
    )
    with pytest.raises(
        ValueError, match=r"(?s)missing: layer1\.0\.conv1.*unexpected: layer9"
    ) as caught:
        Experiment(config_of(init=str(tmp_path / "w.safetensors")), tmp_path / "run")
    assert str(caught.value).startswith("config.student.init: ")
