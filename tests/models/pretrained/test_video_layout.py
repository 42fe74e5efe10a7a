"""R(2+1)D under torchvision's names: published sizes, files of both kinds, and what does not fit."""

import dataclasses

import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from rgb2ir_jax.models import R2Plus1D
from rgb2ir_jax.models.network import BACKBONES, NetworkSpec
from rgb2ir_jax.models.pretrained import catalogue, initialise, read_network, torchvision_tensors
from rgb2ir_jax.models.pretrained.safetensors_file import write_safetensors
from rgb2ir_jax.models.pretrained.torchvision_layout import describe, torchvision_shapes

SPEC = NetworkSpec(
    modality="rgb",
    depth=18,
    width=4,
    in_channels=3,
    num_classes=5,
    dropout=0.0,
    zero_init_residual=False,
    mean=(0.43216, 0.394666, 0.37645),
    std=(0.22803, 0.22145, 0.216989),
    backbone="r2plus1d_18",
)

# Some of the tensors of r2plus1d_18-91a641e6.pth and of the IG-65M files, as PyTorch lists them.
PUBLISHED = {
    18: {
        "stem.0.weight": (45, 3, 1, 7, 7),
        "stem.1.running_var": (45,),
        "stem.3.weight": (64, 45, 3, 1, 1),
        "stem.4.bias": (64,),
        "layer1.0.conv1.0.0.weight": (144, 64, 1, 3, 3),
        "layer1.1.conv2.0.1.running_mean": (144,),
        "layer2.0.conv1.0.0.weight": (230, 64, 1, 3, 3),
        "layer2.0.conv1.0.3.weight": (128, 230, 3, 1, 1),
        "layer2.0.conv2.0.0.weight": (230, 128, 1, 3, 3),
        "layer2.0.conv2.1.weight": (128,),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1, 1),
        "layer2.0.downsample.1.running_var": (128,),
        "layer4.1.conv2.0.3.weight": (512, 1152, 3, 1, 1),
        "fc.weight": (400, 512),
        "fc.bias": (400,),
    },
    34: {
        "layer2.0.conv1.0.0.weight": (230, 64, 1, 3, 3),
        "layer2.0.conv2.0.0.weight": (288, 128, 1, 3, 3),
        "layer3.0.conv2.0.1.weight": (576,),
        "layer3.5.conv2.0.3.weight": (256, 576, 3, 1, 1),
        "layer4.0.conv2.0.3.weight": (512, 1152, 3, 1, 1),
        "layer4.2.conv1.1.bias": (512,),
    },
}


def spec_of(**options) -> NetworkSpec:
    return dataclasses.replace(SPEC, **options)


def tensors_of(spec: NetworkSpec) -> dict[str, np.ndarray]:
    """Random numbers in the shapes of the network, with PyTorch's counters."""
    rng = np.random.default_rng(7)
    shapes = torchvision_shapes(nnx.eval_shape(lambda: spec.build(seed=0)))
    tensors = {n: rng.uniform(0.1, 1.0, s).astype(np.float32) for n, s in shapes.items()}
    counters = [n.replace("running_var", "num_batches_tracked") for n in tensors if "_var" in n]
    return tensors | {name: np.array(3) for name in counters}


@pytest.fixture(scope="module")
def tensors():
    return tensors_of(SPEC)


def assert_holds(network: R2Plus1D, tensors: dict[str, np.ndarray]) -> None:
    found = torchvision_tensors(network)
    assert set(found) == {name for name in tensors if "num_batches" not in name}
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor, tensors[name], err_msg=name)


@pytest.mark.parametrize("depth", PUBLISHED)
def test_names_and_shapes_are_the_published_ones(depth) -> None:
    spec = spec_of(depth=depth, backbone=f"r2plus1d_{depth}", width=64, num_classes=400)
    shapes = torchvision_shapes(nnx.eval_shape(lambda: spec.build(0)))
    assert {name: shapes[name] for name in PUBLISHED[depth]} == PUBLISHED[depth]
    convolutions = 2 + 4 * {18: 8, 34: 16}[depth] + 3
    # Each with a BatchNorm of four, and the classifier.
    assert len(shapes) == 5 * convolutions + 2
    assert describe(shapes) == f"an R(2+1)D-{depth} of width 64, 3 input channels, 400 classes"


@pytest.mark.parametrize("kind", ["zip", "legacy", "data_parallel", "safetensors"])
def test_files_of_every_kind(tmp_path, torch_zip, torch_legacy, tensors, kind) -> None:
    network = nnx.eval_shape(lambda: SPEC.build(seed=0))
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "zip":
        torch_zip(path, tensors)
    elif kind == "legacy":
        torch_legacy(path, tensors)
    elif kind == "data_parallel":
        torch_zip(path, {f"module.{name}": tensor for name, tensor in tensors.items()})
    else:
        safetensors.numpy.save_file(tensors, path)
    report = initialise(network, str(path), spec=SPEC)
    assert_holds(network, tensors)
    assert (report.tensors, report.changes) == (5 * 37 + 2, ())


