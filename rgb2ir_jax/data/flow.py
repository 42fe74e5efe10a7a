"""Optical flow between the frames of a snippet, as pictures of 8 bits.

Simonyan and Zisserman, "Two-stream convolutional networks for action recognition in videos", NIPS 2014,
section 3.1: the flow of n pairs of frames in a row, stacked as 2n channels. Stored as TSN stores it (Wang
et al., ECCV 2016, and its authors' dense_flow): clipped at 20 pixels, and a byte for each component. TSN
computes TV-L1, which is not in OpenCV's main modules; this is their dense inverse search (Kroeger et al.,
ECCV 2016) with its usual settings.
"""

import itertools

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

BOUND = 20.0
"""Pixels a frame that a byte can tell."""
SMALLEST_SIDE = 12
"""Of pictures, in pixels: OpenCV's search takes no smaller ones."""


def flow_channels(snippet: int) -> int:
    """Channels of the flow of a snippet of so many frames."""
    return 2 * (snippet - 1)


def flow_stacks(
    frames: UInt8[np.ndarray, "*view frame side side _channel"], snippet: int
) -> UInt8[np.ndarray, "*view segment side side _stacked"]:
    """Returns the flow from each frame of a snippet to the next one.

    Args:
        frames: Pixels, 0-255, of one channel or three (RGB); the snippets of a clip one after the other.
        snippet: Frames of each, at least 2.

    Returns:
        For each snippet u and v of the first pair, u and v of the second, and so on: rightwards and
        downwards are positive, 128 is stillness, see `quantise`.

    Raises:
        ValueError: the pictures are too small, or have neither one channel nor three.
    """
    *views, count, side, _, channels = frames.shape
    if side < SMALLEST_SIDE or channels not in (1, 3):
        raise ValueError(
            f"optical flow of {side} x {side} pixels of {channels} channels; expected at least "
            f"{SMALLEST_SIDE} x {SMALLEST_SIDE}, and one channel or three"
        )
    clips = frames.reshape(-1, count // snippet, snippet, side, side, channels)
    stacks = np.zeros((*clips.shape[:2], side, side, flow_channels(snippet)), np.uint8)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    for clip, stacked in zip(clips, stacks, strict=True):
        for pictures, stack in zip(clip, stacked, strict=True):
            grey = [_grey(picture) for picture in pictures]
            for pair, (before, after) in enumerate(itertools.pairwise(grey)):
                # OpenCV's stubs do not know that there may be no flow to begin with.
                moved = search.calc(before, after, None)  # type: ignore[call-overload]
                stack[..., 2 * pair : 2 * pair + 2] = quantise(moved)
    return stacks.reshape(*views, count // snippet, side, side, flow_channels(snippet))


def quantise(flow: Float32[np.ndarray, "h w 2"]) -> UInt8[np.ndarray, "h w 2"]:
    """Returns flow in pixels as bytes: -20 and less is 0, no motion 128, 20 and more 255."""
    share = (np.clip(flow, -BOUND, BOUND) + BOUND) / (2 * BOUND)
    return np.rint(255 * share).astype(np.uint8)


def _grey(picture: UInt8[np.ndarray, "h w _c"]) -> UInt8[np.ndarray, "h w"]:
    if picture.shape[2] == 3:
        return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.ascontiguousarray(picture[..., 0])
