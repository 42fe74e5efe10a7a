"""From the class scores of a long video's moments to detected actions.

The networks are classifiers of trimmed clips and have no class for "nothing happens". What is no
action is told by their doubt: where the largest class probability stays below a threshold, nothing
is detected. Neighbouring moments of one class make one action, as in Zhao et al., "Temporal action
detection with structured segment networks", ICCV 2017, section 5 (grouping of scores by a
threshold), here with the classifier's own scores in place of a trained "actionness".
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float

from rgb2ir_jax.evaluation.pku_detection import segment_overlap

Item = TypeVar("Item")


class Proposal(NamedTuple):
    """A detected action.

    Attributes:
        label: Class, from 0.
        start: First frame, from 0.
        end: Last frame, itself part of the action.
        confidence: Mean probability of the class over the action's moments.
    """

    label: int
    start: int
    end: int
    confidence: float


def sliding_windows(
    items: Iterable[Item], length: int, picks: Sequence[int]
) -> Iterator[tuple[Item, ...]]:
    """The surroundings of each item: of the `length` items around it those at the places `picks`.

    Before the first and after the last item, these are repeated. At most `length` items are held.

    Args:
        items: For instance the pictures of a video's moments, in order.
        length: Items of a window; of an even number, one more lies before the middle than after.
        picks: Places in the window, each from 0 to `length` - 1.

    Yields:
        One window an item, in the items' order.
    """
    ahead = (length - 1) // 2
    window: deque[Item] = deque(maxlen=length)
    for item in items:
        if not window:
            window.extend([item] * (length - 1 - ahead))
        window.append(item)
        if len(window) == length:
            yield tuple(window[place] for place in picks)
    if not window:
        return
    last = window[-1]
    for _ in range(ahead):
        window.append(last)
        if len(window) == length:
            yield tuple(window[place] for place in picks)


class Grouping:
    """Joins neighbouring moments of one class, as they come.

    Args:
        stride: Frames of a moment.
        background: A moment whose largest probability is below it is background.
    """

    def __init__(self, stride: int, background: float):
        self._stride, self._background = stride, background
        self._moment = 0
        self._label = -1
        self._first = 0
        self._sure: list[float] = []
        self.proposals: list[Proposal] = []

    def push(self, probabilities: Float[np.ndarray, " classes"]) -> None:
        """Takes the class probabilities of the next moment."""
        label = int(np.argmax(probabilities))
        confidence = float(probabilities[label])
        if confidence < self._background:
            label = -1
        if label != self._label:
            self._close()
            self._label, self._first = label, self._moment
        if label >= 0:
            self._sure.append(confidence)
        self._moment += 1

    def finish(self, num_frames: int) -> list[Proposal]:
        """All actions of a video of so many frames; the last moment's may be fewer or more."""
        self._close()
        self._label = -1
        if self.proposals and self.proposals[-1].end >= (self._moment * self._stride) - 1:
            self.proposals[-1] = self.proposals[-1]._replace(end=num_frames - 1)
        return self.proposals

    def _close(self) -> None:
        if self._label >= 0:
            start, end = self._first * self._stride, self._moment * self._stride - 1
            confidence = float(np.mean(self._sure))
            self.proposals.append(Proposal(self._label, start, end, confidence))
        self._sure = []


def suppress(proposals: Iterable[Proposal], most_overlap: float) -> list[Proposal]:
    """Drops what overlaps a more confident proposal of the same class by more than `most_overlap`.

    Greedy non-maximum suppression; of equally confident ones the earlier stays. The overlap is that
    of `pku_detection`, of segments that include their last frame.

    Returns:
        The rest, by time.
    """
    kept: list[Proposal] = []
    for proposal in sorted(proposals, key=lambda p: (-p.confidence, p.start, p.end, p.label)):
        rivals = [other for other in kept if other.label == proposal.label]
        overlaps = segment_overlap(
            float(proposal.start),
            float(proposal.end + 1),
            np.array([other.start for other in rivals], np.float64),
            np.array([other.end + 1 for other in rivals], np.float64),
        )
        if not np.any(overlaps > most_overlap):
            kept.append(proposal)
    return sorted(kept, key=lambda p: (p.start, p.end, p.label))


def probabilities(
    logits: Float[np.ndarray, "window classes"],
) -> Float[np.ndarray, " classes"]:
    """The softmax of the logits' mean over a window, in float64."""
    mean = np.mean(logits, axis=0, dtype=np.float64)
    shares = np.exp(mean - mean.max())
    return shares / shares.sum()
