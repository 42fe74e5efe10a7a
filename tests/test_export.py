"""The export command on a run of real files: round trips, the card, and the user's mistakes."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy
from flax import nnx

from configs import demo, ntu
from rgb2ir_jax import export
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.pretrained import initialise, read_network, torchvision_tensors
from rgb2ir_jax.training.checkpoints import Checkpoints, Retention, write_json
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.state import Split, TrainState, merge

CLASSES = ("drink water", "eat meal", "throw")
# Of a student of width 8 with three classes.
EXPECTED_SHAPES = {
    "conv1.weight": (8, 1, 7, 7),
    "layer2.0.downsample.0.weight": (16, 8, 1, 1),
    "layer4.1.bn2.running_var": (64,),
    "layer4.1.bn2.num_batches_tracked": (),
    "fc.weight": (3, 64),
}


def write_run(folder: Path, config, names=("teacher", "student"), **facts) -> dict[str, dict]:
    """A finished run with random networks, in the files that training writes; their tensors."""
    config = config.copy_and_resolve_references()
    with config.unlocked():
        for network in (config.teacher, config.student):
            network.depth, network.width = 18, 8
    phases, tensors = [], {}
    for seed, name in enumerate(names):
        spec = NetworkSpec.from_config(config[name], len(CLASSES))
        (folder / name).mkdir(parents=True)
        spec.save(folder / name / "network.json")
        graph, variables = draw(spec, seed)
        nothing = Split.of(_Nothing()).variables
        state = TrainState(jnp.asarray(12), variables, nothing, optax.sgd(0.1).init({}))
        checkpoints = Checkpoints(folder / name, Retention(latest=1))
        checkpoints.save(state, {"seconds": 1.0}, None, 12)
        checkpoints.close()
        network = merge(graph, variables)
        tensors[name] = torchvision_tensors(network.network)
        phase = {
            "network": name,
            "variant": "teacher" if name == "teacher" else config.variant,
            "modality": spec.modality,
            "seed": 0,
            "top1": 0.5,
            "top5": 1.0,
            "mean_class_accuracy": 0.4567,
            "clips_tested": 12,
            "config_name": config.name,
            "data_set": f"{config.data.name}/{config.data.config}",
            "limited": bool(config.limit_train_steps),
            "steps": 12,
            "parameters": 1234567,
            "class_names": list(CLASSES),
            **facts,
        }
        write_json(folder / name / "result.json", phase)
        phases.append(phase)
    plain = json.loads(json.dumps(config.to_dict()))
    write_json(folder / "config.json", plain)
    result = {
        "config_name": config.name,
        "methods": {name: section.weight for name, section in config.distill.items()},
        "networks": phases,
        "versions": {"jax": jax.__version__},
        "config": plain,
    }
    write_json(folder / "result.json", result)
    return tensors


def draw(spec: NetworkSpec, seed: int) -> Split:
    """The network with random numbers in all of its arrays."""
    rng, everywhere = np.random.default_rng(seed), replicated(make_mesh())
    abstract = Split.abstract(lambda: spec.build(0), everywhere)

    def fill(leaf):
        return jax.device_put(rng.uniform(0.01, 0.2, leaf.shape).astype(leaf.dtype), everywhere)

    return Split(abstract.graph, jax.tree.map(fill, abstract.variables))


def logits_of(network, clips):
    graph, state = nnx.split(network)
    return jax.jit(lambda s, x: nnx.merge(graph, s, copy=True)(x, train=False).logits)(state, clips)


class _Nothing(nnx.Module):
    """The objective of a run without connectors."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = ntu.get_config()
    with config.unlocked():
        config.data.dir = "/home/somebody/data"
    return folder, write_run(folder, config)


def test_what_goes_out_comes_back(run, tmp_path, capsys) -> None:
    folder, tensors = run
    out = tmp_path / "new" / "out"
    assert export.main([f"--run={folder}", f"--out={out}"]) == 0
    assert sorted(file.name for file in out.iterdir()) == [
        "README.md",
        "model.safetensors",
        "network.json",
    ]
    assert capsys.readouterr().out.count("wrote ") == 3

    stored = safetensors.numpy.load_file(out / "model.safetensors")
    assert {name: stored[name].shape for name in EXPECTED_SHAPES} == EXPECTED_SHAPES
    counters = {name for name in stored if name.endswith("num_batches_tracked")}
    assert len(counters) == 20
    assert {int(stored[name]) for name in counters} == {12}
    assert set(stored) - counters == set(tensors["student"])
    for name, tensor in tensors["student"].items():
        np.testing.assert_array_equal(stored[name], tensor, strict=True)
    with safetensors.safe_open(out / "model.safetensors", "np") as opened:
        assert json.loads(opened.metadata()["class_names"]) == list(CLASSES)

    spec, network = read_network(out)
    assert spec == NetworkSpec.load(folder / "student" / "network.json")
    trained = export.read_run(folder, "student").network
    fresh = nnx.eval_shape(lambda: spec.build(seed=99))
    report = initialise(fresh, str(out), spec=spec)
    assert report.changes == ()
    clips = spec.normalise(
        jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32, 1), np.uint8))
    )
    expected = logits_of(trained, clips)
    for again in (network, fresh):
        np.testing.assert_array_equal(logits_of(again, clips), expected)


