"""Shows the test clips to trained networks once more and keeps what the report's pictures need."""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8
from ml_collections import ConfigDict, FrozenConfigDict

from rgb2ir_jax.data.batches import BatchLoader, Selection
from rgb2ir_jax.data.source import DatasetDescription, describe, open_split
from rgb2ir_jax.data.transforms import resize
from rgb2ir_jax.evaluation.bootstrap import LEVEL, RESAMPLES, bootstrap_intervals
from rgb2ir_jax.evaluation.calibration import confidences
from rgb2ir_jax.evaluation.gradcam import grad_cam, shares_of_greatest
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.launch.data_of_run import check_classes, data_of_run
from rgb2ir_jax.launch.trained_network import TrainedNetwork, load_run, score_split
from rgb2ir_jax.models.output import STAGE_NAMES
from rgb2ir_jax.models.streams import check_sees_frames
from rgb2ir_jax.reporting.runs.files import NETWORKS
from rgb2ir_jax.reporting.runs.look_file import (
    LOOKS_FILE,
    VERSION,
    Looks,
    joined,
    read_looks,
    write_looks,
)
from rgb2ir_jax.training.environment import compute_dtype
from rgb2ir_jax.training.saving.files import RESULT_FILE
from rgb2ir_jax.training.state import Split, merge
from rgb2ir_jax.video.jpeg import encode_jpeg

MOST_FEATURES = 400
"""Clips whose features are kept."""
EXAMPLES, MISTAKES = 6, 8
"""Clips that are kept with frames: one each of so many classes, and of the network's mistakes."""

_MOST_FRAMES, _SIDE, _QUALITY, _BATCH = 4, 128, 80, 16


def look_at_runs(
    runs: Sequence[Path], data_dir: str | None, tell: Callable[[str], None]
) -> list[str]:
    """Writes `looks.npz` beside each finished network of the runs, unless the one there is current.

    Args:
        runs: work directories.
        data_dir: folder of the built data set; None takes each run's own.
        tell: gets a line when a network is done.

    Returns:
        A line for each network that could not be looked at, and why.
    """
    failed = []
    for folder in (run / network for run in runs for network in NETWORKS):
        if not (folder / RESULT_FILE).is_file():
            continue
        if _is_current(folder):
            tell(f"{folder}: {LOOKS_FILE} is there")
            continue
        began = time.monotonic()
        try:
            looks = look(folder, data_dir)
            write_looks(folder / LOOKS_FILE, looks)
        except (ValueError, OSError) as error:
            failed.append(f"{folder} could not be looked at: {error}")
            continue
        seconds = time.monotonic() - began
        tell(f"{folder}: looked at {len(looks.labels):,} test clips in {seconds:.1f} s")
    return failed


def _is_current(folder: Path) -> bool:
    try:
        return read_looks(folder / LOOKS_FILE).facts["result_sha256"] == _digest(folder)
    except (ValueError, OSError, KeyError):
        return False


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / RESULT_FILE).read_bytes()).hexdigest()


def look(folder: Path, data_dir: str | None = None) -> Looks:
    """Tests a network again as its run did, and looks closely at some of the clips.

    The logits are those of the run's protocol. Features and Grad-CAM are of the single view that
    training tests on: `config.data.segments` frames, middle crop.

    Args:
        folder: of the network, such as RUN/student.
        data_dir: folder of the built data set; None takes the run's own.

    Raises:
        ValueError: the network or the data is not there, or does not belong together.
    """
    network = load_run(folder)
    check_sees_frames(network.spec.stream, "a closer look")
    data = data_of_run(network, data_dir)
    described = describe(data)
    check_classes(network, data, described.class_names)
    protocol = Protocol.from_config(network.config)
    limit = int(network.config.get("limit_test_clips", 0))
    logits, labels = score_split(network, data, data.test_split, protocol, limit=limit)
    examples, mistakes = example_clips(labels), confident_mistakes(logits, labels)
    featured = spread_over_classes(labels, MOST_FEATURES)
    shown = np.union1d(examples, mistakes)
    clips = np.union1d(featured, shown)
    classes = np.stack([labels, np.argmax(logits, axis=1)], axis=1)
    close = _look_closely(network, data, clips, classes[clips], np.isin(clips, shown))
    return Looks(
        facts=_facts(network, data, described, protocol)
        | {
            "segments": int(data.segments),
            "times": close.times,
            "sample_ids": close.sample_ids,
            "intervals": {
                "level": LEVEL,
                "resamples": RESAMPLES,
                **bootstrap_intervals(logits, labels),
            },
        },
        logits=logits.astype(np.float32),
        labels=labels.astype(np.int32),
        feature_clips=featured.astype(np.int32),
        features=close.features[np.isin(clips, featured)],
        examples=examples.astype(np.int32),
        mistakes=mistakes.astype(np.int32),
        shown=shown.astype(np.int32),
        evidence=close.evidence,
        frames=close.frames,
        **joined("enhanced_jpeg", close.enhanced),
    )


def _facts(
    network: TrainedNetwork, data: ConfigDict, described: DatasetDescription, protocol: Protocol
) -> dict[str, Any]:
    return {
        "version": VERSION,
        "result_sha256": _digest(network.folder),
        "data_set": f"{data.name}/{data.config}/{described.version}",
        "synthetic": described.synthetic,
        "split": str(data.test_split),
        "protocol": str(protocol),
        "modality": network.spec.modality,
        **({"enhance": str(network.spec.enhancement)} if network.spec.enhancement else {}),
    }


