"""Weights from every kind of source in real networks, and the errors for those that do not fit."""

import dataclasses
import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from rgb2ir_jax.models import TSN
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.pretrained import catalogue, initialise, torchvision_tensors
from rgb2ir_jax.models.pretrained.torchvision_layout import torchvision_shapes

SPEC = NetworkSpec(
    modality="rgb",
    depth=18,
    width=4,
    in_channels=3,
    num_classes=5,
    dropout=0.0,
    zero_init_residual=False,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


def spec_of(**options) -> NetworkSpec:
    return dataclasses.replace(SPEC, **options)


def tensors_of(spec: NetworkSpec, seed: int = 7) -> dict[str, np.ndarray]:
    """Random numbers in the shapes of the network, with PyTorch's counters."""
    rng = np.random.default_rng(seed)
    shapes = torchvision_shapes(nnx.eval_shape(lambda: spec.build(seed=0)).network)
    tensors = {
        name: rng.uniform(0.1, 1.0, shape).astype(np.float32) for name, shape in shapes.items()
    }
    counters = {n.replace("running_var", "num_batches_tracked"): np.array(3) for n in tensors}
    return tensors | {name: count for name, count in counters.items() if "num_batches" in name}


@pytest.fixture(scope="module")
def tensors():
    return tensors_of(SPEC)


@pytest.fixture(scope="module")
def fresh() -> TSN:
    return SPEC.build(seed=1)


def assert_holds(network: TSN, tensors: dict[str, np.ndarray]) -> None:
    found = torchvision_tensors(network.network)
    assert set(found) == {name for name in tensors if "num_batches" not in name}
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor, tensors[name], err_msg=name)


def hugging_face(name: str) -> str:
    """The name of transformers' for one of torchvision's, for a network of basic blocks."""
    parts = name.split(".")
    kind = {"conv": "convolution", "bn": "normalization"}
    if parts[0] == "fc":
        return f"classifier.1.{parts[1]}"
    if parts[0] in ("conv1", "bn1"):
        return f"resnet.embedder.embedder.{kind[parts[0][:-1]]}.{parts[1]}"
    where = f"resnet.encoder.stages.{int(parts[0][5:]) - 1}.layers.{parts[1]}"
    if parts[2] == "downsample":
        return f"{where}.shortcut.{('convolution', 'normalization')[int(parts[3])]}.{parts[4]}"
    return f"{where}.layer.{int(parts[2][-1]) - 1}.{kind[parts[2][:-1]]}.{parts[3]}"


@pytest.mark.parametrize("kind", ["zip", "legacy", "data_parallel", "timm", "hugging_face"])
def test_files_of_every_kind(tmp_path, torch_zip, torch_legacy, fresh, tensors, kind) -> None:
    network = nnx.clone(fresh)
    path = tmp_path / ("w.safetensors" if kind in ("timm", "hugging_face") else "w.pth")
    if kind == "zip":
        torch_zip(path, tensors)
    elif kind == "legacy":
        torch_legacy(path, tensors)
    elif kind == "data_parallel":
        torch_zip(path, {f"module.{name}": tensor for name, tensor in tensors.items()})
    elif kind == "timm":
        safetensors.numpy.save_file(tensors, path)
    else:
        safetensors.numpy.save_file({hugging_face(n): t for n, t in tensors.items()}, path)

    report = initialise(network, str(path), spec=SPEC)

    assert_holds(network, tensors)
    assert (report.path, report.changes) == (path, ())
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert report.tensors == 102  # 20 convolutions, 20 BatchNorms of four, a classifier of two.
    assert str(report).startswith(f"102 tensors from {path}, SHA-256 {report.sha256[:8]}")


