"""Intervals, tests, features, Grad-CAM and mistakes on the page, checked against other libraries."""

import re

import cv2
import numpy as np
import pytest
import scipy.stats
from sklearn.neighbors import NearestNeighbors

from rgb2ir_jax.evaluation.comparison import compare
from rgb2ir_jax.reporting.runs.certainty import certainty_table, compare_pairs
from rgb2ir_jax.reporting.runs.embedding import embed, features_section, neighbour_agreement
from rgb2ir_jax.reporting.runs.gradcam import overlay
from rgb2ir_jax.reporting.runs.groups import compare_runs
from rgb2ir_jax.reporting.runs.looks import MOST_DISTILLED, choose_networks
from rgb2ir_jax.reporting.runs.mistakes import mistakes_section
from rgb2ir_jax.reporting.runs.page import report_page
from rgb2ir_jax.video.jpeg import encode_jpeg
from tests.reporting.made_looks import drawn_logits, make_looks, make_run

LABELS = np.arange(40) % 4


def looks_of(seed, right=0.6, labels=LABELS, **more):
    return make_looks(drawn_logits(labels, 4, seed, right), labels, mistakes=(7, 3), **more)


def both(**more):
    return [make_run("student", 0, looks_of(0, **more)), make_run("dkd", 0, looks_of(1, 0.9))]


def only(runs):
    (comparison,) = compare_runs(runs)
    return comparison


def test_pairs_are_what_evaluate_compare_prints_and_scipys_binomial_test():
    first, second, third = looks_of(1, 0.9), looks_of(0), looks_of(2, 0.3)
    found = compare_pairs([(first, second), (first, None), (third, second)])
    assert found[1] is None
    for this, pair in ((first, found[0]), (third, found[2])):
        expected = compare(this.logits, second.logits, this.labels)
        assert pair.interval == pytest.approx(expected.gain_interval["top1"], abs=1e-12)
        assert pair.gain == pytest.approx(expected.gain["top1"])
        assert (pair.only_this, pair.only_other) == (
            expected.only_this_right,
            expected.only_other_right,
        )
        drawn = pair.only_this + pair.only_other
        assert pair.p == pytest.approx(scipy.stats.binomtest(pair.only_this, drawn).pvalue)


def test_the_table_has_intervals_and_sets_seeds_against_each_other():
    runs = [*both(), make_run("dkd", 1, looks_of(3))]
    table = certainty_table(only(runs))
    right = np.argmax(looks_of(0).logits, axis=1) == LABELS
    assert f"{100 * right.mean():.1f} [25.0, 75.0]" in table
    better = np.argmax(looks_of(1, 0.9).logits, axis=1) == LABELS
    assert f"{np.sum(better & ~right)} : {np.sum(right & ~better)}" in table
    # No student alone of seed 1.
    assert len(re.findall(r"\d+ : \d+", table)) == 1
    other = make_run("student", 0, looks_of(0, labels=LABELS[::-1]))
    assert not re.search(r"\d+ : \d+", certainty_table(only([other, runs[1]])))


def test_networks_of_one_seed_and_of_the_same_clips_are_shown():
    variants = ["student", "dkd", "mgcam", "at", "st", "sp"]
    runs = [
        make_run(variant, seed, looks_of(10 * seed + k, 0.3 + 0.1 * k))
        for seed in (2, 1)
        for k, variant in enumerate(variants)
    ]
    runs += [make_run("dkd", 0, looks_of(5)), make_run("teacher", 2, looks_of(6))]
    choice = choose_networks(only(runs))
    shown = [(s.phase.variant, s.phase.seed) for s in choice.networks]
    assert shown[0] == ("student", 1)
    assert shown[-1] == ("teacher", 2)
    assert {seed for _, seed in shown[1:-1]} == {1}
    assert len(shown) == MOST_DISTILLED + 2
    groups = {g.variant: g for g in only(runs).groups}
    means = {v: groups[v].spread(lambda p: p.share("top1")).mean for v in variants[1:]}
    kept = {variant for variant, _ in shown[1:-1]}
    assert min(means[v] for v in kept) >= max(m for v, m in means.items() if v not in kept)
    assert "Of 14 trained networks, 5 are shown: of seed 1" in choice.note
    assert "the 3 with the highest top-1" in choice.note

    others = [
        make_run("student", 0, looks_of(0)),
        make_run("dkd", 0, looks_of(1, labels=-LABELS % 4)),
    ]
    assert [s.phase.variant for s in choose_networks(only(others)).networks] == ["student"]


def test_tsne_keeps_neighbourhoods_and_is_the_same_every_time():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    features = (rng.normal(size=(60, 8)) + 12 * np.eye(3, 8)[labels]).astype(np.float32)
    found = embed(features)
    assert found.method == "t-SNE"
    assert neighbour_agreement(found.points, labels) == 1
    np.testing.assert_array_equal(found.points, embed(features).points)


