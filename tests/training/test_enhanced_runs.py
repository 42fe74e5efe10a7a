"""Runs whose networks see enhanced frames, of one modality: trained, tested, resumed, exported, predicted."""

import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from rgb2ir_jax import export
from rgb2ir_jax.data.pipeline import eval_batches
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.launch.looks import look
from rgb2ir_jax.launch.trained_network import load_run, score_split
from rgb2ir_jax.models.enhancement.weights import write_zero_dce, zero_dce_tensors
from rgb2ir_jax.models.enhancement.zero_dce import ZeroDCE
from rgb2ir_jax.prediction.student import load_student
from rgb2ir_jax.training.experiment import Experiment

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def brightening(tmp_path_factory):
    """Weights of curves that brighten all pixels, and those next to edges otherwise."""
    tensors = zero_dce_tensors(ZeroDCE(rngs=nnx.Rngs(0)))
    tensors["e_conv7.bias"] = np.full(24, -0.3, np.float32)
    path = tmp_path_factory.mktemp("given") / "brightening.safetensors"
    write_zero_dce(path, tensors)
    return path


@pytest.fixture(scope="module")
def config_of(tiny_config, data_dir):
    def of(variant="dkd", **fields):
        config = tiny_config(variant)
        changes = {
            "student.modality": "rgb",
            "student.in_channels": 3,
            "student.mean": (0.4, 0.4, 0.4),
            "student.std": (0.2, 0.2, 0.2),
            "teacher.epochs": 1,
            "student.epochs": 1,
            "evaluation.batch_size": 4,
            "data.dir": str(data_dir),
        }
        with config.unlocked():
            config.update_from_flattened_dict({**changes, **fields})
        return config

    return of


@pytest.fixture(scope="module")
def run(config_of, brightening, tmp_path_factory):
    """The paper's dual light: an enhanced teacher, and a student of the same modality (with gamma here)."""
    workdir = tmp_path_factory.mktemp("run") / "run"
    given = shutil.copy(brightening, workdir.parent / "given.safetensors")
    fields = {
        "teacher.enhance": "zero_dce",
        "teacher.enhance_weights": str(given),
        "student.enhance": "gamma",
        "student.gamma": 2.0,
        "figures.inputs": 2,
    }
    config = config_of(**fields)
    result = Experiment(config, workdir).run()
    given.unlink()
    return workdir, config, result


def test_the_result_tells_what_each_network_saw(run):
    workdir, _, result = run
    teacher, student = result["networks"]
    assert (teacher["modality"], teacher["enhance"]) == ("rgb", "zero_dce")
    assert (student["modality"], student["enhance"]) == ("rgb", "gamma 2")
    # Zero-DCE's, 0.0792 M a pixel, come on top of the network's.
    assert teacher["gmac"] > 2 * 32 * 32 * 79_056 / 1e9
    assert (workdir / "teacher" / "network.zero_dce.safetensors").is_file()
    assert (workdir / "student" / "inputs.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["teacher", "student"])
def test_a_run_is_tested_and_goes_on_after_the_weight_file_has_gone(run, name):
    workdir, config, result = run
    assert Experiment(config, workdir).run()["networks"] == result["networks"]
    network = load_run(workdir, name)
    logits, labels = score_split(network, config.data, "test", Protocol.from_config(config))
    assert np.mean(logits.argmax(1) == labels) == network.result["top1"]


def test_the_networks_see_other_light_and_decode_their_one_modality_once(run):
    workdir, config, _ = run
    batch = next(iter(eval_batches(config.data, "test", 4, ["rgb", "rgb"])))
    assert {"rgb", "label", "mask", "index"} == set(batch)
    frames, seen = jnp.asarray(batch["rgb"]), {}
    for name, mean, std in (
        ("teacher", config.teacher.mean, config.teacher.std),
        ("student", 0.4, 0.2),
    ):
        spec = load_run(workdir, name).spec
        seen[name] = np.asarray(spec.normalise(frames)) * np.array(std) + np.array(mean)
    pixels = batch["rgb"] / 255
    np.testing.assert_allclose(seen["student"], np.sqrt(pixels), atol=1e-4)
    middling = (pixels > 0.2) & (pixels < 0.8)
    assert (seen["teacher"][middling] > pixels[middling] + 0.05).all()


@pytest.mark.parametrize("form", ["safetensors", "stablehlo", "onnx"])
@pytest.mark.parametrize("name", ["teacher", "student"])
def test_what_is_exported_contains_its_enhancement(run, tmp_path, form, name):
    workdir, _, _ = run
    out = tmp_path / form
    assert (
        export.main([f"--run={workdir}", f"--network={name}", f"--format={form}", f"--out={out}"])
        == 0
    )
    frames = np.random.default_rng(1).integers(0, 80, (6, 40, 44, 3), np.uint8)
    own, exported = load_student(workdir, network=name), load_student(out)
    clips = [own.clip(frames), own.clip(frames[::-1])]
    found, expected = exported.logits(clips), own.logits(clips)
    assert expected.std() > 0
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    card = (out / "README.md").read_text()
    assert {"teacher": "Zero-DCE", "student": "1 / 2"}[name] in card
    if form == "safetensors" and name == "teacher":
        stored = safetensors.numpy.load_file(out / "network.zero_dce.safetensors")
        assert stored["e_conv7.bias"] == pytest.approx(-0.3)
        assert str(workdir.parent) not in card


def test_a_program_for_normalised_frames_is_refused(run, tmp_path, capsys):
    for form in ("stablehlo", "onnx"):
        arguments = [
            f"--run={run[0]}",
            f"--format={form}",
            f"--out={tmp_path}",
            "--no-preprocessing",
        ]
        with pytest.raises(SystemExit) as stopped:
            export.main(arguments)
        assert stopped.value.code == 2
        assert "sees rgb, enhanced by gamma 2" in capsys.readouterr().err


def test_a_teacher_of_another_light_is_refused(run, config_of, tmp_path):
    config = config_of(**{"teacher.checkpoint": str(run[0])})
    with pytest.raises(ValueError, match="sees: rgb, enhanced by zero_dce; expected rgb"):
        Experiment(config, tmp_path / "other")


def test_missing_weights_and_modalities_stop_before_any_work(config_of, tmp_path):
    def refuse(message, variant="dkd", **fields):
        with pytest.raises(ValueError, match=message):
            Experiment(config_of(variant, **fields), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    refuse(
        "config.teacher.enhance: .*no file of its weights is named",
        **{"teacher.enhance": "zero_dce"},
    )
    refuse(
        "config.student.enhance: there is no file",
        **{"student.enhance": "zero_dce", "student.enhance_weights": str(tmp_path / "no.pth")},
    )
    refuse("config.student.enhance is 'lime', expected one of", **{"student.enhance": "lime"})
    refuse("'depth' were asked for.* hold rgb, ir alone", **{"teacher.modality": "depth"})
    # A teacher that is not trained needs none.
    fields = {"teacher.enhance": "zero_dce", "teacher.modality": "depth"}
    Experiment(config_of("student", **fields), tmp_path / "alone")


def test_the_frames_of_the_report_are_shown_before_and_after(run):
    looks = look(run[0] / "teacher")
    assert looks.facts["enhance"] == "zero_dce"
    assert len(looks.enhanced) == len(looks.frames) > 0
    from rgb2ir_jax.video.jpeg import decode_jpeg

    before, after = (
        decode_jpeg(f[0][0], 3).astype(float).mean() for f in (looks.frames, looks.enhanced)
    )
    assert after > before
    assert json.loads(json.dumps(looks.facts))["modality"] == "rgb"
