"""Makes tests/models/data/zero_dce_reference.npz with PyTorch, in float64; not run by the tests.

python tests/models/enhancement/make_zero_dce_reference.py

The network and the losses are written anew in PyTorch after the formulas of Zero-DCE's authors (Guo et
al., CVPR 2020; github.com/Li-Chongyi/Zero-DCE, model.py and Myloss.py). The weights follow from a recipe,
so that the file holds inputs and outputs alone.
"""

import pathlib
import zlib

import numpy as np
import torch
from torch.nn import functional

OUT = pathlib.Path(__file__).parents[1] / "data" / "zero_dce_reference.npz"
SHAPES = {
    **{f"e_conv{k}.weight": (32, 3 if k == 1 else 32, 3, 3) for k in range(1, 5)},
    **{f"e_conv{k}.weight": (24 if k == 7 else 32, 64, 3, 3) for k in range(5, 8)},
    **{f"e_conv{k}.bias": (24 if k == 7 else 32,) for k in range(1, 8)},
}


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of its name alone; large enough for tanh to bend and ReLU to cut."""
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    scale = 0.1 if len(shape) == 1 else 1.5 / np.sqrt(np.prod(shape[1:]))
    return (scale * random.standard_normal(shape)).astype(np.float16).astype(np.float64)


def network(x: torch.Tensor, weights: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    def layer(k: int, *inputs: torch.Tensor) -> torch.Tensor:
        joined = torch.cat(inputs, 1)
        return functional.conv2d(
            joined, weights[f"e_conv{k}.weight"], weights[f"e_conv{k}.bias"], padding=1
        )

    x1 = layer(1, x).relu()
    x2 = layer(2, x1).relu()
    x3 = layer(3, x2).relu()
    x4 = layer(4, x3).relu()
    x5 = layer(5, x3, x4).relu()
    x6 = layer(6, x2, x5).relu()
    curves = layer(7, x1, x6).tanh()
    for r in curves.split(3, 1):
        x = x + r * (x**2 - x)
    return x, curves


def losses(
    images: torch.Tensor, enhanced: torch.Tensor, curves: torch.Tensor
) -> dict[str, torch.Tensor]:
    pool = torch.nn.AvgPool2d(4)
    before, after = pool(images.mean(1, keepdim=True)), pool(enhanced.mean(1, keepdim=True))
    spatial = 0
    for y, x in ((1, 0), (1, 2), (0, 1), (2, 1)):
        kernel = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
        kernel[0, 0, 1, 1], kernel[0, 0, y, x] = 1, -1
        difference = functional.conv2d(before, kernel, padding=1) - functional.conv2d(
            after, kernel, padding=1
        )
        spatial = spatial + difference**2
    patches = torch.nn.AvgPool2d(16)(enhanced.mean(1, keepdim=True))
    red, green, blue = enhanced.mean((2, 3), keepdim=True).split(1, 1)
    pairs = ((red - green) ** 2, (red - blue) ** 2, (blue - green) ** 2)
    batch, _, height, width = curves.shape
    down = ((curves[:, :, 1:] - curves[:, :, :-1]) ** 2).sum()
    across = ((curves[:, :, :, 1:] - curves[:, :, :, :-1]) ** 2).sum()
    return {
        "spatial": spatial.mean(),
        "exposure": ((patches - 0.6) ** 2).mean(),
        "color": sum(pair**2 for pair in pairs).sqrt().mean(),
        "smoothness": 2 * (down / ((height - 1) * width) + across / (height * (width - 1))) / batch,
    }


def main() -> None:
    random = np.random.RandomState(0)
    # 37 and 43 leave remainders in blocks of 4 and of 16.
    images = (random.random_sample((2, 3, 37, 43)) ** 3).astype(np.float16).astype(np.float64)
    weights = {
        name: torch.tensor(draw(name, shape), requires_grad=True) for name, shape in SHAPES.items()
    }
    x = torch.tensor(images, requires_grad=True)
    enhanced, curves = network(x, weights)
    found = {"images": images.transpose(0, 2, 3, 1)}
    found["enhanced"] = enhanced.detach().numpy().transpose(0, 2, 3, 1)[:, ::3, ::3]
    found["curves"] = curves.detach().numpy().transpose(0, 2, 3, 1)[:, ::6, ::6]
    values = losses(x, enhanced, curves)
    for name, value in values.items():
        found[f"{name}/value"] = value.detach().numpy()
        what, of, every = (
            ("curves", curves, 6) if name == "smoothness" else ("enhanced", enhanced, 3)
        )
        (gradient,) = torch.autograd.grad(value, of, retain_graph=True)
        array = gradient.numpy().transpose(0, 2, 3, 1)
        found[f"{name}/by_{what}"] = array[:, ::every, ::every]
    total = (
        values["spatial"]
        + 10 * values["exposure"]
        + 5 * values["color"]
        + 200 * values["smoothness"]
    )
    total.backward()
    found["total"] = total.detach().numpy()
    found["by_images"] = x.grad.numpy().transpose(0, 2, 3, 1)[:, ::3, ::3]
    for name, tensor in weights.items():
        gradient = tensor.grad.numpy()
        found[f"gradient/{name}"] = gradient.ravel()[::37]
        found[f"norm/{name}"] = np.sqrt((gradient**2).sum())
    np.savez_compressed(OUT, **{k: np.asarray(v, np.float32) for k, v in found.items()})


if __name__ == "__main__":
    main()
