"""Writes data/r2plus1d_reference.npz: narrow R(2+1)D networks and a BERT layer, as PyTorch computes them.

    python tests/models/make_r2plus1d_reference.py    (needs torch and torchvision; tests do not)

The networks are torchvision's own `VideoResNet` of torchvision's own blocks, with a sixteenth of the
channels, in float64; depth 11 has the changes of moabitcoin/ig65m-pytorch to that of 34 layers (middle
channels of a widening block's second convolution, epsilon 1e-3). Depths 10 and 11 have five blocks,
with all that a deeper network does, and compile in a quarter of the time. The BERT head is torch's
`TransformerEncoderLayer` with BERT's settings behind a class token and learned positions. Tensors are
drawn by the recipe of resnet18_reference.json from the names alone (`draw`), so that none is stored.
"""

import pathlib
import zlib

import numpy as np

BLOCKS = {18: (2, 2, 2, 2), 10: (1, 2, 1, 1), 11: (1, 2, 1, 1)}
OWN_MIDDLE = 11
WIDTH, CLASSES, HEADS = 4, 7, 8
# (clips, time, height, width); odd numbers too, whose last windows reach into the padding.
CASES = {
    "10_bert": (10, (4, 16, 24, 24), "bert"),
    "11_even": (11, (4, 8, 32, 24), "mean"),
    "18_odd": (18, (4, 5, 29, 21), "mean"),
}


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """One tensor of a network by its name."""
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    if len(shape) == 5:
        values = random.standard_normal(shape) * np.sqrt(2 / (shape[0] * np.prod(shape[2:])))
    elif len(shape) == 2:
        values = random.standard_normal(shape) * 0.15
    elif name.endswith("running_var"):
        values = 0.5 + random.random_sample(shape)
    elif name.endswith(("bias", "running_mean")):
        values = 0.1 * random.standard_normal(shape)
    else:
        values = 0.5 + random.random_sample(shape)
        if name.endswith("conv2.1.weight"):
            values = values * 0.25
    return values.astype(np.float16).astype(np.float64)


def probe(name: str, tensor: np.ndarray) -> float:
    """One number in which a wrong value anywhere in the tensor shows."""
    random = np.random.RandomState(zlib.crc32(("probe " + name).encode()) & 0xFFFFFFFF)
    return float((tensor * random.standard_normal(tensor.shape)).sum() / np.sqrt(tensor.size))


def clips(shape: tuple[int, ...]) -> np.ndarray:
    """The input of a case, (clip, time, height, width, channel)."""
    return np.random.RandomState(0).standard_normal((*shape, 3)).astype(np.float16)