def test_the_published_resnet18_through_the_real_readers(
    tmp_path, torch_zip, resnet18_reference
) -> None:
    spec = spec_of(width=64, num_classes=60)
    pth = torch_zip(tmp_path / "resnet18.pth", resnet18_reference.tensors)
    other = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(resnet18_reference.tensors, other)
    clips = jnp.asarray(resnet18_reference.images)[:, None]
    found = []
    for path in (pth, other):
        # Abstract: all of its numbers must come from the file.
        network = nnx.eval_shape(lambda: spec.build(seed=0))
        initialise(network, str(path), spec=spec)
        found.append(torchvision_tensors(network.network))
    jax.tree.map(np.testing.assert_array_equal, *found)
    graph, state = nnx.split(network)
    run = jax.jit(lambda s, x: nnx.merge(graph, s, copy=True)(x, train=False))
    output = run(state, clips)
    np.testing.assert_allclose(output.logits, resnet18_reference.logits, atol=5e-5, rtol=0)
    np.testing.assert_allclose(
        output.features[:, 0], resnet18_reference.features, atol=5e-5, rtol=0
    )
    for number in range(1, 5):
        stage = np.asarray(output.stages[f"stage{number}"])[:, 0].transpose(0, 3, 1, 2)
        expected = resnet18_reference.stages[f"layer{number}"]
        assert list(stage.shape) == expected["shape"]
        np.testing.assert_allclose(stage.mean(), expected["mean"], atol=5e-5)
        np.testing.assert_allclose(stage.ravel()[:8], expected["first8"], atol=5e-5)


@pytest.mark.parametrize("remove", [False, True])
def test_a_classifier_of_other_classes_stays_fresh(tmp_path, torch_zip, tensors, remove) -> None:
    spec = spec_of(num_classes=9)
    network = spec.build(seed=3)
    own = torchvision_tensors(network.network)
    given = {n: t for n, t in tensors.items() if not (remove and n.startswith("fc."))}
    report = initialise(network, str(torch_zip(tmp_path / "w.pth", given)), spec=spec)
    for name in ("fc.weight", "fc.bias"):
        np.testing.assert_array_equal(torchvision_tensors(network.network)[name], own[name])
    assert_holds(network, tensors | {n: own[n] for n in ("fc.weight", "fc.bias")})
    has = "no" if remove else "5"
    assert report.changes == (
        f"the classifier stays fresh (the file's has {has} classes, this one 9)",
    )
    assert report.tensors == 100


def test_an_infrared_stem_sees_a_grey_picture_as_the_colour_network_does(
    tmp_path, torch_zip, fresh, tensors
) -> None:
    path = str(torch_zip(tmp_path / "w.pth", tensors))
    colour, spec = nnx.clone(fresh), spec_of(in_channels=1, mean=(0.449,), std=(0.226,))
    infrared = spec.build(seed=0)
    initialise(colour, path, spec=SPEC)
    report = initialise(infrared, path, spec=spec)
    assert report.changes == ("the first convolution is summed over its 3 input channels",)
    grey = jnp.asarray(np.random.default_rng(0).normal(size=(1, 2, 32, 32, 1)), jnp.float32)
    expected = colour(jnp.repeat(grey, 3, axis=-1), train=False).logits
    np.testing.assert_allclose(infrared(grey, train=False).logits, expected, rtol=1e-5)


@pytest.mark.parametrize("channels", [2, 5])
def test_other_stems_follow_tsn(tmp_path, torch_zip, tensors, channels) -> None:
    spec = spec_of(in_channels=channels, mean=(0.5,), std=(0.5,))
    network = spec.build(seed=0)
    report = initialise(network, str(torch_zip(tmp_path / "w.pth", tensors)), spec=spec)
    kernel = torchvision_tensors(network.network)["conv1.weight"]
    assert kernel.shape == (4, channels, 7, 7)
    for channel in range(channels):
        expected = tensors["conv1.weight"].mean(axis=1)
        np.testing.assert_allclose(kernel[:, channel], expected, rtol=1e-6)
    assert report.changes == (
        f"the first convolution is the mean of its 3 input channels, {channels} times",
    )


