"""What OpenCV's `resize` of 8-bit pictures reads for each pixel, and with which weights: as tables.

For squares, as `data.transforms.resize` scales them. The arithmetic is that of OpenCV 4 and 5,
modules/imgproc/src/resize.cpp: growing (INTER_LINEAR) in fixed point with 11 bits, shrinking by a
whole number (INTER_AREA) in sums of pixels, any other shrinking in float32, with weights that are
worked out in double precision. `cutting` does it.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, Num

_SHARES = 2048
"""The fixed-point one of the weights of growing."""

LINEAR, SUM, AREA = 0, 1, 2


class Taps(NamedTuple):
    """Where an axis of the result reads an axis of the crop, and how much each place counts.

    Places beyond the last have weight 0 and are the crop's first.

    Attributes:
        places: Pixels from the crop's edge.
        weights: int32 of growing and of sums, else float32.
    """

    places: Int32[Array | np.ndarray, "*scale size tap"]
    weights: Num[Array | np.ndarray, "*scale size tap"]


class Axes(NamedTuple):
    """The taps of rows and of columns; they differ at the edges alone."""

    rows: Taps
    columns: Taps


class Scaling(NamedTuple):
    """How crops of some sides become squares of one size.

    Attributes:
        kind: Of each side: LINEAR, SUM or AREA.
        axes: By kind, stacked over all sides; those of other kinds are zeros.
        share: Of SUM: one over the number of summed pixels, float32.
        halves: Of SUM: whether sums of four are halved twice with halves rounded up, as OpenCV does
            unless pixels have two channels.
    """

    kind: Int32[Array | np.ndarray, " scale"]
    axes: dict[int, Axes]
    share: Float32[Array | np.ndarray, " scale"]
    halves: Bool[Array | np.ndarray, " scale"]


def make_scaling(sides: Sequence[int], size: int, channels: int) -> Scaling:
    """Returns the tables.

    Args:
        sides: Of the crops, in pixels.
        size: Of the result, in pixels.
        channels: Of the pictures.
    """
    kinds = [_kind(side, size) for side in sides]
    make: dict[int, Callable[[int, int], Axes]] = {LINEAR: _linear, SUM: _sum, AREA: _area}
    axes = {}
    for kind in sorted(set(kinds)):
        each = [
            make[kind](side, size) if found == kind else None
            for side, found in zip(sides, kinds, strict=True)
        ]
        axes[kind] = Axes(
            *(
                _stack([one and one[axis] for one in each], size)
                for axis in range(len(Axes._fields))
            )
        )
    ratios = np.array([side // size if side > size else 1 for side in sides])
    return Scaling(
        np.array(kinds, np.int32),
        axes,
        np.float32(1) / (ratios**2).astype(np.float32),
        (ratios == 2) & (channels != 2),
    )


def _kind(side: int, size: int) -> int:
    # A crop that fits already is grown by nothing, which its fixed-point weights leave as it is.
    if side <= size:
        return LINEAR
    return AREA if side % size else SUM


def _linear(side: int, size: int) -> Axes:
    """Two neighbours each. At the edges a column reads the outermost alone, a row reads it twice."""
    # Not side / size: OpenCV inverts the inverse.
    where = ((np.arange(size) + 0.5) * (1.0 / (size / side)) - 0.5).astype(np.float32)
    first = np.floor(where).astype(np.int32)
    part = where - first.astype(np.float32)
    outside = (first < 0) | (first >= side - 1)
    places = np.clip(np.stack([first, first + 1], axis=1), 0, side - 1).astype(np.int32)

    def weights(share: np.ndarray) -> np.ndarray:
        both = np.stack([np.float32(1) - share, share], axis=1)
        return np.rint(both * np.float32(_SHARES)).astype(np.int32)

    columns = Taps(places, weights(np.where(outside, np.float32(0), part)))
    return Axes(Taps(places, weights(part)), columns)


def _sum(side: int, size: int) -> Axes:
    """Each `side / size` pixels in a row, each once."""
    places = np.arange(side, dtype=np.int32).reshape(size, side // size)
    taps = Taps(places, np.ones_like(places))
    return Axes(taps, taps)


def _area(side: int, size: int) -> Axes:
    """The pixels that each of the result's covers, by the share of them that it covers."""
    scale = 1.0 / (size / side)
    each = [_covered(number * scale, scale, side) for number in range(size)]
    most = max(map(len, each))
    places, weights = np.zeros((size, most), np.int32), np.zeros((size, most), np.float32)
    for row, covered in enumerate(each):
        for column, (place, weight) in enumerate(covered):
            places[row, column], weights[row, column] = place, weight
    taps = Taps(places, weights)
    return Axes(taps, taps)


def _covered(start: float, scale: float, side: int) -> list[tuple[int, float]]:
    end, cell = start + scale, min(scale, side - start)
    last = min(math.floor(end), side - 1)
    first = min(math.ceil(start), last)
    covered = [(place, 1.0 / cell) for place in range(first, last)]
    # OpenCV leaves out what is covered by less than a thousandth.
    if first - start > 1e-3:
        covered.insert(0, (first - 1, (first - start) / cell))
    if end - last > 1e-3:
        covered.append((last, min(min(end - last, 1.0), cell) / cell))
    return covered


def _stack(each: Sequence[Taps | None], size: int) -> Taps:
    present = [taps for taps in each if taps is not None]
    most = max(taps.places.shape[1] for taps in present)
    stacked = [np.zeros((len(each), size, most), array.dtype) for array in present[0]]
    for number, taps in enumerate(each):
        for whole, part in zip(stacked, taps or (), strict=False):
            whole[number, :, : part.shape[1]] = part
    return Taps(*stacked)
