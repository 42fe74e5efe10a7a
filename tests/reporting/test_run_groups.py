"""What counts as a repetition, what a student is measured by, and the statistics of both."""

import statistics

import pytest

from rgb2ir_jax.reporting.runs.groups import compare_runs, paired
from rgb2ir_jax.reporting.runs.record import Phase, Run


def run(variant, seed, top1, *, data="a/b", synthetic=False, digest="d", **config):
    network = "teacher" if variant == "teacher" else "student"
    entry = {"variant": variant, "seed": seed, "top1": top1, "data_set": data, "class_names": []}
    if top1 is None:
        entry = {}
    else:
        entry["synthetic"] = synthetic
    settings = {
        "variant": variant,
        "seed": seed,
        **{k.replace("__", "."): v for k, v in config.items()},
    }
    phase = Phase(network, entry, {}, {}, None, settings, f"{variant}{seed}")
    noted = {"data_set": f"{data}/1.0.0", "digest": digest}
    return Run(f"{variant}{seed}", {}, noted, {"x": 1} if entry else {}, (phase,), ())


def top1(phase):
    return phase.share("top1")


def test_seeds_are_repetitions_and_settings_are_not():
    runs = [
        run("dkd", 1, 0.5, optimizer__learning_rate=0.1),
        run("dkd", 0, 0.3, optimizer__learning_rate=0.1, data__dir="elsewhere"),
        run("dkd", 0, 0.7, optimizer__learning_rate=0.2),
        run("student", 0, 0.2),
        run("teacher", 0, 0.9, student__epochs=3),
        run("teacher", 1, 0.8, student__epochs=4),
    ]
    (comparison,) = compare_runs(runs)
    labels = [(group.label, [phase.seed for phase in group.phases]) for group in comparison.groups]
    assert labels == [
        ("teacher", [0, 1]),
        ("student alone", [0]),
        ("student, distilled (dkd); optimizer.learning_rate = 0.1", [0, 1]),
        ("student, distilled (dkd); optimizer.learning_rate = 0.2", [0]),
    ]


def test_settings_that_one_version_does_not_know_split_nothing():
    (comparison,) = compare_runs([run("dkd", 0, 0.5, new__field=1), run("dkd", 1, 0.5)])
    assert len(comparison.groups) == 1


def test_trials_stand_apart():
    (comparison,) = compare_runs([run("dkd", 0, 0.5), run("dkd", 1, 0.5, limit_train_steps=2)])
    assert [group.label for group in comparison.groups] == [
        "student, distilled (dkd)",
        "student, distilled (dkd), a trial",
    ]


def test_mean_and_deviation_are_the_samples():
    (comparison,) = compare_runs([run("dkd", k, v) for k, v in enumerate((0.2, 0.3, 0.7))])
    found = comparison.groups[0].spread(top1)
    assert found.mean == pytest.approx(0.4)
    assert found.deviation == pytest.approx(statistics.stdev((0.2, 0.3, 0.7)))
    assert found.values == (0.2, 0.3, 0.7)


def test_gains_are_of_equal_seeds_where_there_are_any():
    values = {0: (0.2, 0.5), 1: (0.3, 0.4)}
    runs = [run("student", s, a) for s, (a, _) in values.items()]
    runs += [run("dkd", s, b) for s, (_, b) in values.items()] + [run("dkd", 9, 0.99)]
    (comparison,) = compare_runs(runs)
    alone, distilled = comparison.groups
    assert comparison.baseline(distilled) is alone
    assert comparison.baseline(alone) is None
    gain, by_seed = paired(distilled, alone, top1)
    assert by_seed
    assert gain.values == pytest.approx((0.3, 0.1))
    assert gain.mean == pytest.approx(0.2)


def test_without_a_common_seed_means_are_subtracted():
    (comparison,) = compare_runs([run("student", 0, 0.2), run("dkd", 1, 0.5), run("dkd", 2, 0.6)])
    alone, distilled = comparison.groups
    gain, by_seed = paired(distilled, alone, top1)
    assert not by_seed
    assert gain.values == pytest.approx((0.35,))


def test_the_likest_student_alone_is_measured_by():
    runs = [run("student", 0, 0.2, data__crop=64), run("student", 0, 0.4, data__crop=112)]
    (comparison,) = compare_runs([*runs, run("dkd", 0, 0.5, data__crop=112)])
    assert comparison.baseline(comparison.groups[-1]).spread(top1).mean == 0.4


def test_synthetic_and_filmed_are_never_in_one_comparison():
    found = compare_runs(
        [
            run("student", 0, 0.2, synthetic=True),
            run("student", 1, 0.2, synthetic=False, digest="e"),
            run("student", 2, None, digest="d"),
            run("student", 3, None, digest="f"),
        ]
    )
    assert [(c.synthetic, len(c.runs)) for c in found] == [(True, 2), (False, 1), (None, 1)]
