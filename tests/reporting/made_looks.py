"""Made-up views of test clips, and runs that have them."""

import numpy as np

from rgb2ir_jax.reporting.runs.look_file import VERSION, Looks
from rgb2ir_jax.reporting.runs.record import Phase, Run
from rgb2ir_jax.video.jpeg import encode_jpeg

DATA = "ntu_rgbd_ir/ten_class_xsub"


def make_looks(
    logits, labels, *, features=None, examples=(0, 1), mistakes=(), times=2, side=32, **facts
):
    """Looks with the given logits; frames are noise, and Grad-CAMs grow from left to right."""
    logits, labels = np.asarray(logits, np.float32), np.asarray(labels, np.int32)
    rng = np.random.default_rng(len(labels))
    shown = np.unique([*examples, *mistakes]).astype(np.int32)
    if features is None:
        features = rng.normal(size=(len(labels), 5)) + 4 * np.eye(5)[labels % 5]
    ramp = np.broadcast_to(np.array([0, 120, 255], np.uint8), (len(shown), 2, times, 3, 3))
    frames = [
        [encode_jpeg(rng.integers(0, 255, (side, side, 1), np.uint8), 60) for _ in range(times)]
        for _ in shown
    ]
    told = {
        "version": VERSION,
        "result_sha256": "0",
        "data_set": f"{DATA}/1.0.0",
        "synthetic": True,
        "split": "test",
        "modality": "ir",
        "segments": 4,
        "times": [0, 3][:times],
        "sample_ids": [f"sample{clip}" for clip in shown.tolist()],
        "intervals": {"level": 0.95, "top1": [0.25, 0.75]},
        **facts,
    }
    return Looks(
        told,
        logits,
        labels,
        np.arange(len(labels), dtype=np.int32),
        np.asarray(features, np.float16),
        np.asarray(examples, np.int32),
        np.asarray(mistakes, np.int32),
        shown,
        ramp.copy(),
        frames,
    )


def drawn_logits(labels, classes, seed, right=0.6):
    """Logits that are right for about that share of the clips."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(labels), classes)).astype(np.float32)
    sure = rng.random(len(labels)) < right
    logits[np.flatnonzero(sure), np.asarray(labels)[sure]] += 6
    return logits


def make_run(variant, seed, looks, *, synthetic=True, top1=None):
    """A finished run with one network that has these looks."""
    network = "teacher" if variant == "teacher" else "student"
    classes = looks.logits.shape[1]
    named = np.argmax(looks.logits, axis=1)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (looks.labels, named), 1)
    entry = {
        "network": network, "variant": variant, "seed": seed, "data_set": DATA,
        "modality": "rgb" if network == "teacher" else "ir", "synthetic": synthetic,
        "top1": float(np.mean(named == looks.labels)) if top1 is None else top1,
        "class_names": [f"action {k}" for k in range(classes)],
        "metrics": {"confusion": confusion.tolist()},
    }  # fmt: skip
    config = {"variant": variant, "seed": seed, "name": "ntu"}
    name = f"{variant}{seed}"
    phase = Phase(network, entry, {}, {}, None, config, name, looks)
    return Run(name, {"name": "ntu"}, {"data_set": f"{DATA}/1.0.0"}, {}, (phase,), ())
