"""The export command on a run of real files: round trips, the card, and the user's mistakes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from configs import demo, ntu
from rgb2ir_jax import export
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.pretrained import initialise, read_network, torchvision_tensors
from rgb2ir_jax.prediction.description import StudentDescription
from rgb2ir_jax.training.state import merge
from tests.written_run import CLASSES, draw, write_run

# Of a student of width 8 with three classes.
EXPECTED_SHAPES = {
    "conv1.weight": (8, 1, 7, 7),
    "layer2.0.downsample.0.weight": (16, 8, 1, 1),
    "layer4.1.bn2.running_var": (64,),
    "layer4.1.bn2.num_batches_tracked": (),
    "fc.weight": (3, 64),
}


def logits_of(network, clips):
    graph, state = nnx.split(network)
    return jax.jit(lambda s, x: nnx.merge(graph, s, copy=True)(x, train=False).logits)(state, clips)


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
    light = tmp_path / "light"
    light.mkdir()
    for name in ("network", "student"):
        (light / f"{name}.zero_dce.safetensors").write_text("of another network")
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
        (folder, "light", [], "network.zero_dce.safetensors is there already"),
        (folder, "light/student.safetensors", [], "student.zero_dce.safetensors is there already"),
        (folder, "weights.pth", [], "ends with .safetensors"),
        (folder, "weights.onnx", ["--format=stablehlo"], "ends with .stablehlo"),
        (folder, "o", ["--no-preprocessing"], "safetensors hold tensors, no program"),
    ):
        with pytest.raises(SystemExit) as stop:
            export.main([f"--run={run_folder}", f"--out={tmp_path / out}", *extra])
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert message in error
    assert (taken / "README.md").read_text() == "mine"
    assert [file.name for file in taken.iterdir()] == ["README.md"]
    assert len(list(light.iterdir())) == 2


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


class Case(NamedTuple):
    """A network to export.

    Attributes:
        spec: of it.
        side: of its input.
        preprocessing: whether the program takes uint8 frames.
    """

    spec: NetworkSpec
    side: int
    preprocessing: bool


def case(
    depth, width, *, side=32, preprocessing=True, modality="ir", channels=1, **options
) -> Case:
    mean, std = (0.449, 0.5, 0.4)[:channels], (0.226, 0.3, 0.25)[:channels]
    spec = NetworkSpec(
        modality, depth, width, channels, len(CLASSES), 0.5, False, mean, std, **options
    )
    return Case(spec, side, preprocessing)


CASES = {
    "infrared": case(18, 8, side=33),
    "grey for three channels": case(18, 4, channels=3),
    "temporal shift": case(18, 16, modality="rgb", channels=3, temporal_shift=True),
    "version 1, normalised frames": case(
        50, 4, modality="rgb", channels=3, preprocessing=False, stride_in_1x1=True
    ),
}
FULL = {
    "resnet18 at 224": case(18, 64, side=224),
    "resnet18 at 161, normalised frames": case(18, 64, side=161, preprocessing=False),
}
SEGMENTS = 4


def finished(case: Case) -> export.Trained:
    """A run with that network, as the command reads it from files."""
    split = draw(case.spec, 3)
    config = ntu.get_config("student")
    with config.unlocked():
        config.data.segments = SEGMENTS
        config.data.resize, config.data.crop = case.side + 3, case.side
    plain = json.loads(json.dumps(config.to_dict()))
    phase = {
        "network": "student",
        "variant": "student",
        "config_name": "ntu",
        "data_set": "ntu",
        "class_names": list(CLASSES),
        **dict.fromkeys(("limited", "synthetic"), False),
        **dict.fromkeys(("steps", "parameters", "seed", "clips_tested"), 1),
        **dict.fromkeys(("top1", "top5", "mean_class_accuracy"), 0.5),
    }
    run = {"config": plain, "methods": {}, "versions": {}, "networks": [phase]}
    return export.Trained(case.spec, merge(*split), run, phase, False)


def seen(case: Case, trained: export.Trained) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches of clips as the program takes them, and the unfolded network's logits of them."""
    spec, rng = case.spec, np.random.default_rng(5)
    times = (SEGMENTS,) if spec.temporal_shift else (SEGMENTS, 1)
    channels = 3 if spec.modality == "rgb" else 1
    found = []
    for clips, time in ((3, SEGMENTS), (1, times[-1])):
        frames = rng.integers(0, 256, (clips, time, case.side, case.side, channels), np.uint8)
        normalised = spec.normalise(jnp.asarray(frames))
        given = frames if case.preprocessing else np.asarray(normalised)
        found.append((given, np.asarray(logits_of(trained.network, normalised))))
    return found


