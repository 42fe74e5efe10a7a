"""PKU-MMD's official measures: the owners' own numbers, and a literal reading of the definition."""

import json
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.evaluation.pku_detection import (
    AP2D_THRESHOLDS,
    evaluate,
    mean_average_precision_of_clips,
)

_FILE = pathlib.Path(__file__).parent / "data" / "pku_detection_cases.json"
CASES = json.loads(_FILE.read_text())["cases"]
FIGURES = ("F1", "AP", "mAP_action", "mAP_video", "AP2D")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_owners_numbers_to_the_last_digit(case):
    found = evaluate(case["proposals"], case["ground"], threshold=case["theta"])

    expected = case["expected"]
    # Their F1 divides by zero where nothing matches.
    assert {name: found[name] for name in FIGURES} == {
        name: expected[name] if expected[name] is not None else 0.0 for name in FIGURES
    }
    assert {str(name): value for name, value in found["per_class"].items()} == expected["per_class"]
    json.dumps(found, allow_nan=False)


def literal(proposals, truths, threshold):
    """AP of (video, class, start, end, confidence) rows, word for word by the definition."""

    def overlap(p, g):
        if p[:2] != g[:2]:
            return 0.0
        width = max(p[3], g[3]) - min(p[2], g[2])
        return (min(p[3], g[3]) - max(p[2], g[2])) / width if width else 0.0

    def belongs_to(p):
        best = None
        for number, g in enumerate(truths):
            if overlap(p, g) >= threshold and (
                best is None or overlap(p, g) >= overlap(p, truths[best])
            ):
                best = number
        return best

    left = sorted(proposals, key=lambda p: p[4])
    mapped = [belongs_to(p) for p in left]

    def precision_and_recall(mapped):
        if not mapped or not truths:
            return 0.0, 0.0
        found = len({m for m in mapped if m is not None})
        return found / len(mapped), found / len(truths)

    highest, recall = precision_and_recall(mapped)
    f1 = 2 * highest * recall / (highest + recall) if recall else 0.0
    score = 0.0
    while mapped:
        gone, *mapped = mapped
        if gone is None:
            continue
        precision, new_recall = precision_and_recall(mapped)
        highest = max(highest, precision)
        score += highest * (recall - new_recall)
        recall = new_recall
    return score, f1


# Few places, classes and confidences, so that duplicates, ties and swapped ends occur.
ROWS = st.lists(
    st.tuples(
        st.integers(1, 3), st.integers(0, 8), st.integers(0, 8), st.sampled_from([0.1, 0.5, 0.9])
    ),
    max_size=8,
)


@given(
    videos=st.lists(st.tuples(ROWS, ROWS), min_size=1, max_size=3),
    threshold=st.sampled_from([0.1, 0.3, 0.5, 0.75, 1.0]),
)
def test_the_definition_read_word_for_word(videos, threshold):
    proposals, truths = ([list(rows) for rows in lists] for lists in zip(*videos, strict=True))

    found = evaluate(proposals, truths, threshold=threshold)

    def flat(lists):
        return [(v, *row) for v, rows in enumerate(lists) for row in rows]

    # Class by class, as the owners put their lists together; this tells how ties are broken.
    p = sorted(flat(proposals), key=lambda row: row[1])
    g = sorted(flat(truths), key=lambda row: row[1])
    ap, f1 = literal(p, g, threshold)
    assert found["AP"] == pytest.approx(ap, abs=1e-12)
    assert found["F1"] == pytest.approx(f1, abs=1e-12)
    of_class = {
        c: literal([r for r in p if r[1] == c], [r for r in g if r[1] == c], threshold)[0]
        for c in {row[1] for row in p + g}
    }
    assert found["per_class"] == pytest.approx(of_class, abs=1e-12)
    assert found["mAP_action"] == pytest.approx(sum(of_class.values()) / 51, abs=1e-12)
    of_video = [
        literal([r for r in flat(proposals) if r[0] == v], [r for r in g if r[0] == v], threshold)[
            0
        ]
        for v in range(len(videos))
    ]
    assert found["mAP_video"] == pytest.approx(np.mean(of_video), abs=1e-12)
    levels = [literal(p, g, level)[0] for level in AP2D_THRESHOLDS]
    assert found["AP2D"] == pytest.approx(np.mean(levels), abs=1e-12)