def test_another_architecture_is_one_readable_error(tmp_path, torch_zip, fresh) -> None:
    network = nnx.clone(fresh)
    before = torchvision_tensors(network.network)
    given = tensors_of(spec_of(depth=34))
    given["fc.bias"] = given["fc.bias"][:4]
    given["extra"] = np.zeros(3, np.float32)
    del given["bn1.running_mean"]
    path = torch_zip(tmp_path / "w.pth", given)
    with pytest.raises(ValueError, match="do not fit the network") as error:
        initialise(network, str(path), spec=SPEC)
    head, *lines = str(error.value).splitlines()
    assert head.startswith(
        f"{path}: These tensors (a ResNet34 of width 4, 3 input channels, 5 classes) do not fit the "
        "network (a ResNet18 of width 4, 3 input channels, 5 classes)"
    )
    lines = [line.strip() for line in lines]
    assert "missing: bn1.running_mean" in lines
    assert "unexpected: extra (3,)" in lines
    assert "unexpected: layer3.5.conv2.weight (16, 16, 3, 3)" in lines
    assert "misshapen: fc.bias is (4,), the network's is (5,)" in lines
    # ResNet34 has 16 convolutions and as many BatchNorms more.
    assert len(lines) == 3 + 16 + 4 * 16
    jax.tree.map(np.testing.assert_array_equal, before, torchvision_tensors(network.network))


def test_weights_that_are_all_zero(tmp_path, torch_zip, fresh, tensors) -> None:
    path = torch_zip(tmp_path / "w.pth", {n: np.zeros_like(t) for n, t in tensors.items()})
    with pytest.raises(ValueError, match="every convolution in it is zero"):
        initialise(nnx.clone(fresh), str(path), spec=SPEC)


def test_a_checkpoint_is_read_by_who_trains(tmp_path, fresh, tensors) -> None:
    network = nnx.clone(fresh)
    plain = {name: tensor for name, tensor in tensors.items() if "num_batches" not in name}
    asked = []

    def read_checkpoint(folder):
        asked.append(folder)
        return plain

    report = initialise(network, str(tmp_path), spec=SPEC, read_checkpoint=read_checkpoint)
    assert asked == [tmp_path]
    assert report.sha256 is None
    assert_holds(network, plain)
    with pytest.raises(ValueError, match=r"folder without model\.safetensors"):
        initialise(network, str(tmp_path), spec=SPEC)


def test_a_published_name_is_taken_from_the_cache(
    tmp_path, torch_zip, monkeypatch, resnet18_reference
) -> None:
    draft = torch_zip(tmp_path / "draft.pth", resnet18_reference.tensors)
    digest = hashlib.sha256(draft.read_bytes()).hexdigest()
    file = catalogue.Published(f"resnet18-{digest[:8]}.pth", draft.stat().st_size / 2**20)
    draft.rename(tmp_path / file.file)
    monkeypatch.setitem(catalogue.PUBLISHED, "imagenet1k_v1", {18: file})
    spec = spec_of(width=64, mean=(0.5,), std=(0.25,), num_classes=60)
    network = nnx.eval_shape(lambda: spec.build(seed=0))
    report = initialise(network, "IMAGENET1K_V1", spec=spec, cache=tmp_path)
    assert_holds(network, resnet18_reference.tensors)
    assert report.sha256 == digest
    assert "trained with the mean (0.485, 0.456, 0.406)" in report.changes[-1]
    for changed, message in (
        ({"width": 4}, "published for networks of width 64, this one's is 4"),
        ({"depth": 34}, "not for 34"),
        ({"depth": 50, "stride_in_1x1": True}, "leave stride_in_1x1 False"),
    ):
        with pytest.raises(ValueError, match=message):
            initialise(
                network,
                "imagenet1k_v1",
                spec=dataclasses.replace(spec, **changed),
                cache=tmp_path,
            )


def test_a_source_that_is_not_there(fresh) -> None:
    with pytest.raises(
        ValueError, match=r"'nowhere\.pth' is neither.*imagenet1k_v1, imagenet1k_v2"
    ):
        initialise(fresh, "nowhere.pth", spec=SPEC)


def test_either_stride_takes_the_same_tensors(tmp_path, torch_zip) -> None:
    spec = spec_of(depth=50, stride_in_1x1=True)
    tensors = tensors_of(spec_of(depth=50))
    network = nnx.eval_shape(lambda: spec.build(seed=0))
    initialise(network, str(torch_zip(tmp_path / "w.pth", tensors)), spec=spec)
    assert_holds(network, tensors)
    block = network.network.layer2[0]
    assert (block.conv1.strides, block.conv2.strides) == ((2, 2), (1, 1))