def assert_equal_logits(found, expected) -> None:
    assert found.dtype == np.float32
    assert expected.std() > 0.01  # They are no constants.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def check_onnx(case: Case, folder: Path) -> None:
    import onnx
    import onnxruntime

    trained = finished(case)
    program, card, description = export.FORMATS["onnx"](trained, folder, case.preprocessing)
    session = onnxruntime.InferenceSession(program, providers=["CPUExecutionProvider"])
    for frames, expected in seen(case, trained):
        (logits,) = session.run(None, {"frames": frames})
        assert_equal_logits(logits, expected)
    graph = onnx.load(program).graph
    assert not {node.op_type for node in graph.node} & {"BatchNormalization", "Loop", "If"}
    told = StudentDescription.from_json(description.read_text(), description)
    stored = session.get_modelmeta().custom_metadata_map
    assert StudentDescription.from_json(stored["rgb2ir_jax"], program) == told
    assert json.loads(stored["class_names"]) == list(CLASSES)
    assert (told.crop, told.train_segments) == (case.side, SEGMENTS)
    assert "onnxruntime.InferenceSession(" in card.read_text()


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_computes_the_same(name, tmp_path) -> None:
    check_onnx(CASES[name], tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_onnxruntime_computes_the_same_of_the_full_network(name, tmp_path) -> None:
    check_onnx(FULL[name], tmp_path / "out")


# What an edge device runs: JAX and the file, nothing of this project.
CONSUMER = """
import json, pathlib, sys
sys.modules["rgb2ir_jax"] = sys.modules["flax"] = None
import jax
import numpy as np

for job in json.loads(sys.argv[1]):
    program = jax.export.deserialize(bytearray(pathlib.Path(job["program"]).read_bytes()))
    for frames, logits in job["batches"]:
        np.save(logits, jax.jit(program.call)(np.load(frames)))
"""


def check_stablehlo(cases: dict[str, Case], folder: Path) -> None:
    jobs, expectations = [], []
    for number, case in enumerate(cases.values()):
        trained = finished(case)
        out = folder / str(number)
        files = export.FORMATS["stablehlo"](trained, out, case.preprocessing)
        assert [file.name for file in files] == ["model.stablehlo", "README.md", "student.json"]
        batches = []
        for clip, (frames, expected) in enumerate(seen(case, trained)):
            given, found = out / f"frames{clip}.npy", out / f"logits{clip}.npy"
            np.save(given, frames)
            batches.append((str(given), str(found)))
            expectations.append((found, expected))
        jobs.append({"program": str(files[0]), "batches": batches})
    run = subprocess.run(
        [sys.executable, "-c", CONSUMER, json.dumps(jobs)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for found, expected in expectations:
        assert_equal_logits(np.load(found), expected)


def test_jax_alone_computes_the_same(tmp_path) -> None:
    check_stablehlo({name: CASES[name] for name in ("infrared", "temporal shift")}, tmp_path)


@pytest.mark.slow
def test_jax_alone_computes_the_same_of_the_full_network(tmp_path) -> None:
    check_stablehlo(FULL | {"normalised": CASES["version 1, normalised frames"]}, tmp_path)


def test_the_command_writes_programs_too(run, tmp_path, capsys) -> None:
    folder, _ = run
    for form, file in (("onnx", "model.onnx"), ("stablehlo", "small.stablehlo")):
        out = tmp_path / (form if form == "onnx" else file)
        arguments = [f"--run={folder}", f"--format={form}", f"--out={out}"]
        assert export.main([*arguments, "--no-preprocessing"]) == 0
        assert (out / file if form == "onnx" else out).is_file()
        shown = capsys.readouterr().out
        assert shown.count("wrote ") == 3
    told = json.loads((tmp_path / "small.json").read_text())
    assert told["preprocessing"] is False
    assert told["class_names"] == list(CLASSES)
    assert "float32, normalised as above, (batch, time, 224, 224, 1)" in (
        (tmp_path / "small.md").read_text()
    )


def test_the_default_place_is_in_the_run(tmp_path) -> None:
    write_run(tmp_path / "run", ntu.get_config("student"), names=("student",), width=4)
    assert export.main([f"--run={tmp_path / 'run'}"]) == 0
    assert (tmp_path / "run/export/student-safetensors/model.safetensors").is_file()


@pytest.mark.parametrize(("package", "form"), [("onnx", "onnx"), ("flatbuffers", "stablehlo")])
def test_what_must_be_installed_is_named(run, tmp_path, monkeypatch, capsys, package, form) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as stop:
        export.main([f"--run={run[0]}", f"--format={form}", f"--out={tmp_path / 'out'}"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"pip install {package}" in error
    assert not (tmp_path / "out").exists()
