"""One network's part of an experiment: set up, train, test, write down."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
from flax import nnx
from jax.sharding import Mesh
from jax.typing import DTypeLike

from rgb2ir_jax.data.pipeline import EvalBatches, eval_batches, train_iterator
from rgb2ir_jax.data.source import DatasetDescription
from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.distillation.objective import Objective, cross_entropy_loss
from rgb2ir_jax.evaluation.inference import predict_split
from rgb2ir_jax.evaluation.metrics import ClassificationMetrics, classification_metrics
from rgb2ir_jax.models.cost import describe_cost
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.reporting.confusion import confusion_image, save_confusion_png
from rgb2ir_jax.training.checkpoints import NETWORK_FILE, load_network, write_json
from rgb2ir_jax.training.loop import Plan, fit
from rgb2ir_jax.training.optimizer import make_optimizer, make_schedule
from rgb2ir_jax.training.sharding import put_batch, replicated
from rgb2ir_jax.training.state import Split, Variables, create_state
from rgb2ir_jax.training.step import Member, make_eval_step, make_train_step
from rgb2ir_jax.training.validation import flatten
from rgb2ir_jax.training.writers import MetricsWriter

RESULT_FILE = "result.json"

_log = logging.getLogger(__name__)


class Teacher(NamedTuple):
    """A trained and frozen network."""

    spec: NetworkSpec
    network: Split


def run_phase(
    name: str,
    config: ml_collections.ConfigDict,
    folder: Path,
    data_set: DatasetDescription,
    teachers: Sequence[Teacher],
    *,
    mesh: Mesh,
    dtype: DTypeLike,
) -> dict[str, Any]:
    """Trains and tests one network, or does what is left of it; returns its entry of the results.

    Args:
        name: "teacher" or "student": the section of the config that describes the network.
        config: of the experiment, validated.
        folder: of the phase; gets checkpoints, metrics, `network.json`, `result.json`,
            `confusion.png`.
        data_set: what is trained and tested on.
        teachers: whom `config.distill` compares with; none for cross-entropy alone.
        mesh: the devices.
        dtype: compute dtype.
    """
    if (folder / RESULT_FILE).is_file():
        result = json.loads((folder / RESULT_FILE).read_text())
        _log.info("%s: already trained and tested in %s, reused", name, folder)
        return result
    folder.mkdir(parents=True, exist_ok=True)
    section, class_names = config[name], data_set.class_names
    spec = NetworkSpec.from_config(section, len(class_names))
    spec.save(folder / NETWORK_FILE)
    # The phases draw different weights, order and dropout from the one seed.
    seed = config.seed if name == "teacher" else config.seed + 1_000_003
    shape = (1, config.data.segments, config.data.crop, config.data.crop, spec.in_channels)
    abstract = nnx.eval_shape(lambda: spec.build(seed, dtype))
    _log.info(
        "%s: ResNet%d on %s, %s", name, spec.depth, spec.modality, describe_cost(abstract, shape)
    )

    modalities = {spec.modality, *(teacher.spec.modality for teacher in teachers)}
    tests = eval_batches(
        config.data, config.data.test_split, config.evaluation.batch_size, [spec.modality]
    )
    with train_iterator(config.data, seed, section.batch_size, sorted(modalities)) as batches:
        plan = make_plan(config, name, batches.steps_per_epoch)
        _log.info(
            "%s: %d training clips, %d steps of %d clips an epoch, %d steps in all; %d test clips",
            name,
            batches.num_clips,
            plan.steps_per_epoch,
            plan.batch_size,
            plan.total_steps,
            tests.num_clips,
        )
        schedule = make_schedule(
            config, batches.steps_per_epoch, section.epochs, section.learning_rate_factor
        )
        optimizer = make_optimizer(config, schedule)
        graph, objective_graph, state = create_state(
            lambda: spec.build(seed, dtype),
            lambda: _objective(config.distill if teachers else None, spec, teachers, seed),
            optimizer,
            replicated(mesh),
        )
        train_step = make_train_step(
            Member(spec, graph),
            objective_graph,
            [Member(teacher.spec, teacher.network.graph) for teacher in teachers],
            optimizer,
            schedule,
            total_steps=plan.total_steps,
            seed=seed,
            mesh=mesh,
            dtype=dtype,
        )
        tester = Tester(Member(spec, graph), tests, class_names, config, mesh=mesh, dtype=dtype)
        state, record = fit(
            name,
            state,
            tuple(teacher.network.variables for teacher in teachers),
            train_step,
            batches,
            tester,
            plan=plan,
            folder=folder,
            keep_checkpoints=config.keep_checkpoints,
            hparams={key: str(value) for key, value in flatten(config).items()},
            mesh=mesh,
        )
    # A phase that was stopped between its last checkpoint and its result has not been tested here.
    metrics = tester.latest or tester.test(state.network)
    result = {
        "network": name,
        "variant": "teacher" if name == "teacher" else config.variant,
        "modality": spec.modality,
        "seed": config.seed,
        "top1": metrics.top1,
        "top5": metrics.top5,
        "mean_class_accuracy": metrics.mean_class_accuracy,
        "clips_tested": metrics.examples,
        "seconds": round(record["seconds"], 1),
        "config_name": config.name,
        "data_set": f"{data_set.name}/{data_set.config}",
        "synthetic": data_set.synthetic,
        "limited": bool(config.limit_train_steps or config.limit_test_clips),
        "steps": plan.total_steps,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.network.params)),
        "class_names": list(class_names),
        "metrics": metrics.to_dict(),
    }
    save_confusion_png(
        folder / "confusion.png",
        metrics.confusion,
        class_names,
        title=f"{config.name}, {name}, {'synthetic ' * data_set.synthetic}test clips",
    )
    write_json(folder / RESULT_FILE, result)
    return result


def _objective(
    distill: ml_collections.ConfigDict | None,
    student: NetworkSpec,
    teachers: Sequence[Teacher],
    seed: int,
) -> Objective:
    widths = [Widths(student.stage_channels, t.spec.stage_channels) for t in teachers]
    return Objective(distill, widths, seed)


def load_teacher(
    folder: Path, class_names: tuple[str, ...], *, mesh: Mesh, dtype: DTypeLike
) -> Teacher:
    """Reads a trained teacher and checks that it knows the data set's classes.

    Raises:
        ValueError: there is none, its training did not end, or it was for another number of classes.
    """
    if (folder / NETWORK_FILE).is_file() and not (folder / RESULT_FILE).is_file():
        raise ValueError(
            f"the training of the teacher in {folder} did not end (there is no {RESULT_FILE}); "
            "start that run again with its own command, and it goes on where it stopped"
        )
    spec, network, _ = load_network(folder, replicated(mesh), dtype)
    if spec.num_classes != len(class_names):
        raise ValueError(
            f"the teacher in {folder} tells {spec.num_classes} classes apart, the data set has "
            f"{len(class_names)}; expected a teacher that was trained on the same classes"
        )
    return Teacher(spec, network)


def make_plan(config: ml_collections.ConfigDict, name: str, steps_per_epoch: int) -> Plan:
    """Epochs as steps."""
    section = config[name]
    total = section.epochs * steps_per_epoch
    if config.limit_train_steps:
        total = min(total, config.limit_train_steps)
    return Plan(
        steps_per_epoch=steps_per_epoch,
        total_steps=total,
        batch_size=section.batch_size,
        evaluate_every=config.evaluation.every_epochs * steps_per_epoch,
        checkpoint_every=config.checkpoint_every_epochs * steps_per_epoch,
        log_every=config.log_every_steps,
    )


class Tester:
    """Tests a network on the test split; called by the loop between epochs."""

    def __init__(
        self,
        member: Member,
        batches: EvalBatches,
        class_names: tuple[str, ...],
        config: ml_collections.ConfigDict,
        *,
        mesh: Mesh,
        dtype: DTypeLike,
    ):
        self._step = make_eval_step(member, mesh=mesh, dtype=dtype)
        self._modality = member.spec.modality
        self._batches = batches
        self._class_names = class_names
        self._config = config
        self._mesh = mesh
        self._loss = float("nan")
        self.latest: ClassificationMetrics | None = None

    def test(self, network: Variables) -> ClassificationMetrics:
        """Runs every test clip once through the network, in evaluation mode."""
        logits, labels = predict_split(
            lambda batch: self._step(
                network, put_batch({self._modality: batch[self._modality]}, self._mesh)
            ),
            self._batches,
            limit=self._config.limit_test_clips,
        )
        self._loss = float(cross_entropy_loss(jnp.asarray(logits), jnp.asarray(labels)))
        return classification_metrics(logits, labels)

    def __call__(self, step: int, network: Variables, writer: MetricsWriter) -> dict[str, float]:
        """Tests, shows the confusion matrix in TensorBoard, and returns the scalars."""
        metrics = self.latest = self.test(network)
        image = confusion_image(
            metrics.confusion, self._class_names, title=f"Test clips, step {step}"
        )
        writer.image(step, "test/confusion", image)
        writer.flush()
        return {
            "test/loss": self._loss,
            "test/top1": metrics.top1,
            "test/top5": metrics.top5,
            "test/mean_class_accuracy": metrics.mean_class_accuracy,
        }
