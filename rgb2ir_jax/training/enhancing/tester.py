"""Tests Zero-DCE on the frames of the test split, and shows some of them before and after."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh
from jaxtyping import UInt8

from rgb2ir_jax.data.pipeline import EvalBatches
from rgb2ir_jax.models.enhancement.stage import Enhancement
from rgb2ir_jax.models.enhancement.weights import zero_dce_tensors
from rgb2ir_jax.reporting.input_sheet import input_sheet
from rgb2ir_jax.reporting.picture_sheet import save_png
from rgb2ir_jax.training.distributed import is_main
from rgb2ir_jax.training.enhancing.settings import SECTION
from rgb2ir_jax.training.observing.writers import MetricsWriter
from rgb2ir_jax.training.sharding import put_batch
from rgb2ir_jax.training.state import Variables

PICTURE_FILE = "enhanced.png"


class EnhancementTester:
    """The losses of the test frames, called by the loop between epochs.

    Args:
        test_step: see `step.make_test_step`.
        build: the network of some variables.
        batches: of the test split.
        names: of the classes, to be written beside the clips that are shown.
        config: of the experiment.
        folder: of the phase; gets `enhanced.png`.
        mesh: the devices.
        title: above the picture.
    """

    def __init__(
        self,
        test_step: Callable[[Variables, Mapping[str, Any]], Mapping[str, Any]],
        build: Callable[[Variables], Any],
        batches: EvalBatches,
        names: tuple[str, ...],
        config: ml_collections.ConfigDict,
        folder: Path,
        *,
        mesh: Mesh,
        title: str,
    ):
        self._test_step, self._build, self._batches = test_step, build, batches
        self._names, self._config, self._folder = names, config, folder
        self._mesh, self._title = mesh, title
        self.latest: dict[str, float] | None = None

    def __call__(self, step: int, network: Variables, writer: MetricsWriter) -> dict[str, float]:
        """Returns `test/loss` and its terms, and draws the picture."""
        found, shown = self._look(network)
        if shown is not None and is_main():
            self._draw(step, network, writer, *shown)
        writer.flush()
        return found

    def test(self, network: Variables) -> dict[str, float]:
        """Returns the same, and draws nothing."""
        return self._look(network)[0]

    def _look(
        self, network: Variables
    ) -> tuple[dict[str, float], tuple[np.ndarray, np.ndarray] | None]:
        """The figures, and frames and labels of the first batch."""
        modality = self._config[SECTION].modality
        sums: dict[str, float] = {}
        shown: tuple[np.ndarray, np.ndarray] | None = None
        seen = 0
        for batch in self._batches:
            if shown is None:
                shown = batch[modality], batch["label"]
            placed = put_batch({"frames": batch[modality], "mask": batch["mask"]}, self._mesh)
            found = jax.device_get(self._test_step(network, placed))
            sums = {name: sums.get(name, 0.0) + float(value) for name, value in found.items()}
            seen += len(batch["mask"]) * jax.process_count()
            if self._config.limit_test_clips and seen >= self._config.limit_test_clips:
                break
        clips = sums.pop("clips")
        self.latest = {f"test/{name}": value / clips for name, value in sums.items()}
        return self.latest, shown

    def _draw(
        self,
        step: int,
        network: Variables,
        writer: MetricsWriter,
        frames: UInt8[np.ndarray, "clip time side side channel"],
        labels: np.ndarray,
    ) -> None:
        count = self._config[SECTION].figures
        if not count:
            return
        tensors = zero_dce_tensors(self._build(jax.device_get(network)))
        picture = input_sheet(
            {
                "as recorded": frames[:count],
                f"after {step} steps": Enhancement.of_tensors(tensors).pictures(frames[:count]),
            },
            [self._names[label] for label in labels[:count].tolist()],
            title=self._title,
            caption="The first test clips, before and after Zero-DCE.",
        )
        save_png(self._folder / PICTURE_FILE, picture)
        writer.image(step, "test/enhanced", picture)
