"""PKU-MMD's official measures of temporal detection.

Liu et al., "PKU-MMD: A Large Scale Benchmark for Continuous Multi-Modal Human Action
Understanding", arXiv:1703.07475, section 4, as the owners' code (ECHO960/PKU-MMD, evaluate.py)
computes them. It is neither VOC's average precision nor scikit-learn's.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

NUM_CLASSES = 51
# Multiplied as the owners do: 0.15000000000000002 refuses an overlap of exactly 0.15.
AP2D_THRESHOLDS: tuple[float, ...] = tuple((step + 1) * 0.05 for step in range(20))

Row = Sequence[float | int]


class _Rows(NamedTuple):
    """Segments of all videos, one a row, in the videos' order."""

    video: Int[np.ndarray, " row"]
    label: Int[np.ndarray, " row"]
    start: Float[np.ndarray, " row"]
    end: Float[np.ndarray, " row"]
    confidence: Float[np.ndarray, " row"]


class _Match(NamedTuple):
    """The ground truth that each proposal overlaps most; -1 where its video has none of its class."""

    truth: Int[np.ndarray, " proposal"]
    overlap: Float[np.ndarray, " proposal"]


def evaluate(
    proposals: Sequence[Sequence[Row]],
    ground_truth: Sequence[Sequence[Row]],
    *,
    threshold: float = 0.5,
    num_classes: int = NUM_CLASSES,
) -> dict[str, Any]:
    """Judges detected segments by labelled ones.

    Two segments of one class and video overlap by (min end - max start) / (max end - min start),
    without the usual +1; others by 0. Each proposal belongs to the ground truth that it overlaps
    most (the later one of equals) if that is at least `threshold`; several proposals may belong to
    one. A ground truth is found while a proposal belongs to it. With P = found / proposals and
    R = found / ground truths, proposals are removed one by one, the least confident first, equal
    ones in their order; whenever one that belongs to a ground truth goes, P and R are taken anew and
    AP grows by (largest P so far) * (fall of R).

    Rows are taken as they come. The owners' formula gives a segment that starts after its end no
    overlap with one that does not, so that whoever reads label files with swapped ends has to put
    them right before. Two segments without any extent do not overlap, where the owners' code divides
    by zero.

    Args:
        proposals: For each video its rows [class, start, end, confidence], class from 1, start and
            end in any one unit of time. An empty list stands for videos without any proposal.
        ground_truth: For each video its rows in the same form; their last number is not used.
        threshold: Least overlap of a detection that counts, in (0, 1].
        num_classes: Number of classes; PKU-MMD has 51.

    Returns:
        `F1` of found ground truths, 2PR / (P + R), or 0 where nothing was found; `AP` of all classes
        and videos in one list; `mAP_action`, the mean of the classes' AP over all `num_classes`
        (0 for a class without ground truth); `mAP_video`, the mean of the videos' AP; `AP2D`, the
        mean of AP over the thresholds 0.05, 0.10, ..., 1.00; `per_class`, the AP of each class that
        occurs in either list, by its number.

    Raises:
        ValueError: there is no video, the lists' lengths differ, or a row or the threshold makes no
            sense.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"The threshold is {threshold!r}; expected more than 0 and at most 1.")
    if not ground_truth:
        raise ValueError("There is no video to judge: the list of ground truth is empty.")
    if len(proposals) == 0:
        proposals = [[] for _ in ground_truth]
    if len(proposals) != len(ground_truth):
        raise ValueError(
            f"Found proposals of {len(proposals)} videos and ground truth of {len(ground_truth)}; "
            "expected one list for each video in both, empty where there is nothing."
        )
    found = _rows(proposals, "proposal", num_classes)
    truth = _rows(ground_truth, "ground truth", num_classes)
    match = _match(found, truth)
    # In the owners' lists classes follow each other, within them videos: the order of equal
    # confidences.
    pooled = np.argsort(found.label, kind="stable")
    classes = {
        int(number): _average_precision(
            found,
            match,
            np.flatnonzero(found.label == number),
            np.sum(truth.label == number),
            threshold,
        )
        for number in np.union1d(found.label, truth.label)
    }
    videos = [
        _average_precision(found, match, np.flatnonzero(found.video == video), len(rows), threshold)
        for video, rows in enumerate(ground_truth)
    ]
    total = len(truth.label)
    return {
        "F1": _f1(match, total, threshold),
        "AP": _average_precision(found, match, pooled, total, threshold),
        "mAP_action": sum(classes.values()) / num_classes,
        "mAP_video": sum(videos) / len(videos),
        "AP2D": sum(
            _average_precision(found, match, pooled, total, level) for level in AP2D_THRESHOLDS
        )
        / len(AP2D_THRESHOLDS),
        "per_class": classes,
    }


def mean_average_precision_of_clips(
    labels: Int[np.ndarray, " clip"],
    predictions: Int[np.ndarray, " clip"],
    confidences: Float[np.ndarray, " clip"],
    num_classes: int,
) -> float:
    """`mAP_action` of trimmed clips: the labelled segments are the proposals.

    What `evaluate` gives when each clip is a video of its own, with one labelled segment and that
    same segment as the only proposal: overlaps are 0 or 1, so that the threshold does not matter.

    Args:
        labels: Class numbers from 0.
        predictions: The classes given to the clips.
        confidences: How sure each prediction is.
        num_classes: Over so many classes the mean is taken; one without clips counts 0.
    """
    clips, ones = np.arange(len(labels)), np.ones(len(labels))
    found = _Rows(clips, predictions, 0 * ones, ones, confidences)
    match = _Match(np.where(predictions == labels, clips, -1), ones)
    precisions = [
        _average_precision(
            found, match, np.flatnonzero(predictions == name), np.sum(labels == name), 1.0
        )
        for name in range(num_classes)
    ]
    return sum(precisions) / num_classes


def _rows(videos: Sequence[Sequence[Row]], what: str, num_classes: int) -> _Rows:
    for number, video in enumerate(videos):
        for row in video:
            _check(row, f"a {what} of video {number}", num_classes)
    table = np.array([row for video in videos for row in video], np.float64).reshape(-1, 4)
    lengths = [len(video) for video in videos]
    return _Rows(
        np.repeat(np.arange(len(videos)), lengths), table[:, 0].astype(np.int64), *table[:, 1:].T
    )


def _check(row: Row, what: str, num_classes: int) -> None:
    if len(row) != 4 or not all(math.isfinite(value) for value in row):
        raise ValueError(
            f"Found {list(row)} as {what}; expected four finite numbers: class, start, end, confidence."
        )
    if row[0] != int(row[0]) or not 1 <= row[0] <= num_classes:
        raise ValueError(
            f"Found class {row[0]} in {what}; expected a whole number from 1 to {num_classes}."
        )


def _match(found: _Rows, truth: _Rows) -> _Match:
    best = _Match(np.full(len(found.label), -1), np.zeros(len(found.label)))
    keys = list(zip(truth.video.tolist(), truth.label.tolist(), strict=True))
    groups: dict[tuple[int, int], list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)
    for row, key in enumerate(zip(found.video.tolist(), found.label.tolist(), strict=True)):
        if key not in groups:
            continue
        candidates = np.array(groups[key])
        overlaps = segment_overlap(
            found.start[row], found.end[row], truth.start[candidates], truth.end[candidates]
        )
        last_best = len(candidates) - 1 - int(np.argmax(overlaps[::-1]))
        best.truth[row], best.overlap[row] = candidates[last_best], overlaps[last_best]
    return best


def segment_overlap(
    start: float | np.floating,
    end: float | np.floating,
    starts: Float[np.ndarray, " segment"],
    ends: Float[np.ndarray, " segment"],
) -> Float[np.ndarray, " segment"]:
    """The owners' overlap of one segment with several, (min end - max start) / (max end - min start).

    Negative where two segments lie apart, 0 where both together have no extent.
    """
    inner = np.minimum(end, ends) - np.maximum(start, starts)
    outer = np.maximum(end, ends) - np.minimum(start, starts)
    return np.divide(inner, outer, out=np.zeros_like(inner), where=outer != 0)


def _f1(match: _Match, truths: int, threshold: float) -> float:
    found = len(np.unique(match.truth[_belongs(match, threshold)]))
    if not found:
        return 0.0
    precision, recall = found / len(match.truth), found / truths
    return 2 * precision * recall / (precision + recall)


def _belongs(match: _Match, threshold: float) -> np.ndarray:
    return (match.truth >= 0) & (match.overlap >= threshold)


def _average_precision(
    found: _Rows,
    match: _Match,
    rows: Int[np.ndarray, " chosen"],
    truths: int | np.integer,
    threshold: float,
) -> float:
    """AP of some of the proposals, of which equally confident ones go in the order of `rows`."""
    if not len(rows) or not truths:
        return 0.0
    rows = rows[np.argsort(found.confidence[rows], kind="stable")]
    belongs = _belongs(match, threshold)[rows]
    if not belongs.any():
        return 0.0
    # A ground truth is lost with the last, most confident proposal that belongs to it.
    order = np.flatnonzero(belongs)
    _, last = np.unique(match.truth[rows][order][::-1], return_index=True)
    is_last = np.zeros(len(order), np.int64)
    is_last[len(order) - 1 - last] = 1
    left = len(last) - np.concatenate([[0], np.cumsum(is_last)])
    proposals = len(rows) - np.concatenate([[0], order + 1])
    precision = left / np.maximum(proposals, 1)
    recall = left / truths
    highest = np.maximum.accumulate(precision)
    # Added one by one, as the owners do: the last digit is theirs too.
    return float(sum((highest[1:] * (recall[:-1] - recall[1:])).tolist()))
