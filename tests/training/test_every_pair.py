"""Every network teaches every other: a small batch is learnt by heart with `dkd` and `mgcam`.

The kinds are a TSN on a ResNet, a TSM (the same with temporal shift) and R(2+1)D, each as shallow as the
kind allows (one block a stage), on clips of four frames in a row.
"""

import functools
import itertools

import jax
import numpy as np
import pytest

from configs import ntu
from rgb2ir_jax.models.r2plus1d import VIDEO_ARCHITECTURES, VideoArchitecture
from rgb2ir_jax.training.sharding import make_mesh, put_batch

CLIPS, FRAMES, SIDE = 8, 4, 32
KINDS = ("resnet", "tsm", "r2plus1d")
# The others take a minute to compile.
QUICK = {("r2plus1d", "resnet")}


@pytest.fixture(scope="module", autouse=True)
def _shallow_networks():
    with pytest.MonkeyPatch.context() as patch:
        shallow = VideoArchitecture((1, 1, 1, 1), 1e-5, own_middle=False)
        patch.setitem(VIDEO_ARCHITECTURES, 18, shallow)
        yield


def config_of(variant: str, teacher: str, student: str):
    config = ntu.get_config(variant)
    with config.unlocked():
        for network, kind in ((config.teacher, teacher), (config.student, student)):
            network.depth, network.width, network.dropout = 18, 4, 0.0
            network.batch_size = CLIPS
            network.backbone = "r2plus1d_18" if kind == "r2plus1d" else "resnet10"
            network.temporal_shift = kind == "tsm"
        config.teacher.temporal_head = "bert" if teacher == "r2plus1d" else "mean"
        config.data.segments, config.data.resize, config.data.crop = FRAMES, 36, SIDE
        config.data.sampling = "dense"
        config.figures.inputs = config.figures.activations = 0
        config.optimizer.name = "adamw"
        config.optimizer.learning_rate = 0.01
        config.optimizer.weight_decay = 0.0
        config.optimizer.schedule = "constant"
    return config


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    shape = (CLIPS, FRAMES, SIDE, SIDE)
    return put_batch(
        {
            "rgb": rng.integers(0, 256, (*shape, 3), np.uint8),
            "ir": rng.integers(0, 256, (*shape, 1), np.uint8),
            "label": rng.permutation(10)[:CLIPS].astype(np.int32),
            "mask": np.ones(CLIPS, np.float32),
            "index": np.arange(CLIPS, dtype=np.int32),
        },
        make_mesh(),
    )


def learn(rig, teachers, batch, steps):
    state, terms = rig.new_state(), []
    for _ in range(steps):
        state, scalars = rig.train_step(state, teachers, batch)
        terms.append(scalars)
    return state, [{name: float(v) for name, v in t.items()} for t in jax.device_get(terms)]


@pytest.fixture(scope="module")
def teacher_of(make_rig, batch):
    @functools.cache
    def of(kind: str):
        rig = make_rig(config_of("teacher", kind, "resnet"))
        state, terms = learn(rig, (), batch, 40)
        assert terms[-1]["accuracy"] == 1.0
        return rig.learner, state.network

    return of


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        pytest.param(*case, marks=[pytest.mark.slow] * (case not in QUICK))
        for case in itertools.product(KINDS, KINDS)
    ],
)
def test_a_batch_is_learnt_by_heart(make_rig, teacher_of, batch, teacher, student):
    guide, variables = teacher_of(teacher)
    rig = make_rig(config_of("mgcam+dkd", teacher, student), guide)
    _, terms = learn(rig, (variables,), batch, 50)
    first, last = terms[0], terms[-1]
    assert last["accuracy"] == 1.0
    assert last["ce"] < 0.05 < first["ce"]
    # Eq. 6 of MGCAM compares all stages with all, so that even the teacher itself would not reach 0.
    assert last["dkd"] < 0.1 * first["dkd"]
    assert last["mgcam"] < first["mgcam"]
    added = last["ce"] + last["dkd_weighted"] + last["mgcam_weighted"]
    assert last["loss"] == pytest.approx(added, rel=1e-4)
