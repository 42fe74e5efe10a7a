"""Tests a network on the test split, between epochs and at the end."""

import math

import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh
from jax.typing import DTypeLike
from jaxtyping import Array

from rgb2ir_jax.data.pipeline import EvalBatches
from rgb2ir_jax.distillation.objective import cross_entropy_loss
from rgb2ir_jax.evaluation.inference import make_scorer, predict_split
from rgb2ir_jax.evaluation.metrics import ClassificationMetrics, classification_metrics
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.reporting.confusion import confusion_image
from rgb2ir_jax.training.observing.looking import ActivationMaps
from rgb2ir_jax.training.observing.writers import MetricsWriter
from rgb2ir_jax.training.state import Variables, merge
from rgb2ir_jax.training.step import Member


class Tester:
    """Tests a network on the test split; called by the loop between epochs.

    Attributes:
        latest: what the last test found; None before the first one.
        scores: its logits (clip, class) and labels (clip,).

    Args:
        member: the network's static half.
        batches: of the test split.
        class_names: for the figure.
        config: of the experiment.
        mesh: the devices.
        dtype: compute dtype.
        maps: of the network's activations, to be drawn at each test; None: none are.
    """

    def __init__(
        self,
        member: Member,
        batches: EvalBatches,
        class_names: tuple[str, ...],
        config: ml_collections.ConfigDict,
        *,
        mesh: Mesh,
        dtype: DTypeLike,
        maps: ActivationMaps | None = None,
    ):
        protocol = Protocol.from_config(config)

        def logits(network: Variables, frames: Array) -> Array:
            normalised = member.spec.normalise(frames, dtype)
            return merge(member.graph, network)(normalised, train=False).logits

        self._score = make_scorer(
            logits,
            mesh,
            sub_clips=protocol.sub_clips(
                config.data.segments, mixes_segments=member.spec.mixes_time
            ),
        )
        self._modality = member.spec.modality
        self._batches = batches
        self._class_names = class_names
        self._config = config
        self._maps = maps
        self._loss = float("nan")
        self.latest: ClassificationMetrics | None = None
        self.scores: tuple[np.ndarray, np.ndarray] | None = None

    def test(self, network: Variables) -> ClassificationMetrics:
        """Runs every test clip once through the network, in evaluation mode."""
        logits, labels = predict_split(
            lambda batch: self._score(network, batch[self._modality]),
            self._batches,
            limit=self._config.limit_test_clips,
        )
        self.scores = logits, labels
        self._loss = float(cross_entropy_loss(jnp.asarray(logits), jnp.asarray(labels)))
        return classification_metrics(logits, labels)

    def __call__(self, step: int, network: Variables, writer: MetricsWriter) -> dict[str, float]:
        """Tests, shows confusion matrix, classes and activation maps, and returns the scalars."""
        metrics = self.latest = self.test(network)
        of_classes = zip(self._class_names, metrics.per_class_accuracy.tolist(), strict=True)
        writer.class_accuracies(
            step, {c: value for c, value in of_classes if not math.isnan(value)}
        )
        if writer.shows_images:
            image = confusion_image(
                metrics.confusion, self._class_names, title=f"Test clips, step {step}"
            )
            writer.image(step, "test/confusion", image)
        if self._maps is not None:
            self._maps.draw(step, network, writer)
        writer.flush()
        return {
            "test/loss": self._loss,
            "test/top1": metrics.top1,
            "test/top5": metrics.top5,
            "test/mean_class_accuracy": metrics.mean_class_accuracy,
        }
