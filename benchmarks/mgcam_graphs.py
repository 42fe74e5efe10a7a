"""What MGCAM's graphs and attention look like on real maps: is there anything in them to learn from?

    python -m benchmarks.mgcam_graphs --run=runs/demo/seed0/mgcam+dkd [--clips=64] [--out=DIR]

Takes test clips of the run's data set through the run's teacher and student, and through untrained
networks of the published width, and measures: the squared distances of Eq. 1 and what the Gaussian
leaves of them; how near the attention of Eq. 3 is to uniform, by batch size and attention_scale; and
what each option does to the loss and to its gradient at the trained student's maps.
"""

import argparse
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks.machine import describe_machine, machine_line, publish, table
from configs.methods import SETTINGS
from rgb2ir_jax.data.pipeline import eval_batches
from rgb2ir_jax.data.source import MODALITIES, describe
from rgb2ir_jax.distillation.base import stage_maps
from rgb2ir_jax.distillation.clip_graph import clip_attention, self_graph
from rgb2ir_jax.distillation.mgcam import mgcam_loss
from rgb2ir_jax.distillation.numerics import tame
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.tsn import TSN
from rgb2ir_jax.training.checkpoints import NETWORK_FILE, find_teacher, load_network
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.state import merge

BATCHES = (4, 8, 16, 64)
SCALES = (1.0, 10.0, 100.0, 1000.0)
Maps = list[jax.Array]


class Pair(NamedTuple):
    """The stage maps of both networks for the same clips, each (N, H, W, C)."""

    name: str
    student: Maps
    teacher: Maps


def read_clips(config: ConfigDict, clips: int) -> dict[str, np.ndarray]:
    """The first clips of the test split, spread over it: uint8 (N, T, H, W, C) of each modality."""
    batches = list(eval_batches(config.data, config.data.test_split, clips, list(MODALITIES)))
    joined = {
        name: np.concatenate([np.asarray(batch[name]) for batch in batches])
        for name in (*MODALITIES, "mask")
    }
    real = np.flatnonzero(joined["mask"])
    chosen = real[np.linspace(0, len(real) - 1, clips).astype(int)]
    return {name: joined[name][chosen] for name in MODALITIES}


def maps_of(spec: NetworkSpec, network: TSN, clips: Mapping[str, np.ndarray]) -> Maps:
    """The four stage maps, averaged over segments as the paper's graphs take them."""

    @jax.jit
    def forward(frames: jax.Array) -> Maps:
        return stage_maps(network(spec.normalise(frames), train=False))

    frames = clips[spec.modality]
    pieces = [forward(jnp.asarray(frames[i : i + 8])) for i in range(0, len(frames), 8)]
    return [jnp.concatenate(stage) for stage in zip(*pieces, strict=True)]


def phase_folders(run: Path, config: ConfigDict) -> dict[str, Path]:
    """Where a run's student and the teacher that it learned from are."""
    given = config.teacher.checkpoint
    teacher = find_teacher(Path(given) if given else run, "config.teacher.checkpoint")
    return {"student": run / "student", "teacher": teacher}


def trained_pair(folders: Mapping[str, Path], clips: Mapping[str, np.ndarray]) -> Pair:
    """The networks of a run."""
    maps = {}
    for name, folder in folders.items():
        spec, split, _ = load_network(folder, replicated(make_mesh()))
        maps[name] = maps_of(spec, merge(split.graph, split.variables), clips)
    return Pair("trained (the run's)", **maps)


def untrained_pair(folders: Mapping[str, Path], clips: Mapping[str, np.ndarray]) -> Pair:
    """Networks of the run's kind at the published width, as they are before training."""
    maps = {}
    for name, folder in folders.items():
        fields = json.loads((folder / NETWORK_FILE).read_text())
        spec = NetworkSpec(**{**fields, "width": 64, "zero_init_residual": False})
        maps[name] = maps_of(spec, spec.build(seed=0), clips)
    return Pair("untrained, width 64", **maps)


def _distances(maps: jax.Array) -> np.ndarray:
    """Squared distances between different clips, float64."""
    flat = np.asarray(maps, np.float64).reshape(len(maps), -1)
    gram = flat @ flat.T
    squares = np.diag(gram)
    distances = squares[:, None] + squares[None, :] - 2 * gram
    return distances[~np.eye(len(maps), dtype=bool)]


def distance_rows(pair: Pair) -> list[list[str]]:
    """Eq. 1 to the letter (raw maps) and on maps of unit norm."""
    rows = []
    for network, stages in (("student", pair.student), ("teacher", pair.teacher)):
        for number, maps in enumerate(stages, start=1):
            raw = _distances(maps)
            norms = jnp.linalg.norm(maps.reshape(len(maps), -1), axis=1)
            unit = _distances(maps / norms[:, None, None, None])
            edges = np.exp(-raw.astype(np.float32) / 2, dtype=np.float32)
            rows.append(
                [
                    f"{pair.name}: {network}, stage {number}",
                    f"{raw.min():.3g}",
                    f"{np.median(raw):.3g}",
                    f"{100 * np.mean(edges == 0):.1f}%",
                    f"1e{-np.median(raw) / 2 / math.log(10):.0f}",
                    f"{np.median(unit):.3f}",
                    f"{np.exp(-np.median(unit) / 2):.3f}",
                ]
            )
    return rows


