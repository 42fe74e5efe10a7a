"""Where a phase's numbers go: its own JSON lines always, TensorBoard through CLU where TensorFlow is."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import numpy as np
from clu import asynclib

from rgb2ir_jax.training.distributed import is_main
from rgb2ir_jax.training.observing.event_files import EventFiles

_log = logging.getLogger(__name__)


class MetricsWriter:
    """Writes scalars to JSON lines in `folder`, and to TensorBoard event files there.

    `metrics.jsonl` holds what follows from config and data, the same for every repetition on the same
    machine; `timing.jsonl` what does not. Each line is an object with `step` and the scalars' names.
    `classes.jsonl` has the accuracy of each class by the class's name. On a resume, lines of steps
    that the restored checkpoint does not know are dropped, so that no file tells two
    stories. Of several processes, process 0 alone writes.

    Args:
        folder: of the phase; must exist.
        resume_step: the step that training goes on from; 0 for a new phase.
    """

    def __init__(self, folder: Path, *, resume_step: int = 0):
        self._file = _open(folder / "metrics.jsonl", resume_step)
        self._timing = _open(folder / "timing.jsonl", resume_step)
        self._classes = _open(folder / "classes.jsonl", resume_step)
        self._tensorboard = _event_files(folder)

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes numbers under `step`."""
        self._write(self._file, step, scalars)

    def timing(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes what differs from one repetition to the next, such as speed."""
        self._write(self._timing, step, scalars)

    def class_accuracies(self, step: int, accuracies: Mapping[str, float]) -> None:
        """Writes a number a class; TensorBoard shows them in one group, which can be closed."""
        # A class may be called "step".
        _append(self._classes, {"step": step, "accuracy": dict(accuracies)})
        if self._tensorboard:
            grouped = {f"test_accuracy_of_class/{name}": v for name, v in accuracies.items()}
            self._tensorboard.write_scalars(step, grouped)

    def _write(self, file: TextIO, step: int, scalars: Mapping[str, float]) -> None:
        _append(file, {"step": step, **scalars})
        if self._tensorboard:
            self._tensorboard.write_scalars(step, dict(scalars))

    @property
    def shows_images(self) -> bool:
        """Whether there is a TensorBoard to draw them for."""
        return self._tensorboard is not None

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Shows an (H, W, 3) uint8 picture in TensorBoard; nowhere without it."""
        if self._tensorboard:
            self._tensorboard.write_images(step, {name: image[None]})

    def hparams(self, hparams: Mapping[str, Any]) -> None:
        """Writes the flat config to TensorBoard's hparams and text."""
        if self._tensorboard:
            self._tensorboard.write_hparams(dict(hparams))

    def open(self) -> None:
        """Opens TensorBoard's files, if they are not open yet; see `EventFiles`."""
        if self._tensorboard:
            self._tensorboard.open()

    def flush(self) -> None:
        """Puts on the disk what was written so far."""
        if not is_main():
            return
        for file in (self._file, self._timing, self._classes):
            os.fsync(file.fileno())
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
        self._timing.close()
        self._classes.close()
        if self._tensorboard:
            try:
                self._tensorboard.close()
            except asynclib.AsyncError as failed:
                if error is None:
                    raise
                # What ends the phase is what its caller must hear of.
                _log.warning("TensorBoard's files are not complete: %s", failed)


def _append(file: TextIO, entry: Mapping[str, Any]) -> None:
    file.write(json.dumps(entry) + "\n")
    file.flush()


def _open(path: Path, resume_step: int) -> TextIO:
    if not is_main():
        return Path(os.devnull).open("a")
    kept = _lines_up_to(path, resume_step) if path.exists() else []
    draft = path.with_name(path.name + ".part")
    draft.write_text("".join(kept))
    draft.replace(path)
    return path.open("a")


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


def _event_files(folder: Path) -> EventFiles | None:
    if not is_main():
        return None
    if not EventFiles.can_be_written():
        _log.info("TensorFlow is not installed: metrics go to %s alone", folder / "metrics.jsonl")
        return None
    return EventFiles(folder)