def spread_over_classes(labels: Int[np.ndarray, " clip"], most: int) -> Int[np.ndarray, " chosen"]:
    """Clips of all classes alike, from all over the split; all of them where they are few.

    It follows from the labels alone, so that networks which were tested alike have the same clips.
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    present = np.unique(labels)
    each = max(1, most // len(present))
    chosen = [_evenly(np.flatnonzero(labels == label), each) for label in present]
    return _evenly(np.sort(np.concatenate(chosen)), most)


def example_clips(labels: Int[np.ndarray, " clip"]) -> Int[np.ndarray, " chosen"]:
    """The middle one of the clips of each of a few classes, chosen by the labels alone."""
    chosen = [np.flatnonzero(labels == label) for label in _evenly(np.unique(labels), EXAMPLES)]
    return np.sort([clips[len(clips) // 2] for clips in chosen])


def confident_mistakes(
    logits: Float[np.ndarray, "clip classes"], labels: Int[np.ndarray, " clip"]
) -> Int[np.ndarray, " chosen"]:
    """The clips that were named wrong with the highest probability, that one first."""
    wrong = np.flatnonzero(np.argmax(logits, axis=1) != labels)
    order = np.argsort(-confidences(logits)[wrong], kind="stable")
    return wrong[order[:MISTAKES]]


def _evenly(values: Int[np.ndarray, " value"], most: int) -> Int[np.ndarray, " chosen"]:
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).round().astype(int)]


class _Close(NamedTuple):
    features: np.ndarray
    evidence: np.ndarray
    frames: list[list[bytes]]
    sample_ids: list[str]
    times: list[int]
    enhanced: list[list[bytes]]


def _look_closely(
    network: TrainedNetwork,
    data: ConfigDict,
    clips: Int[np.ndarray, " clip"],
    classes: Int[np.ndarray, "clip 2"],
    shown: np.ndarray,
) -> _Close:
    """Features of the clips, and frames and Grad-CAMs of those that are shown."""
    observe, modality = make_observer(network), network.spec.modality
    source = open_split(data, data.test_split)
    # Not from the cache of decoded frames, which may not have this view.
    loader = BatchLoader(source, FrozenConfigDict(data), (modality,), None)
    times = _evenly(np.arange(data.segments), _MOST_FRAMES)
    features: list[np.ndarray] = []
    evidence: list[np.ndarray] = []
    frames: list[list[bytes]] = []
    enhanced: list[list[bytes]] = []
    enhancement = network.spec.enhancement
    for start in range(0, len(clips), _BATCH):
        rows = slice(start, start + _BATCH)
        batch = loader(Selection(0, tuple(clips[rows].tolist())))[modality]
        # One size of batch, so that it is compiled once.
        places = np.minimum(np.arange(_BATCH), len(batch) - 1)
        outcome = observe(network.variables, batch[places], classes[rows][places])
        pooled, cams = (np.asarray(part)[: len(batch)] for part in jax.device_get(outcome))
        limit = np.finfo(np.float16).max
        features.append(np.clip(pooled, -limit, limit).astype(np.float16))
        kept = np.flatnonzero(shown[rows])
        shares = np.stack([shares_of_greatest(cams[kept, k]) for k in range(2)], axis=1)
        # A map of fewer time steps than the clip has frames: each frame has the one that it fell into.
        steps = times * shares.shape[2] // data.segments
        evidence.append(np.rint(255 * shares[:, :, steps]).astype(np.uint8))
        frames += [[_jpeg(batch[row, t]) for t in times] for row in kept]
        if enhancement is not None and len(kept):
            lit = enhancement.pictures(batch[kept][:, times])
            enhanced += [[_jpeg(picture) for picture in clip] for clip in lit]
    return _Close(
        np.concatenate(features),
        np.concatenate(evidence),
        frames,
        [_sample_id(source[clip]) for clip in clips[shown].tolist()],
        times.tolist(),
        enhanced,
    )


def _sample_id(record: dict[str, Any]) -> str:
    found = record.get("sample_id", b"")
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def _jpeg(picture: UInt8[np.ndarray, "side side channel"]) -> bytes:
    side = min(_SIDE, picture.shape[0])
    return encode_jpeg(resize(picture, side, side), _QUALITY)


def make_observer(network: TrainedNetwork) -> Callable[[Any, np.ndarray, np.ndarray], Any]:
    """Compiles a closer look at clips.

    The returned function takes the network's variables, uint8 frames (clip, time, side, side,
    channel) and two classes for each clip, and returns its pooled features (clip, channel), averaged
    over the frames, and the last stage's Grad-CAM for both classes, (clip, 2, step, height, width).
    """
    spec, dtype = network.spec, compute_dtype(network.config.compute_dtype)
    graph = Split.of(spec.shapes(dtype)).graph

    def observe(
        variables: Any,
        frames: UInt8[Array, "clip time side side channel"],
        classes: Int[Array, "clip 2"],
    ) -> tuple[Float[Array, "clip feature"], Float[Array, "clip 2 step height width"]]:
        module = merge(graph, variables)
        output = module(spec.normalise(frames, dtype), train=False)

        maps = output.stages[STAGE_NAMES[-1]]
        cams = [grad_cam(module.head, maps, classes[:, place]) for place in range(2)]
        return jnp.mean(output.features, axis=1), jnp.stack(cams, axis=1)

    return jax.jit(observe)