def test_the_34_layers_of_ig65m(tmp_path, torch_zip) -> None:
    spec = spec_of(depth=34, backbone="r2plus1d_34", width=2)
    tensors = tensors_of(dataclasses.replace(spec, num_classes=7))
    network = nnx.eval_shape(lambda: spec.build(seed=0))
    report = initialise(network, str(torch_zip(tmp_path / "w.pth", tensors)), spec=spec)
    assert report.changes == ("the classifier stays fresh (the file's has 7 classes, this one 5)",)
    assert network.layer1[0].first.bn1.epsilon == 1e-3
    with pytest.raises(
        ValueError, match=r"an R\(2\+1\)D-34 of width 2.*an R\(2\+1\)D-18 of width 4"
    ):
        initialise(nnx.eval_shape(lambda: SPEC.build(0)), str(tmp_path / "w.pth"), spec=SPEC)


def test_a_bert_head_stays_fresh_unless_the_file_has_one(tmp_path, torch_zip, tensors) -> None:
    spec = spec_of(temporal_head="bert")
    network = spec.build(seed=3)
    own = torchvision_tensors(network)
    path = torch_zip(tmp_path / "mean.pth", tensors)
    report = initialise(network, str(path), spec=spec)
    kept = {n: t for n, t in own.items() if n.startswith(("bert.", "fc."))}
    assert len(kept) == 2 + 8 * 2 + 2
    assert_holds(network, tensors | kept)
    assert report.changes == (
        "the BERT head and the classifier stay fresh (the file has no such head)",
    )
    both = tensors_of(spec)
    report = initialise(network, str(torch_zip(tmp_path / "bert.pth", both)), spec=spec)
    assert_holds(network, both)
    assert report.changes == ()
    with pytest.raises(ValueError, match=r"unexpected: bert\.class_token"):
        initialise(nnx.eval_shape(lambda: SPEC.build(0)), str(tmp_path / "bert.pth"), spec=SPEC)


def test_an_infrared_stem_is_the_sum_over_the_colours(tmp_path, torch_zip, tensors) -> None:
    spec = spec_of(in_channels=1, mean=(0.4,), std=(0.22,))
    network = spec.build(seed=0)
    report = initialise(network, str(torch_zip(tmp_path / "w.pth", tensors)), spec=spec)
    assert report.changes == ("the first convolution is summed over its 3 input channels",)
    kernel = torchvision_tensors(network)["stem.0.weight"]
    expected = tensors["stem.0.weight"].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(kernel, expected, rtol=1e-6)


def test_the_published_name_is_for_this_network_alone() -> None:
    file = catalogue.published_file("KINETICS400_V1", "r2plus1d_18")
    assert (file.digest, file.mebibytes) == ("91a641e6", 120.318)
    with pytest.raises(ValueError, match=r"published for r2plus1d_18, not for 18; .*imagenet1k_v1"):
        catalogue.published_file("kinetics400_v1", 18)
    with pytest.raises(
        ValueError, match="not for r2plus1d_34; for r2plus1d_34 there is none, so that"
    ):
        catalogue.published_file("kinetics400_v1", "r2plus1d_34")
    with pytest.raises(ValueError, match="networks of width 64, this one's is 4"):
        initialise(SPEC.build(0), "kinetics400_v1", spec=SPEC)


def test_what_was_written_is_read_back(tmp_path, tensors) -> None:
    spec = spec_of(temporal_head="bert")
    network = spec.build(seed=3)
    spec.save(tmp_path / "network.json")
    write_safetensors(tmp_path / "model.safetensors", torchvision_tensors(network), {})
    read_spec, read = read_network(tmp_path)
    assert read_spec == spec
    assert isinstance(read, R2Plus1D)
    assert_holds(read, torchvision_tensors(network))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_of_a_config(backbone) -> None:
    from configs import ntu

    config = ntu.get_config()
    config.student.backbone = backbone
    spec = NetworkSpec.from_config(config.student, 3)
    assert spec.depth == BACKBONES[backbone]
    assert spec.mixes_time == spec.is_video_network == backbone.startswith("r2plus1d")
    expected = {"resnet": f"ResNet{spec.depth}", "r2plus1": f"R(2+1)D-{spec.depth}"}
    assert spec.title == expected[backbone.rstrip("0123456789").removesuffix("d_")]
    widest = list(spec.stage_channels.values())[-1]
    assert widest == (2048 if spec.title in ("ResNet50", "ResNet101") else 512)