NOTHING = {"F1": 0.0, "AP": 0.0, "mAP_action": 0.0, "mAP_video": 0.0, "AP2D": 0.0}


@pytest.mark.parametrize(
    ("proposals", "truths", "per_class"),
    [
        ([], [[[1, 0, 9, 1]], [[2, 0, 9, 1]]], {1: 0.0, 2: 0.0}),
        ([[], []], [[[1, 0, 9, 1]], [[2, 0, 9, 1]]], {1: 0.0, 2: 0.0}),
        ([[[3, 0, 9, 0.5]]], [[]], {3: 0.0}),
        ([[]], [[]], {}),
        # Swapped ends overlap with nothing that has its ends in order.
        ([[[1, 9, 0, 0.5]]], [[[1, 0, 9, 1]]], {1: 0.0}),
        ([[[1, 0, 9, 0.5]]], [[[1, 9, 0, 1]]], {1: 0.0}),
        ([[[1, 4, 4, 0.5]]], [[[1, 4, 4, 1]]], {1: 0.0}),
        # The same moment of another video.
        ([[], [[1, 0, 9, 0.5]]], [[[1, 0, 9, 1]], []], {1: 0.0}),
    ],
)
def test_where_nothing_is_found_everything_is_zero(proposals, truths, per_class):
    assert evaluate(proposals, truths) == {**NOTHING, "per_class": per_class}


def test_of_equally_sure_proposals_the_first_goes_first():
    right, wrong = [1, 0, 10, 0.5], [1, 50, 60, 0.5]
    assert evaluate([[wrong, right]], [[[1, 0, 10, 1]]])["AP"] == 0.5
    assert evaluate([[right, wrong]], [[[1, 0, 10, 1]]])["AP"] == 0.5
    # Removing the wrong ones first, which are not matched, updates nothing; a second right one
    # that goes after them sees a higher precision.
    twice = [[1, 0, 10, 1], [1, 20, 30, 1]]
    second = [1, 20, 30, 0.5]
    assert evaluate([[wrong, right, second]], [twice])["AP"] == pytest.approx(0.5 * 1.0 + 0.5 * 1)
    assert evaluate([[right, second, wrong]], [twice])["AP"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("proposals", "truths", "options", "message"),
    [
        ([], [], {}, "no video to judge"),
        ([[]], [[], []], {}, "proposals of 1 videos and ground truth of 2"),
        ([[[1, 0, 9]]], [[]], {}, r"\[1, 0, 9\] as a proposal of video 0; expected four"),
        ([[]], [[[1, 0, float("nan"), 1]]], {}, "as a ground truth of video 0"),
        ([[[0, 0, 9, 1]]], [[]], {}, "class 0 in a proposal of video 0; .* from 1 to 51"),
        ([[[52, 0, 9, 1]]], [[]], {}, "class 52"),
        ([[[1.5, 0, 9, 1]]], [[]], {}, r"class 1\.5"),
        ([[[11, 0, 9, 1]]], [[]], {"num_classes": 10}, "from 1 to 10"),
        ([[]], [[]], {"threshold": 0.0}, r"threshold is 0\.0"),
        ([[]], [[]], {"threshold": 1.5}, r"threshold is 1\.5"),
    ],
)
def test_what_makes_no_sense_is_named(proposals, truths, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(proposals, truths, **options)


@given(seed=st.integers(0, 2**32 - 1), clips=st.integers(1, 40), classes=st.integers(2, 8))
def test_clips_are_judged_as_videos_with_one_segment(seed, clips, classes):
    rng = np.random.default_rng(seed)
    labels, predictions = rng.integers(0, classes, (2, clips))
    confidences = rng.choice([0.2, 0.4, 0.6], clips)
    proposals = [
        [[int(p) + 1, 5, 25, float(c)]] for p, c in zip(predictions, confidences, strict=True)
    ]
    truths = [[[int(label) + 1, 5, 25, 1]] for label in labels]

    official = evaluate(proposals, truths, threshold=0.5, num_classes=classes)

    given_clips = mean_average_precision_of_clips(labels, predictions, confidences, classes)
    assert given_clips == pytest.approx(official["mAP_action"], abs=1e-12)
