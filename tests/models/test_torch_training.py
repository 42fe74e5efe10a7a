"""Narrow networks in evaluation and training against numbers of PyTorch.

torch_training_reference.npz was computed by torch 2.15 in float64. The network is the `ResNet` of
docs/weights.md with width 4 and 7 classes (and a depth "17" of bottlenecks, (1, 2, 1, 1) of them), its
tensors those of the recipe in resnet18_reference.json (`draw_tensor`); for each case (depth,
stride_in_1x1, height, width):

    net = ResNet(depth, 7, width=4, stride_in_1x1=stride_in_1x1).double()
    net.load_state_dict({n: torch.tensor(draw(n, t.shape)) if t.ndim else t for n, t in ...})
    images = np.random.RandomState(0).standard_normal((16, 3, height, width)).astype(np.float16)
    x, labels = torch.tensor(images.astype(np.float64)), torch.arange(16) % 7
    # "eval/..." after net.eval(), "train/..." after net.train(), stages by forward hooks
    logits = net(x); stage_i = map[:2].reshape(2, -1)[:, ::11]
    torch.nn.functional.cross_entropy(logits, labels).backward()  # in training
    def probe(name, t):  # A wrong value anywhere in a tensor shows in it.
        r = np.random.RandomState(zlib.crc32(("probe " + name).encode()) & 0xFFFFFFFF)
        return (t * r.standard_normal(t.shape)).sum() / sqrt(t.numel())
    gradients = [probe(n, gradient[n]) for n in sorted(names of the parameters)]
    norms = [gradient[n].norm() / sqrt(numel) for n in ...]
    statistics = [probe(n, buffer[n]) for n in sorted(names with "running")]  # after one step
    bn1 = bn1.running_mean, bn1.running_var
"""

import pathlib
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from rgb2ir_jax.models.output import STAGE_NAMES
from rgb2ir_jax.models.pretrained.torchvision_layout import (
    load_torchvision_tensors,
    torchvision_name,
)
from rgb2ir_jax.models.resnet import ARCHITECTURES, Architecture, ResNet

TOLERANCE = 5e-5
_TORCH_ORDER = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
CASES = {
    "18_even": (18, False, 64, 48),
    "18_odd": (18, False, 61, 45),
    "17_even": (17, False, 64, 48),
    "17_odd": (17, False, 61, 45),
    "17_v1_even": (17, True, 64, 48),
    "17_v1_odd": (17, True, 61, 45),
    "50_odd": (50, False, 93, 77),
}


@pytest.fixture(scope="module")
def reference():
    return np.load(pathlib.Path(__file__).parent / "data" / "torch_training_reference.npz")


def by_torch_names(state) -> dict[str, np.ndarray]:
    found = {}
    for path, variable in nnx.to_flat_state(state):
        array = np.asarray(variable[...], np.float64)
        found[torchvision_name(path)] = array.transpose(_TORCH_ORDER[array.ndim])
    return found


def probe(name: str, tensor: np.ndarray) -> float:
    random = np.random.RandomState(zlib.crc32(("probe " + name).encode()) & 0xFFFFFFFF)
    return (tensor * random.standard_normal(tensor.shape)).sum() / np.sqrt(tensor.size)


