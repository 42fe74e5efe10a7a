"""TensorBoard's event files, written by CLU in a thread of their own."""

import gc
import importlib.util
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from clu import asynclib

_log = logging.getLogger(__name__)


class EventFiles:
    """TensorBoard's view of a phase, where TensorFlow is.

    An event takes longer to write than the devices may wait, and TensorFlow four seconds to import.
    Both happen in one thread, which begins with the first scalars: by then the first step is done,
    which all of the machine should work for until then. What TensorFlow imports, others import too:
    `open` before a first import of scikit-learn or Matplotlib elsewhere.

    Args:
        folder: for the files; must exist.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._thread = asynclib.Pool("TensorBoard", max_workers=1)
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._opened = False
        self._writer: Any = None
        # TensorFlow's start-up notes would run through the progress bar. The environment is changed
        # here, before other threads read it.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

    @staticmethod
    def can_be_written() -> bool:
        """Whether TensorFlow is installed."""
        return importlib.util.find_spec("tensorflow") is not None

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """As CLU's writers do; the first ones open the files."""
        self._write("write_scalars", step=step, scalars=dict(scalars))
        self._begin()

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """As CLU's writers do: name to (image, H, W, channel)."""
        self._write("write_images", step=step, images=dict(images))

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """As CLU's writers do."""
        self._write("write_hparams", hparams=dict(hparams))

    def open(self) -> None:
        """Opens the files if they are not open yet, and waits until the thread has nothing to do."""
        self._begin()
        self._thread.join()

    def flush(self) -> None:
        """Waits until all is in the files; raises what writing it has raised.

        What came before the first scalars goes on waiting for them.
        """
        if self._opened:
            try:
                self._thread.join()
            finally:
                if self._writer is not None:
                    self._writer.flush()

    def close(self) -> None:
        """Writes what is left, and closes the files; raises as `flush` does."""
        try:
            if self._waiting:
                self._begin()
            self.flush()
        finally:
            if self._writer is not None:
                self._writer.close()

    def _begin(self) -> None:
        if not self._opened:
            self._opened = True
            self._thread(self._import_and_open)()
            for method, arguments in self._waiting:
                self._submit(method, arguments)
            self._waiting.clear()

    def _write(self, method: str, **arguments: Any) -> None:
        if self._opened:
            self._submit(method, arguments)
        else:
            self._waiting.append((method, arguments))

    def _submit(self, method: str, arguments: dict[str, Any]) -> None:
        self._thread(self._call)(method, arguments)

    def _call(self, method: str, arguments: dict[str, Any]) -> None:
        if self._writer is not None:
            getattr(self._writer, method)(**arguments)

    def _import_and_open(self) -> None:
        new = "tensorflow" not in sys.modules
        try:
            import tensorflow as tf
            from clu import metric_writers
        # A package that is installed in a broken way raises anything, and no training is worth less.
        except Exception as error:  # noqa: BLE001
            _log.warning(
                "TensorFlow cannot be imported (%s): metrics go to %s alone",
                error,
                self._folder / "metrics.jsonl",
            )
            return
        # TensorFlow would take all of the GPU's memory for writing a text file.
        tf.config.set_visible_devices([], "GPU")
        if new and gc.get_freeze_count():
            # The heap is settled (garbage.py): half a million objects more that never go.
            gc.freeze()
        self._writer = metric_writers.SummaryWriter(str(self._folder))