def test_a_single_file_and_the_teacher(run, tmp_path) -> None:
    folder, tensors = run
    out = tmp_path / "teacher.safetensors"
    assert export.main([f"--run={folder}", f"--out={out}", "--network=teacher"]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "teacher.json",
        "teacher.md",
        "teacher.safetensors",
    ]
    spec, network = read_network(out)
    assert spec.modality == "rgb"
    found = torchvision_tensors(network.network)
    jax.tree.map(np.testing.assert_array_equal, found, tensors["teacher"])
    assert "in colour video" in out.with_suffix(".md").read_text()


def test_the_card_says_what_the_network_is(run, tmp_path) -> None:
    export.main([f"--run={run[0]}", f"--out={tmp_path / 'out'}"])
    card = (tmp_path / "out" / "README.md").read_text()
    for said in (
        "# ResNet18 TSN for action recognition in infrared video",
        "| Data set | ntu_rgbd_ir/ten_class_xsub |",
        "cross-entropy and dkd (weight 0.1), mgcam (weight 1); teacher: ResNet18 on rgb",
        "| top-1 | 50.00 |",
        "| mean accuracy of the classes | 45.67 |",
        "mean (0.449) and std (0.226)",
        "torchvision has no ResNet of width 8",
        'load_state_dict(load_file("model.safetensors"), strict=True)',
        "0. drink water\n1. eat meal\n2. throw",
        "The terms of ntu_rgbd_ir/ten_class_xsub bind whatever was trained on it",
        '"learning_rate": 0.001',
    ):
        assert said in card
    assert "ynthetic" not in card
    assert "/home/somebody" not in card
    assert "Cut short" not in card


def test_synthetic_footage_and_trials_are_called_so(tmp_path) -> None:
    config = demo.get_config("student")
    with config.unlocked():
        config.limit_train_steps = 2
    write_run(tmp_path / "run", config, names=("student",))
    export.main([f"--run={tmp_path / 'run'}", f"--out={tmp_path / 'out'}"])
    card = (tmp_path / "out" / "README.md").read_text()
    assert "> **Synthetic.**" in card
    assert "> **Cut short.**" in card
    assert "12 synthetic test clips" in card
    assert "cross-entropy alone" in card


def test_what_the_run_says_of_its_footage_counts(tmp_path) -> None:
    for synthetic in (True, False):
        run, out = tmp_path / f"run{synthetic}", tmp_path / f"out{synthetic}"
        config = ntu.get_config("student")
        with config.unlocked():
            config.data.dir = "/home/laboratory of synthesis/data"
        write_run(run, config, names=("student",), synthetic=synthetic)
        export.main([f"--run={run}", f"--out={out}"])
        assert ("> **Synthetic.**" in (out / "README.md").read_text()) is synthetic


def test_other_runs_can_be_called_synthetic(run, tmp_path) -> None:
    export.main([f"--run={run[0]}", f"--out={tmp_path / 'out'}", "--synthetic"])
    assert "> **Synthetic.**" in (tmp_path / "out" / "README.md").read_text()


def test_a_users_mistakes_are_one_line(run, tmp_path, capsys) -> None:
    folder, _ = run
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.json").write_text("{}")
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("config.json", "result.json"):
        content = json.loads((folder / name).read_text())
        content["networks"] = content.get("networks", [])[1:]
        (alone / name).write_text(json.dumps(content))
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "README.md").write_text("mine")
    for run_folder, out, extra, message in (
        (tmp_path / "nothing", "o", [], "holds no run: expected config.json and result.json"),
        (unfinished, "o", [], "is not finished (there is no result.json)"),
        (
            folder / "student",
            "o",
            [],
            f"the folder of one network; give the run's, which is {folder}",
        ),
        (alone, "o", ["--network=teacher"], "trained no teacher of its own, only: student"),
        (folder, "taken", [], "README.md is there already"),
        (folder, "weights.pth", [], "ends with .safetensors"),
    ):
        with pytest.raises(SystemExit) as stop:
            export.main([f"--run={run_folder}", f"--out={tmp_path / out}", *extra])
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert message in error
    assert (taken / "README.md").read_text() == "mine"
    assert [file.name for file in taken.iterdir()] == ["README.md"]


def test_what_does_not_belong_together_is_not_read(run, tmp_path) -> None:
    out = tmp_path / "out"
    export.main([f"--run={run[0]}", f"--out={out}"])
    spec = NetworkSpec.load(out / "network.json")
    description = json.loads((out / "network.json").read_text())
    (out / "network.json").write_text(json.dumps(description | {"width": 4}))
    with pytest.raises(ValueError, match=r"model\.safetensors: These tensors.*width 8.*width 4"):
        read_network(out)
    (out / "network.json").unlink()
    with pytest.raises(ValueError, match=r"network\.json is not there"):
        read_network(out)
    assert spec.width == 8