def run(case, draw_tensor, monkeypatch, dtype):
    """What the network of a case puts out and learns, computed in `dtype`."""
    depth, stride_in_1x1, height, width = CASES[case]
    bottleneck = depth != 18
    # All that a bottleneck does, in a quarter of the time to compile.
    monkeypatch.setitem(ARCHITECTURES, 17, Architecture((1, 2, 1, 1), bottleneck=True))
    model = nnx.eval_shape(
        lambda: ResNet(
            depth, 7, width=4, stride_in_1x1=stride_in_1x1, dtype=dtype, rngs=nnx.Rngs(0)
        )
    )
    drawn = {
        torchvision_name(path): draw_tensor(
            torchvision_name(path),
            tuple(variable.shape[axis] for axis in _TORCH_ORDER[len(variable.shape)]),
            "bn3" if bottleneck else "bn2",
        )
        for path, variable in nnx.to_flat_state(nnx.state(model))
    }
    load_torchvision_tensors(model, drawn)
    images = np.random.RandomState(0).standard_normal((16, 3, height, width)).astype(np.float16)
    x = jnp.asarray(images.transpose(0, 2, 3, 1), dtype)
    labels = jnp.arange(16) % 7
    graph, params, statistics = nnx.split(model, nnx.Param, nnx.BatchStat)
    params, statistics = jax.tree.map(lambda leaf: leaf.astype(dtype), (params, statistics))

    @jax.jit
    def compute(params, statistics, x):
        def loss(params):
            network = nnx.merge(graph, params, statistics, copy=True)
            output = network(x, train=True)
            ce = optax.softmax_cross_entropy_with_integer_labels(output.logits, labels).mean()
            return ce, (output, nnx.state(network, nnx.BatchStat))

        gradients, (trained, moved) = jax.grad(loss, has_aux=True)(params)
        still = nnx.merge(graph, params, statistics, copy=True)(x, train=False)
        return {"eval": still, "train": trained}, gradients, moved

    outputs, gradients, moved = compute(params, statistics, x)
    return outputs, by_torch_names(gradients), by_torch_names(moved)


def probes_and_norms(gradients):
    names = sorted(gradients)
    probes = [probe(name, gradients[name]) for name in names]
    return probes, [np.sqrt((gradients[name] ** 2).mean()) for name in names]


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * case.startswith("50")) for case in CASES]
)
def test_logits_maps_and_statistics_are_pytorchs(case, reference, draw_tensor, monkeypatch) -> None:
    depth = CASES[case][0]
    outputs, gradients, moved = run(case, draw_tensor, monkeypatch, jnp.float32)

    for mode, output in outputs.items():
        tolerance = TOLERANCE
        expected = reference[f"{case}/{mode}/logits"]
        np.testing.assert_allclose(output.logits, expected, atol=tolerance, rtol=tolerance)
        for stage in STAGE_NAMES:
            found = np.asarray(output.stages[stage]).transpose(0, 3, 1, 2)[:2].reshape(2, -1)
            expected = reference[f"{case}/{mode}/{stage}"]
            np.testing.assert_allclose(found[:, ::11], expected, atol=tolerance, rtol=tolerance)
    # Where rounding carries a value over a ReLU's corner, a whole pixel's share of a gradient comes
    # or goes: float32 is held to a thousandth here, and the formulas to far less below.
    if depth != 50:
        probes, norms = probes_and_norms(gradients)
        np.testing.assert_allclose(probes, reference[f"{case}/gradients"], atol=1e-3, rtol=1e-3)
        np.testing.assert_allclose(norms, reference[f"{case}/norms"], atol=TOLERANCE, rtol=1e-3)

    probes = [probe(name, moved[name]) for name in sorted(moved)]
    np.testing.assert_allclose(
        probes, reference[f"{case}/statistics"], atol=tolerance, rtol=tolerance
    )
    bn1 = np.stack([moved["bn1.running_mean"], moved["bn1.running_var"]])
    np.testing.assert_allclose(bn1, reference[f"{case}/bn1"], atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    "case", ["18_even", "17_odd", "17_v1_even", pytest.param("50_odd", marks=pytest.mark.slow)]
)
def test_gradients_are_pytorchs(case, reference, draw_tensor, monkeypatch) -> None:
    with jax.enable_x64(True):
        _, gradients, _ = run(case, draw_tensor, monkeypatch, jnp.float64)
    # The pooled features and the classifier stay float32.
    probes, norms = probes_and_norms(gradients)
    np.testing.assert_allclose(probes, reference[f"{case}/gradients"], atol=2e-6, rtol=2e-6)
    np.testing.assert_allclose(norms, reference[f"{case}/norms"], atol=2e-6, rtol=2e-6)