def _attention(pair: Pair, clips: int, scale: float) -> np.ndarray:
    """(16, N, N): the default reading, for the first clips."""

    def graphs(stages: Maps) -> jax.Array:
        scaled = [(maps[:clips] / tame(maps[:clips]), tame(maps[:clips])) for maps in stages]
        return jnp.stack([self_graph(maps, size, "l2") for maps, size in scaled])

    student, teacher = graphs(pair.student), graphs(pair.teacher)
    i, j = (index.ravel() for index in np.indices((len(student), len(teacher))))
    return np.asarray(clip_attention(student[i], teacher[j], scale))


def attention_rows(pair: Pair, most: int) -> list[list[str]]:
    """Entropy over log N, and the largest weight of a row over 1/N; means over rows and pairs."""
    rows = []
    for clips in (n for n in BATCHES if n <= most):
        cells = []
        for scale in SCALES:
            weights = _attention(pair, clips, scale).astype(np.float64)
            entropy = -np.sum(weights * np.log(np.maximum(weights, 1e-300)), axis=-1)
            peak = weights.max(axis=-1) * clips
            cells.append(f"{np.mean(entropy) / math.log(clips):.4f} / {np.mean(peak):.2f}")
        rows.append([f"{pair.name}, N = {clips}", *cells])
    return rows


def _flat(gradient: Maps) -> np.ndarray:
    return np.concatenate([np.asarray(stage, np.float64).ravel() for stage in gradient])


def option_rows(pair: Pair) -> list[list[str]]:
    """Loss, gradient's size against the default's, and the cosine of the angle between the two."""

    def evaluate(options: Mapping[str, Any]) -> tuple[float, np.ndarray]:
        value, gradient = jax.jit(
            jax.value_and_grad(lambda student: mgcam_loss(student, pair.teacher, **options))
        )(pair.student)
        return float(value), _flat(gradient)

    base_value, base = evaluate({})
    rows = [[f"{pair.name}: default", f"{base_value:.4g}", "1", "1"]]
    settings: Sequence[tuple[str, Mapping[str, Any]]] = [
        (name, options)
        for name, options in SETTINGS.items()
        if name.startswith("mgcam-") and "unit" not in options
    ]
    for name, options in settings:
        value, gradient = evaluate(options)
        size = np.linalg.norm(gradient)
        cosine = float(gradient @ base / (size * np.linalg.norm(base))) if size else float("nan")
        rows.append(
            [
                f"{pair.name}: {name}",
                f"{value:.4g}",
                f"{size / np.linalg.norm(base):.3g}",
                f"{cosine:.3f}",
            ]
        )
    return rows


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="work directory of a distilled run")
    parser.add_argument("--clips", type=int, default=64, help="of the test split")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    machine = describe_machine("jax", "flax")
    config = ConfigDict(json.loads((arguments.run / "config.json").read_text()))
    synthetic = describe(config.data).synthetic
    clips = read_clips(config, arguments.clips)
    folders = phase_folders(arguments.run, config)
    pairs = [trained_pair(folders, clips), untrained_pair(folders, clips)]
    heads = {
        "distances": [
            "maps",
            "d, least",
            "d, median",
            "exp(-d/2) is 0",
            "exp(-d/2) at the median",
            "unit norm: d, median",
            "exp(-d/2)",
        ],
        "attention": ["attention", *(f"scale {scale:g}" for scale in SCALES)],
        "options": ["options", "loss", "gradient / default's", "cosine to default's"],
    }
    rows = {
        "distances": list(itertools.chain.from_iterable(map(distance_rows, pairs))),
        "attention": [row for pair in pairs for row in attention_rows(pair, arguments.clips)],
        # The trained pair shows it; nine more programs at the published width would take most of the time.
        "options": option_rows(pairs[0]),
    }
    titles = {
        "distances": "Eq. 1: squared distances d between the maps of different clips",
        "attention": "Eq. 3: entropy over log N (1 is uniform) / largest weight of a row times N",
        "options": f"What an option changes, at N = {arguments.clips}",
    }
    parts = [
        f"# MGCAM's graphs\n\n{arguments.clips} {'synthetic ' * synthetic}test clips of {config.data.name}",
        f"{machine_line(machine)}.",
    ]
    parts += [f"{title}\n\n{table(heads[name], rows[name])}" for name, title in titles.items()]
    result = {
        "machine": machine,
        "clips": arguments.clips,
        "synthetic": synthetic,
        "heads": heads,
        "rows": rows,
    }
    publish(result, "\n\n".join(parts), arguments.out, "mgcam_graphs")


if __name__ == "__main__":
    main()
