"""What the streams of TSTDDs say of the test clips together: the fourth row of such a run."""

import json
import logging
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from rgb2ir_jax.data.source import DatasetDescription
from rgb2ir_jax.evaluation.fusion import fuse
from rgb2ir_jax.evaluation.metrics import classification_metrics
from rgb2ir_jax.reporting.confusion import save_confusion_png
from rgb2ir_jax.training.distributed import found_by_main, is_main
from rgb2ir_jax.training.phases import TSTDD, streams_of
from rgb2ir_jax.training.saving.files import RESULT_FILE, write_json

SCORES_FILE = "scores.npz"
"""Of a stream's phase: what its network says of every test clip."""

_log = logging.getLogger(__name__)


def save_scores(
    folder: Path, logits: Float[np.ndarray, "clip classes"], labels: Int[np.ndarray, " clip"]
) -> None:
    """Writes a network's logits of the test clips into its phase's folder; process 0 alone does."""
    if not is_main():
        return
    draft = folder / f"{SCORES_FILE}.part"
    with draft.open("wb") as file:
        np.savez_compressed(file, logits=logits, labels=labels)
    draft.replace(folder / SCORES_FILE)


def read_scores(
    folder: Path,
) -> tuple[Float[np.ndarray, "clip classes"], Int[np.ndarray, " clip"]]:
    """Reads what `save_scores` wrote.

    Raises:
        ValueError: there is no such file, or it is damaged.
    """
    path = folder / SCORES_FILE
    again = f"remove {folder / RESULT_FILE}, and the same command tests that network again"
    try:
        # NumPy would leave a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            logits, labels = arrays["logits"], arrays["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read ({error}); {again}") from error
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"{path} holds {logits.shape} and {labels.shape} numbers; {again}")
    return logits, labels


def fuse_streams(
    config: ConfigDict,
    workdir: Path,
    networks: Sequence[Mapping[str, Any]],
    data_set: DatasetDescription,
) -> dict[str, Any]:
    """Adds the streams' scores up and judges them; returns the entry of the results.

    Args:
        config: of the run.
        workdir: of the run, with the finished phases; `tstdd/` in it gets `result.json` and
            `confusion.png`.
        networks: the streams' entries of the results, in the order of `config.tstdd.weights`.
        data_set: that was tested on.

    Raises:
        ValueError: a stream's scores are not there, or of other clips than another's.
    """
    return found_by_main(lambda: _fuse(config, workdir, networks, data_set))


def _fuse(
    config: ConfigDict,
    workdir: Path,
    networks: Sequence[Mapping[str, Any]],
    data_set: DatasetDescription,
) -> dict[str, Any]:
    scores = [read_scores(workdir / name) for name in streams_of(config)]
    logits, labels = fused(config, scores)
    metrics = classification_metrics(logits, labels)
    first = networks[0]
    result = {
        "network": TSTDD,
        "variant": TSTDD,
        "streams": list(streams_of(config)),
        "weights": list(config.tstdd.weights),
        "fusion": config.tstdd.fusion,
        **{
            name: first[name]
            for name in ("modality", "frame_channels", "enhance", "seed", "config_name", "data_set")
        },
        "stream": None,
        "synthetic": first["synthetic"],
        "limited": first["limited"],
        "top1": metrics.top1,
        "top5": metrics.top5,
        "mean_class_accuracy": metrics.mean_class_accuracy,
        "clips_tested": metrics.examples,
        **{
            name: sum(network[name] for network in networks)
            for name in ("seconds", "steps", "parameters", "gmac")
        },
        "stopped_early": any(network["stopped_early"] for network in networks),
        "class_names": list(data_set.class_names),
        "metrics": metrics.to_dict(),
    }
    folder = workdir / TSTDD
    folder.mkdir(exist_ok=True)
    save_confusion_png(
        folder / "confusion.png",
        metrics.confusion,
        data_set.class_names,
        title=f"{config.name}, {TSTDD}, {'synthetic ' * data_set.synthetic}test clips",
    )
    write_json(folder / RESULT_FILE, result)
    _log.info(
        "%s: %s fused, test top-1 %.1f%%", TSTDD, ", ".join(streams_of(config)), 100 * metrics.top1
    )
    # What a later start reads back.
    return json.loads(json.dumps(result))


def fused(
    config: ConfigDict,
    scores: Sequence[tuple[Float[np.ndarray, "clip classes"], Int[np.ndarray, " clip"]]],
) -> tuple[Float[np.ndarray, "clip classes"], Int[np.ndarray, " clip"]]:
    """The streams' logits as one by `config.tstdd`, and the labels.

    Args:
        config: of the run.
        scores: logits and labels of each stream, in the order of the weights.

    Raises:
        ValueError: they are of different clips.
    """
    labels = scores[0][1]
    for name, (_, others) in zip(streams_of(config), scores, strict=True):
        if not np.array_equal(labels, others):
            raise ValueError(
                f"the streams were tested on different clips: {len(labels)} of {streams_of(config)[0]}, "
                f"{len(others)} of {name}; train and test all of them on the same records"
            )
    return fuse([logits for logits, _ in scores], config.tstdd.weights, config.tstdd.fusion), labels