def test_few_clips_are_put_on_their_principal_components():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(9, 4)).astype(np.float32)
    found = embed(features)
    centred = features.astype(np.float64) - features.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.points), np.abs(left * sizes)[:, :2], atol=1e-5)
    share = sizes[0] ** 2 / np.sum(sizes**2)
    assert found.axes[0] == f"principal component 1, {share:.0%} of the variance"
    assert embed(np.ones((30, 4), np.float32)) is None
    assert embed(features[:2]) is None
    assert embed(features[:, :1]).points.shape == (9, 2)


def test_neighbours_are_scikit_learns():
    rng = np.random.default_rng(2)
    features, labels = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
    nearest = NearestNeighbors(n_neighbors=2).fit(features).kneighbors(features)[1][:, 1]
    assert neighbour_agreement(features, labels) == np.mean(labels[nearest] == labels)


@pytest.mark.parametrize("classes", [10, 60, 120])
def test_every_class_has_a_mark_of_its_own_and_stands_in_the_legend(classes):
    labels = np.repeat(np.arange(classes), 2)
    looks = make_looks(drawn_logits(labels, classes, 0), labels)
    # Few enough for principal components would do; the marks are what is looked at.
    section = features_section(only([make_run("student", 0, looks._replace(
        features=looks.features[:16], feature_clips=np.arange(16, dtype=np.int32)))]))  # fmt: skip
    assert "action 7" in section
    full = features_section(only([make_run("student", 0, looks)]))
    legend = full[full.index('class="legend classes"') :]
    marks = re.findall(r'<path d="M7 7(\S[^"]*)" fill="([^"]*)" stroke="([^"]*)"', legend)
    assert len(marks) == len(set(marks)) == classes
    assert f"{classes} action {classes - 1}" in legend
    if classes == 10:
        assert len({fill for _, fill, _ in marks}) == 10


def test_evidence_lies_over_the_frame_where_it_belongs():
    grey = np.full((32, 32, 1), 128, np.uint8)
    evidence = np.zeros((2, 2), np.uint8)
    evidence[0, 1] = 255
    drawn = cv2.imdecode(np.frombuffer(overlay(encode_jpeg(grey), evidence), np.uint8), 1)
    drawn = drawn.astype(float).mean(axis=2)
    assert drawn.shape == (32, 32)
    # Black heat leaves 40% of the frame; the greatest is pale yellow.
    np.testing.assert_allclose(drawn[28:, :4].mean(), 0.4 * 128, atol=6)
    assert drawn[:4, 28:].mean() > 150
    assert drawn[:4, :4].mean() < 70


def test_mistakes_are_listed_as_the_file_has_them():
    labels = np.array([0, 1, 2, 0])
    logits = np.log([[0.1, 0.2, 0.7], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.9, 0.05, 0.05]])
    looks = make_looks(logits, labels, mistakes=(0, 2))
    section = mistakes_section(only([make_run("student", 0, looks)]))
    words = re.sub(r"<[^>]*>", "", section)
    assert "2 of 4 synthetic test clips wrong" in words
    first = words.index("action 0 was named action 2: 70%, true class 10%")
    assert first < words.index("action 2 was named action 0: 60%, true class 10%")
    assert "sample0" in words
    assert section.count("<img") == 4
    right = mistakes_section(
        only([make_run("dkd", 0, make_looks(logits[1:2], labels[1:2], examples=(0,)))])
    )
    assert "No test clip was named wrong." in right


def test_the_page_shows_what_is_there_and_says_how_to_make_the_rest():
    page = report_page(both())
    for heading in ("Features of test clips", "Where the networks look", "Most confident mistakes"):
        assert f"<h2>{heading}</h2>" in page
    assert "--look" not in page
    assert "student alone, seed 0: t-SNE of 40 synthetic test clips" in page
    without = [*both(), make_run("at", 0, looks_of(2))]
    phase = without[2].phases[0].__class__(**{**vars(without[2].phases[0]), "looks": None})
    without[2] = without[2].__class__(**{**vars(without[2]), "phases": (phase,)})
    page = report_page(without)
    assert "2 of 3 networks have been shown the test clips again" in page
    assert "--look" in page
    page = report_page(without[2:])
    assert "No network has been shown" in page
    assert "<h2>Features" not in page


def test_filmed_clips_are_not_called_synthetic():
    runs = [make_run("student", 0, looks_of(0, synthetic=False), synthetic=False)]
    assert "synthetic" not in report_page(runs).partition("</style>")[2]


def test_thirty_runs_with_pictures_stay_below_ten_megabytes():
    labels = np.arange(300) % 60
    runs = []
    for seed in range(3):
        for k, variant in enumerate(["teacher", "student", *(f"m{j}" for j in range(8))]):
            logits = drawn_logits(labels, 60, 10 * seed + k)
            wrong = np.flatnonzero(np.argmax(logits, axis=1) != labels)[:8]
            looks = make_looks(logits, labels, examples=range(6), mistakes=wrong, times=2, side=128)
            runs.append(make_run(variant, seed, looks))
    page = report_page(runs)
    assert page.count("<figcaption>") < 120
    assert len(page) < 10_000_000
    assert "http://" not in page
