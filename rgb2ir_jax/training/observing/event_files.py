"""TensorBoard's event files, written by CLU in a thread of their own."""

import gc
import importlib.util
import logging
import os
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
    `flush` before a first import of scikit-learn or Matplotlib elsewhere.

    Args:
        folder: for the files; must exist.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._thread = asynclib.Pool("TensorBoard", max_workers=1)
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._opened = False
        self._writer: Any = None

    @staticmethod
    def can_be_written() -> bool:
        """Whether TensorFlow is installed."""
        return importlib.util.find_spec("tensorflow") is not None

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """As CLU's writers do."""
        self._write("write_scalars", step=step, scalars=dict(scalars))
        self._open()

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """As CLU's writers do: name to (image, H, W, channel)."""
        self._write("write_images", step=step, images=dict(images))

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """As CLU's writers do."""
        self._write("write_hparams", hparams=dict(hparams))

    def flush(self) -> None:
        """Waits until all is in the files; raises what writing it has raised."""
        if self._waiting:
            self._open()
        self._thread.join()
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Waits likewise, and closes the files."""
        self.flush()
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> None:
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
                self._folder / "metrics.jsonl",
            )
            return
        # TensorFlow would take all of the GPU's memory for writing a text file.
        tf.config.set_visible_devices([], "GPU")
        # Half a million objects that never go, which collections need not look at (garbage.py).
        gc.freeze()
        self._writer = metric_writers.SummaryWriter(str(self._folder))
