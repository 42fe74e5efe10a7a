"""One network's part of an experiment: set up, train, test, write down."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
from jax.sharding import Mesh
from jax.typing import DTypeLike

from rgb2ir_jax.data.pipeline import eval_batches
from rgb2ir_jax.data.source import DatasetDescription
from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.distillation.objective import Objective
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.models.cost import count_flops, describe_cost
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.streams import STREAMS
from rgb2ir_jax.reporting.confusion import save_confusion_png
from rgb2ir_jax.training.batch_norm import arrange_batch_norm
from rgb2ir_jax.training.checkpoints import NETWORK_FILE
from rgb2ir_jax.training.distributed import (
    failing_together,
    found_by_main,
    is_main,
    wait_until_seen,
)
from rgb2ir_jax.training.early_stopping import EarlyStopping
from rgb2ir_jax.training.fusing import save_scores
from rgb2ir_jax.training.initial_weights import has_begun, initial_weights, start_from
from rgb2ir_jax.training.loop import fit
from rgb2ir_jax.training.observing.looking import ActivationMaps, draw_inputs, teacher_names
from rgb2ir_jax.training.observing.memory import peak_memory
from rgb2ir_jax.training.observing.stopwatch import shares
from rgb2ir_jax.training.optimizer import make_optimizer, make_schedule
from rgb2ir_jax.training.plan import make_plan
from rgb2ir_jax.training.resident.batches import training_batches
from rgb2ir_jax.training.saving.files import RESULT_FILE, write_json
from rgb2ir_jax.training.sharding import place, replicated
from rgb2ir_jax.training.signals import StopRequest
from rgb2ir_jax.training.state import create_state
from rgb2ir_jax.training.step import Member, Recipe, make_train_step
from rgb2ir_jax.training.teachers import Teacher
from rgb2ir_jax.training.tester import Tester
from rgb2ir_jax.training.validation import flatten

_log = logging.getLogger(__name__)


def run_phase(
    name: str,
    config: ml_collections.ConfigDict,
    folder: Path,
    data_set: DatasetDescription,
    teachers: Sequence[Teacher],
    *,
    mesh: Mesh,
    dtype: DTypeLike,
    stop: StopRequest,
) -> dict[str, Any]:
    """Trains and tests one network, or does what is left of it; returns its entry of the results.

    Args:
        name: "teacher" or "student", or a stream of TSTDDs: the section of the config that describes the
            network.
        config: of the experiment, validated, as `phases.phase_config` has it for this network.
        folder: of the phase; gets checkpoints, metrics, `network.json`, `result.json`,
            `confusion.png`, and the pictures of `training/observing/looking.py`.
        data_set: what is trained and tested on.
        teachers: whom `config.distill` compares with; none for cross-entropy alone.
        mesh: the devices.
        dtype: compute dtype.
        stop: whether the run was asked to end.

    Raises:
        Interrupted: it was, and the phase is saved.
    """
    if (result := found_by_main(lambda: _earlier_result(folder))) is not None:
        _log.info("%s: already trained and tested in %s, reused", name, folder)
        return result
    if is_main():
        folder.mkdir(parents=True, exist_ok=True)
    section, class_names = config[name], data_set.class_names
    spec = NetworkSpec.from_config(section, len(class_names))
    if is_main():
        spec.save(folder / NETWORK_FILE)
    wait_until_seen(folder / NETWORK_FILE)
    if spec.enhancement is not None:
        # With the weights that are recorded with the run, whatever becomes of the file they came from.
        spec = NetworkSpec.load(folder / NETWORK_FILE)
    # The phases draw different weights, order and dropout from the one seed.
    seed = config.seed if name == "teacher" else config.seed + 1_000_003
    segments = config.data.segments
    pictures = segments if spec.stream is None else spec.stream.pictures(segments)
    shape = (1, pictures, config.data.crop, config.data.crop, spec.in_channels)
    cost = describe_cost(spec.shapes(dtype), shape)
    _log.info("%s: %s on %s, %s", name, spec.title, spec.sees, cost)

    modalities = {spec.modality, *(teacher.spec.modality for teacher in teachers)}
    protocol = Protocol.from_config(config)
    tests = eval_batches(
        config.data,
        config.data.test_split,
        protocol.batch_size(config.evaluation.batch_size, config.data.segments, mesh.devices.size),
        [spec.modality],
        segments=protocol.segments,
        crops=protocol.crops,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    with training_batches(
        config.data, seed, section.batch_size, sorted(modalities), mesh=mesh
    ) as batches:
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
        optimizer = make_optimizer(config, schedule, section.batch_norm)
        graph, objective_graph, state = create_state(
            lambda: arrange_batch_norm(
                spec.build(seed, dtype), section.batch_norm, replicas=mesh.devices.size
            ),
            lambda: _objective(config.distill if teachers else None, spec, teachers, seed),
            optimizer,
            replicated(mesh),
            average=bool(config.optimizer.average_decay),
        )
        if section.init and not has_begun(folder):
            state = start_from(section.init, spec, graph, state, mesh, folder)
        placement = place(state, mesh)
        state = jax.device_put(state, placement)
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
            recipe=make_recipe(config, name),
            placement=placement,
        )
        maps = None
        if config.figures.activations:
            learner = Member(spec, graph)
            maps = ActivationMaps(
                name, learner, teachers, config, data_set, folder, mesh=mesh, dtype=dtype
            )
        tester = Tester(
            Member(spec, graph), tests, class_names, config, mesh=mesh, dtype=dtype, maps=maps
        )
        guides = zip(teacher_names(len(teachers)), teachers, strict=True)
        seen = [*((who, teacher.spec) for who, teacher in guides), (name, spec)]
        with failing_together():
            drawn = draw_inputs(name, config, seed, seen, data_set, folder)
        outcome = fit(
            name,
            state,
            tuple(teacher.network.variables for teacher in teachers),
            train_step,
            batches,
            tester,
            plan=plan,
            folder=folder,
            stopping=EarlyStopping(
                config.checkpoint.best_metric,
                patience=config.early_stopping.patience * plan.steps_per_epoch,
                min_delta=config.early_stopping.min_delta,
            ),
            stop=stop,
            hparams={key: str(value) for key, value in flatten(config).items()},
            mesh=mesh,
            pictures=drawn,
            profile=config.profile,
        )
    # A phase that was stopped between its last checkpoint and its result has not been tested here.
    metrics = tester.latest or tester.test(outcome.state.deployed())
    result = {
        "network": name,
        "variant": "teacher" if name == "teacher" else config.variant,
        "modality": spec.modality,
        "frame_channels": data_set.modalities[spec.modality],
        "enhance": None if spec.enhancement is None else str(spec.enhancement),
        "stream": None if spec.stream is None else spec.stream.name,
        "seed": config.seed,
        "top1": metrics.top1,
        "top5": metrics.top5,
        "mean_class_accuracy": metrics.mean_class_accuracy,
        "clips_tested": metrics.examples,
        "seconds": round(outcome.seconds, 1),
        "peak_memory": peak_memory(),
        "time": {activity: round(part, 4) for activity, part in shares(outcome.time).items()},
        "config_name": config.name,
        "data_set": f"{data_set.name}/{data_set.config}",
        "synthetic": data_set.synthetic,
        "limited": bool(config.limit_train_steps or config.limit_test_clips),
        "steps": outcome.step,
        "stopped_early": outcome.step < plan.total_steps,
        "best": outcome.best,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(outcome.state.network.params)),
        "gmac": (count_flops(spec.shapes(dtype), shape) + _enhancing(spec, shape)) / 1e9,
        "initial_weights": initial_weights(folder),
        "class_names": list(class_names),
        "metrics": metrics.to_dict(),
    }
    if is_main():
        save_confusion_png(
            folder / "confusion.png",
            metrics.confusion,
            class_names,
            title=f"{config.name}, {name}, {'synthetic ' * data_set.synthetic}test clips",
        )
    if name in STREAMS and tester.scores is not None:
        save_scores(folder, *tester.scores)
    write_json(folder / RESULT_FILE, result)
    wait_until_seen(folder / RESULT_FILE)
    return result


def _enhancing(spec: NetworkSpec, shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of what stands before the network, for an input of that shape."""
    if spec.enhancement is None:
        return 0
    clips, time, height, width, _ = shape
    return clips * time * spec.enhancement.multiply_accumulates(height, width)


def _earlier_result(folder: Path) -> dict[str, Any] | None:
    path = folder / RESULT_FILE
    return json.loads(path.read_text()) if path.is_file() else None


def _objective(
    distill: ml_collections.ConfigDict | None,
    student: NetworkSpec,
    teachers: Sequence[Teacher],
    seed: int,
) -> Objective:
    widths = [Widths(student.stage_channels, t.spec.stage_channels) for t in teachers]
    return Objective(distill, widths, seed)


def make_recipe(config: ml_collections.ConfigDict, name: str) -> Recipe:
    """What the config says of a phase's updates."""
    return Recipe(
        label_smoothing=config.optimizer.label_smoothing,
        average_decay=config.optimizer.average_decay,
        accumulate=config[name].accumulate,
        skip_nonfinite=config.guard.nonfinite == "skip",
        graph_parts=jax.device_count() if config.mesh.graphs == "replica" else 1,
    )
