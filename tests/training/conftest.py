"""Tiny networks and a tiny data set of real video files, shared by the training tests."""

import functools
from typing import Any, NamedTuple

import jax  # Before TensorFlow, which the building side of TFDS imports.
import ml_collections
import numpy as np
import optax
import pytest

from configs import ntu
from rgb2ir_jax.distillation.base import Widths
from rgb2ir_jax.distillation.objective import Objective
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.batch_norm import arrange_batch_norm
from rgb2ir_jax.training.optimizer import make_optimizer, make_schedule
from rgb2ir_jax.training.phase import make_recipe
from rgb2ir_jax.training.sharding import make_mesh, put_batch, replicated
from rgb2ir_jax.training.state import TrainState, Variables, create_state
from rgb2ir_jax.training.step import Member, TrainStep, make_train_step

CLIPS, SEGMENTS, SIDE = 8, 2, 32


def shrink(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The same run with ResNet10s of width 4 on two frames of 32 pixels, no dropout, no pictures."""
    with config.unlocked():
        for network in (config.teacher, config.student):
            network.depth, network.width, network.dropout = 10, 4, 0.0
            network.batch_size = CLIPS
        config.data.segments, config.data.resize, config.data.crop = SEGMENTS, 36, SIDE
        config.data.threads = 0
        config.figures.inputs = config.figures.activations = 0
        config.optimizer.learning_rate = 0.05
        config.optimizer.schedule = "constant"
        config.optimizer.decay_spares_norms_and_biases = False
        config.optimizer.bias_rate_factor = 1.0
        config.optimizer.clip_norm = 1.0  # Less than the first gradients' norm.
    return config


class Rig(NamedTuple):
    """A training step without the loop around it."""

    config: ml_collections.ConfigDict
    learner: Member
    objective_graph: Any
    schedule: optax.Schedule
    start: Any
    train_step: TrainStep

    def new_state(self) -> TrainState:
        """The first state, in buffers of its own: the step takes what it is given."""
        return jax.tree.map(lambda leaf: leaf.copy(), self.start)


def build_rig(
    config: ml_collections.ConfigDict,
    teacher: Member | None = None,
    *,
    total_steps: int = 100,
    dropout_seed: int = 0,
) -> Rig:
    name = "teacher" if config.variant == "teacher" else "student"
    spec = NetworkSpec.from_config(config[name], 10)
    mesh = make_mesh()
    schedule = make_schedule(config, total_steps, 1)
    batch_norm = config[name].batch_norm
    optimizer = make_optimizer(config, schedule, batch_norm)
    graph, objective_graph, state = create_state(
        lambda: arrange_batch_norm(spec.build(config.seed), batch_norm),
        lambda: Objective(
            config.distill if teacher else None,
            [Widths(spec.stage_channels, teacher.spec.stage_channels)] if teacher else (),
        ),
        optimizer,
        replicated(mesh),
        average=bool(config.optimizer.average_decay),
    )
    learner = Member(spec, graph)
    train_step = make_train_step(
        learner,
        objective_graph,
        [teacher] if teacher else [],
        optimizer,
        schedule,
        total_steps=total_steps,
        seed=dropout_seed,
        mesh=mesh,
        dtype=np.float32,
        recipe=make_recipe(config, name),
    )
    return Rig(config, learner, objective_graph, schedule, state, train_step)


def random_batch(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (CLIPS, SEGMENTS, SIDE, SIDE)
    return {
        "rgb": rng.integers(0, 256, (*shape, 3), np.uint8),
        "ir": rng.integers(0, 256, (*shape, 1), np.uint8),
        "label": rng.permutation(10)[:CLIPS].astype(np.int32),
        "mask": np.ones(CLIPS, np.float32),
        "index": np.arange(CLIPS, dtype=np.int32),
    }


@pytest.fixture(scope="session")
def batch() -> dict[str, np.ndarray]:
    """Eight clips of noise in both modalities, each of another class."""
    return random_batch(0)


@pytest.fixture(scope="session")
def device_batch(batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    return put_batch(batch, make_mesh())


@pytest.fixture(scope="session")
def tiny_config():
    """variant -> the paper's config of it, shrunk."""
    return lambda variant: shrink(ntu.get_config(variant))


@pytest.fixture(scope="session")
def make_rig():
    return build_rig


@pytest.fixture(scope="session")
def make_batch():
    return random_batch


class Overfitted(NamedTuple):
    """What training on one batch again and again leads to; `terms` has one entry a step."""

    rig: Rig
    state: TrainState
    terms: list[dict[str, float]]
    copied: list[np.ndarray]
    """The network's arrays right after its training, in memory of their own."""


def overfit(
    rig: Rig, teachers: tuple[Variables, ...], batch: dict[str, jax.Array], steps: int
) -> Overfitted:
    state, terms = rig.new_state(), []
    for _ in range(steps):
        state, scalars = rig.train_step(state, teachers, batch)
        terms.append(scalars)
    fetched = [{name: float(v) for name, v in t.items()} for t in jax.device_get(terms)]
    copied = [np.array(leaf, copy=True) for leaf in jax.tree.leaves(state.network)]
    return Overfitted(rig, state, fetched, copied)


@pytest.fixture(scope="session")
def overfitted_teacher(tiny_config, device_batch) -> Overfitted:
    return overfit(build_rig(tiny_config("teacher")), (), device_batch, 60)


@pytest.fixture(scope="session")
def overfitted(tiny_config, device_batch, overfitted_teacher):
    """variant -> its student after training on the batch; each is trained once."""

    @functools.cache
    def of(variant: str) -> Overfitted:
        teacher = None if variant == "student" else overfitted_teacher
        rig = build_rig(tiny_config(variant), teacher.rig.learner if teacher else None)
        return overfit(rig, (teacher.state.network,) if teacher else (), device_batch, 80)

    return of


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Twenty-four training clips and twelve test clips of ten classes, built from video files."""
    import tensorflow_datasets as tfds

    from data_builders.ntu_rgbd_ir.ntu_rgbd_ir_dataset_builder import Builder
    from rgb2ir_jax.video.encode import write_video

    footage, built = tmp_path_factory.mktemp("footage"), tmp_path_factory.mktemp("built")
    train = [(p, a) for p in (1, 2) for a in range(1, 11)] + [(4, a) for a in (1, 2, 3, 4)]
    test = [(3, a) for a in range(1, 11)] + [(6, 1), (6, 2)]
    rng = np.random.default_rng(0)
    for performer, action in train + test:
        sample = f"S001C001P{performer:03}R001A{action:03}"
        for modality, channels in (("rgb", 3), ("ir", 1)):
            picture = rng.integers(0, 256, (5, 8, channels), np.uint8).repeat(8, 0).repeat(8, 1)
            moving = (np.roll(picture, 4 * t, axis=1) for t in range(8))
            folder = footage / f"nturgb+d_{modality}"
            folder.mkdir(exist_ok=True)
            write_video(folder / f"{sample}_{modality}.avi", moving, crf=12)
    builder = Builder(data_dir=built)
    builder.workers = 0
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=footage))
    return built
