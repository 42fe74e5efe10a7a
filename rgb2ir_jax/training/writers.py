"""Where a phase's numbers go: its own JSON lines always, TensorBoard through CLU where TensorFlow is."""

import importlib.util
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

_log = logging.getLogger(__name__)


class MetricsWriter:
    """Writes scalars to `folder/metrics.jsonl`, and to TensorBoard event files in `folder`.

    Each line of the JSON file is an object with `step` and the scalars' names. On a resume, lines
    of steps that the restored checkpoint does not know are dropped, so that the file never tells
    two stories.

    Args:
        folder: of the phase; must exist.
        resume_step: the step that training goes on from; 0 for a new phase.
    """

    def __init__(self, folder: Path, *, resume_step: int = 0):
        path = folder / "metrics.jsonl"
        kept = _lines_up_to(path, resume_step) if path.exists() else []
        draft = path.with_name(path.name + ".part")
        draft.write_text("".join(kept))
        draft.replace(path)
        self._file = path.open("a")
        self._tensorboard = _summary_writer(folder)

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes numbers under `step`."""
        self._file.write(json.dumps({"step": step, **scalars}) + "\n")
        self._file.flush()
        if self._tensorboard:
            self._tensorboard.write_scalars(step, dict(scalars))

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Shows an (H, W, 3) uint8 picture in TensorBoard; nowhere without it."""
        if self._tensorboard:
            self._tensorboard.write_images(step, {name: image[None]})

    def hparams(self, hparams: Mapping[str, Any]) -> None:
        """Writes the flat config to TensorBoard's hparams and text."""
        if self._tensorboard:
            self._tensorboard.write_hparams(dict(hparams))

    def flush(self) -> None:
        """Makes TensorBoard's file as new as the JSON lines."""
        if self._tensorboard:
            self._tensorboard.flush()

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._tensorboard:
            self._tensorboard.close()


def _lines_up_to(path: Path, step: int) -> list[str]:
    kept = []
    for line in path.read_text().splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            # Only the last line can be cut, when the process was killed while writing it.
            _log.warning("%s: dropped an incomplete line", path)
            continue
        if entry["step"] <= step:
            kept.append(line)
    return kept


def _summary_writer(folder: Path) -> Any:
    if importlib.util.find_spec("tensorflow") is None:
        _log.info("TensorFlow is not installed: metrics go to %s alone", folder / "metrics.jsonl")
        return None
    # Its start-up notes would run through the progress bar.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        import tensorflow as tf
        from clu import metric_writers
    except ImportError as error:
        _log.warning(
            "TensorFlow cannot be imported (%s): metrics go to %s alone",
            error,
            folder / "metrics.jsonl",
        )
        return None
    # TensorFlow would take all of the GPU's memory for writing a text file.
    tf.config.set_visible_devices([], "GPU")
    return metric_writers.SummaryWriter(str(folder))
