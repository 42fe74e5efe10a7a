"""The formula of what devices exchange, against counts by hand and against the compiled step."""

import pytest

from benchmarks.exchange import GRAPHS, Assumptions, breaks, exchanged, predict, sizes_of
from benchmarks.job import make_job
from benchmarks.scaling import count_compiled
from configs.methods import distillation


def _job(kind="mgcam+dkd", batch=2, size=64, width=64):
    return make_job(
        kind,
        distillation(kind).to_dict(),
        batch=batch,
        segments=2,
        size=size,
        width=width,
        dtype="float32",
    )


def test_sizes_are_those_of_the_published_networks():
    sizes = sizes_of(_job(size=224))
    # torchvision's ResNet18 has 11,689,512 parameters; the stem sees one channel and ten classes.
    assert sizes.parameters == 11_689_512 - 2 * 49 * 64 - 990 * 513
    assert (sizes.norms, sizes.norm_channels) == (20, 4800)
    stages = (56 * 56 * 64, 28 * 28 * 128, 14 * 14 * 256, 7 * 7 * 512)
    assert sizes.student_maps == stages
    assert sizes.teacher_maps == tuple(4 * values for values in stages)
    assert sizes.positions == 56 * 56


@pytest.mark.parametrize("graphs", GRAPHS)
def test_one_device_exchanges_nothing(graphs):
    assert sum(exchanged(sizes_of(_job()), 2, 1, graphs)) == 0


def test_only_graphs_of_the_whole_batch_gather():
    sizes = sizes_of(_job())
    assert exchanged(sizes, 8, 4, "replica").graphs == 0
    assert exchanged(sizes, 8, 4, "batch").graphs > 0
    assert exchanged(sizes_of(_job("dkd")), 8, 4, "batch").graphs == 0


@pytest.mark.slow
@pytest.mark.parametrize("graphs", GRAPHS)
def test_the_compiled_step_exchanges_what_the_formula_says(graphs):
    job, devices = _job(width=16), 2
    formula = exchanged(sizes_of(job), job.batch * devices, devices, graphs)
    compiled = count_compiled(job, devices, graphs)
    # Sums of a few clips' numbers and scalars of the losses are left out of the formula.
    assert compiled.pop("all-reduce") == pytest.approx(formula.all_reduced, rel=1e-3)
    assert compiled.pop("all-gather", 0) == pytest.approx(formula.graphs, rel=1e-3)
    assert not compiled


def test_times_by_hand():
    given = Assumptions(nvlink=100.0, network=10.0, step_ms=100.0, latency_us=0.0)
    job = _job("student", batch=256)
    sizes = sizes_of(job)
    eight = predict(sizes, job, 8, "replica", given)
    assert eight["gradients"] == pytest.approx(2 * 7 / 8 * 4 * sizes.parameters / 100e6)
    assert eight["efficiency"] == pytest.approx(
        100 / (100 + eight["gradients"] + eight["norms"]), rel=1e-9
    )
    sixteen = predict(sizes, job, 16, "replica", given)
    assert sixteen["gradients"] == pytest.approx(2 * 15 / 16 * 4 * sizes.parameters / 10e6)
    assert eight["clips_per_second"] == pytest.approx(8 * 256 / eight["step"] * 1e3)


def test_what_breaks_is_named():
    given = Assumptions()
    job = _job(batch=256, size=224)
    sizes = sizes_of(job)
    assert breaks(predict(sizes, job, 64, "replica", given), given) == ""
    assert "gathered maps" in breaks(predict(sizes, job, 64, "batch", given), given)
    few = given._replace(cores=4.0)
    assert "decoding" in breaks(predict(sizes, job, 2, "replica", few), few)