def _network(depth: int, head: str):
    import torch
    from torch import nn
    from torchvision.models.video import resnet as video

    class Stem(nn.Sequential):
        def __init__(self):
            middle = 45 * WIDTH // 64
            super().__init__(
                nn.Conv3d(3, middle, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
                nn.BatchNorm3d(middle),
                nn.ReLU(),
                nn.Conv3d(middle, WIDTH, (3, 1, 1), 1, (1, 0, 0), bias=False),
                nn.BatchNorm3d(WIDTH),
                nn.ReLU(),
            )

    class Narrow(video.VideoResNet):
        def _make_layer(self, block, conv_builder, planes, blocks, stride=1):
            self.inplanes = WIDTH if planes == 64 else self.inplanes
            return super()._make_layer(block, conv_builder, planes * WIDTH // 64, blocks, stride)

    makers = [video.Conv2Plus1D] * 4
    net = Narrow(video.BasicBlock, makers, list(BLOCKS[depth]), Stem, num_classes=CLASSES)
    net.fc = nn.Linear(8 * WIDTH, CLASSES)
    if depth == OWN_MIDDLE:
        for layer in (net.layer2, net.layer3, net.layer4):
            planes = layer[0].conv2[0][3].out_channels
            middle = 27 * planes * planes // (9 * planes + 3 * planes)
            layer[0].conv2[0] = video.Conv2Plus1D(planes, planes, middle)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eps = 1e-3

    class WithBERT(nn.Module):
        """`net` with BERT between the time steps and the classifier."""

        def __init__(self):
            super().__init__()
            self.net, size = net, 8 * WIDTH
            self.class_token = nn.Parameter(torch.zeros(1, size))
            self.positions = nn.Parameter(torch.zeros(17, size))
            self.layer = nn.TransformerEncoderLayer(
                size, HEADS, 4 * size, 0.0, "gelu", 1e-12, batch_first=True, norm_first=False
            )

        def forward(self, x):
            for module in (net.stem, net.layer1, net.layer2, net.layer3, net.layer4):
                x = module(x)
            x = x.mean((3, 4)).transpose(1, 2)
            x = torch.cat([self.class_token.expand(len(x), 1, -1), x], 1)
            x = self.layer(x + self.positions[: x.shape[1]])
            return net.fc(x[:, 0])

    return (WithBERT() if head == "bert" else net).double()


# Names of this project's BERT head, by those of torch's layer.
_BERT = {
    "class_token": "bert.class_token",
    "positions": "bert.positions",
    "layer.self_attn.out_proj": "bert.attention_output",
    "layer.norm1": "bert.attention_norm",
    "layer.linear1": "bert.intermediate",
    "layer.linear2": "bert.output",
    "layer.norm2": "bert.output_norm",
}


def _named(net) -> dict:
    """name here -> (tensor, rows of it): torch has query, key and value in one matrix."""
    found = {}
    for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
        if name.endswith("num_batches_tracked"):
            continue
        own = name.removeprefix("net.")
        module, _, kind = own.rpartition(".")
        if own.startswith("layer.self_attn.in_proj"):
            size = len(tensor) // 3
            for k, part in enumerate(("query", "key", "value")):
                rows = slice(k * size, (k + 1) * size)
                found[f"bert.{part}.{own.rpartition('_')[2]}"] = (tensor, rows)
        elif own in _BERT:
            found[_BERT[own]] = (tensor, slice(None))
        else:
            own = f"{_BERT[module]}.{kind}" if module in _BERT else own
            found[own] = (tensor, slice(None))
    return found


def _record(module, stages: dict, name: str) -> None:
    module.register_forward_hook(lambda _module, _inputs, out: stages.__setitem__(name, out))


def main() -> None:
    """Computes all cases and writes the file."""
    import torch

    torch.manual_seed(0)
    stored: dict[str, np.ndarray] = {}
    for case, (depth, shape, head) in CASES.items():
        net = _network(depth, head)
        named = _named(net)
        with torch.no_grad():
            for name, (tensor, rows) in named.items():
                tensor[rows] = torch.tensor(draw(name, tuple(tensor[rows].shape)))
        stages: dict[str, torch.Tensor] = {}
        trunk = net.net if head == "bert" else net
        for number in range(1, 5):
            _record(getattr(trunk, f"layer{number}"), stages, f"stage{number}")
        x = torch.tensor(clips(shape).astype(np.float64)).permute(0, 4, 1, 2, 3)
        labels = torch.arange(len(x)) % CLASSES
        for mode in ("eval", "train"):
            net.train(mode == "train")
            logits = net(x)
            stored[f"{case}/{mode}/logits"] = logits.detach().numpy()
            for stage, maps in stages.items():
                flat = maps.detach().permute(0, 2, 3, 4, 1)
                stored[f"{case}/{mode}/{stage}/shape"] = np.array(flat.shape)
                stored[f"{case}/{mode}/{stage}"] = flat.reshape(len(x), -1)[:, ::17].numpy()
        torch.nn.functional.cross_entropy(logits, labels).backward()
        parameters = sorted(n for n, (tensor, _) in named.items() if tensor.requires_grad)
        gradients = {n: named[n][0].grad[named[n][1]].numpy() for n in parameters}
        stored[f"{case}/names"] = np.array(parameters)
        stored[f"{case}/gradients"] = np.array([probe(n, gradients[n]) for n in parameters])
        stored[f"{case}/norms"] = np.array(
            [np.sqrt((gradients[n] ** 2).mean()) for n in parameters]
        )
        buffers = sorted(n for n in named if "running" in n)
        stored[f"{case}/statistics"] = np.array([probe(n, named[n][0].numpy()) for n in buffers])
    path = pathlib.Path(__file__).parent / "data" / "r2plus1d_reference.npz"
    np.savez_compressed(path, **stored)


if __name__ == "__main__":
    main()
