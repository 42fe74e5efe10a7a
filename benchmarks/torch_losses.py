"""Cross-entropy, DKD and MGCAM in PyTorch, for `benchmarks/step.py` to stand beside.

The default readings of `rgb2ir_jax/distillation` (docs/methods.md), as one would write them in PyTorch:
the sixteen pairs of MGCAM are one batched product here too. All in float32.
"""

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

torch: Any = importlib.import_module("torch")
functional: Any = importlib.import_module("torch.nn.functional")

METHODS = ("dkd", "mgcam")

_READING = {
    "pairs": "all",
    "graph": "self",
    "kernel": "l2",
    "activation": "mean_square",
    "reduction": "l2sq_batchmean",
    "attention_gradient": True,
    "unit": "clip",
}


def check(distill: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ValueError for a method, or a reading of one, that is not written here."""
    for name, options in distill.items():
        other = {key for key, value in _READING.items() if options.get(key, value) != value}
        if name not in METHODS or (name == "mgcam" and other):
            raise ValueError(
                f"{name} {sorted(other) if other else ''} is not written in PyTorch here; expected "
                f"{' or '.join(METHODS)} with the default options"
            )


def dkd(student: Any, teacher: Any, labels: Any, options: Mapping[str, Any]) -> Any:
    """Zhao et al., CVPR 2022, eq. 7, as in the authors' code: the target's logit pushed out of sight."""
    temperature = options["temperature"]
    student, teacher = student / temperature, teacher / temperature
    target = functional.one_hot(labels, student.shape[1]).bool()

    def binary(logits: Any) -> Any:
        probability = logits.softmax(1)
        right = (probability * target).sum(1)
        return torch.stack([right, (probability * ~target).sum(1)], 1)

    tckd = functional.kl_div(binary(student).log(), binary(teacher), reduction="batchmean")
    hidden = 1000.0 * target
    nckd = functional.kl_div(
        functional.log_softmax(student - hidden, 1),
        functional.softmax(teacher - hidden, 1),
        reduction="batchmean",
    )
    weights = options["target_weight"], options["nontarget_weight"]
    return temperature**2 * (weights[0] * tckd + weights[1] * nckd)


def _graph(maps: Any) -> Any:
    """Eq. 1-2 on maps of unit norm: (clip, clip)."""
    vertices = functional.normalize(maps.flatten(1), dim=1)
    squares = vertices.square().sum(1)
    distances = (squares[:, None] + squares[None] - 2 * vertices @ vertices.T).clamp_min(0)
    distances = distances.masked_fill(torch.eye(len(maps), dtype=torch.bool, device=maps.device), 0)
    edges = torch.exp(-0.5 * distances)
    root = edges.sum(1).rsqrt()
    return edges * root[:, None] * root[None]


def mgcam(student: Sequence[Any], teacher: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Eq. 1-6 of the paper over all pairs of stages; maps (clip, channel, height, width), float32."""
    count = len(student)
    pairs = [(i, j) for i in range(count) for j in range(count)]
    activations = [[maps.square().mean(1) for maps in network] for network in (student, teacher)]
    sizes = [min(student[i].shape[-1], teacher[j].shape[-1]) for i, j in pairs]
    longest = max(sizes) ** 2
    sides = []
    for network, which in zip(activations, zip(*pairs, strict=True), strict=True):
        pooled = {
            (stage, size): functional.adaptive_avg_pool2d(network[stage], size).flatten(1)
            for stage, size in set(zip(which, sizes, strict=True))
        }
        rows = [pooled[stage, size] for stage, size in zip(which, sizes, strict=True)]
        sides.append(torch.stack([functional.pad(r, (0, longest - r.shape[1])) for r in rows]))
    queries = torch.stack([_graph(maps) for maps in student])[[i for i, _ in pairs]]
    keys = torch.stack([_graph(maps) for maps in teacher])[[j for _, j in pairs]]
    scale = options["attention_scale"] / math.sqrt(queries.shape[-1])
    attention = (scale * queries @ keys.transpose(1, 2)).softmax(-1)
    mixed = [functional.normalize(attention @ rows, dim=-1) for rows in sides]
    return (mixed[1] - mixed[0]).square().sum(-1).mean(1).sum() / count


def total(
    distill: Mapping[str, Mapping[str, Any]],
    student: tuple[Any, Sequence[Any]],
    teacher: tuple[Any, Sequence[Any]] | None,
    labels: Any,
) -> Any:
    """Cross-entropy plus the weighted methods; (clip logits, clip maps) of each network."""
    loss = functional.cross_entropy(student[0], labels)
    if teacher is not None:
        for name, options in distill.items():
            if name == "dkd":
                term = dkd(student[0], teacher[0], labels, options)
            else:
                term = mgcam(student[1], teacher[1], options)
            loss = loss + options["weight"] * term
    return loss
