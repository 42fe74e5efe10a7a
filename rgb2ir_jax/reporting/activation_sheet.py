"""Where networks look: each stage's mean absolute activation over the frame that the network saw."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rgb2ir_jax.reporting.picture_sheet import SIDE, Block, as_colour, picture_sheet

_HEAT = 0.6


class Looking(NamedTuple):
    """What a network saw and how strongly each place of it made the network's stages respond.

    Attributes:
        heading: the network's name.
        frames: one of each clip, 8 bits, of one or three channels.
        maps: by stage, from shallow to deep: activations averaged over channels, at least 0.
        scores: softmax over the classes.
    """

    heading: str
    frames: UInt8[np.ndarray, "clip side side channel"]
    maps: Mapping[str, Float[np.ndarray, "clip _height _width"]]
    scores: Float[np.ndarray, "clip classes"]


def activation_sheet(
    networks: Sequence[Looking],
    labels: Sequence[int],
    class_names: Sequence[str],
    *,
    title: str,
) -> UInt8[np.ndarray, "height width 3"]:
    """Draws networks beside each other, a row a clip: the frame, and each stage's map over it.

    Args:
        networks: at least one, all for the same clips.
        labels: the clips' classes.
        class_names: one a class.
        title: above all.

    Returns:
        RGB pixels.
    """
    blocks = []
    for network in networks:
        frames = as_colour(network.frames)
        columns = [frames, *(_over(frames, maps) for maps in network.maps.values())]
        sized = [np.stack([_scale(picture) for picture in column]) for column in columns]
        sizes = [f"{name}, {m.shape[1]}x{m.shape[2]}" for name, m in network.maps.items()]
        notes = [
            f"says {class_names[int(np.argmax(scores))]}, {scores.max():.0%}"
            for scores in network.scores
        ]
        blocks.append(Block(network.heading, ["frame", *sizes], np.stack(sized, axis=1), notes))
    caption = (
        "The middle frame of fixed test clips, and over it the mean absolute activation of each residual "
        "stage, dark where it is least and bright where it is greatest; every picture has its own scale."
    )
    return picture_sheet(
        blocks, [class_names[label] for label in labels], title=title, caption=caption
    )


def heat(
    activation: Float[np.ndarray, "height width"], side: int
) -> UInt8[np.ndarray, "side side 3"]:
    """A map stretched to a square, from its least value (black) to its greatest (pale yellow).

    A map that is the same everywhere is black.
    """
    low, high = float(activation.min()), float(activation.max())
    spread = high - low
    # Below float32's precision there is nothing but rounding to see.
    share = (activation - low) / spread if spread > 1e-6 * max(high, 1e-30) else 0 * activation
    large = cv2.resize(share.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    import matplotlib as mpl

    coloured = mpl.colormaps["inferno"](np.clip(large, 0.0, 1.0))
    return np.rint(255 * coloured[..., :3]).astype(np.uint8)


def _over(
    frames: UInt8[np.ndarray, "clip side side 3"],
    maps: Float[np.ndarray, "clip height width"],
) -> UInt8[np.ndarray, "clip shown shown 3"]:
    pictures = []
    for frame, activation in zip(frames, maps, strict=True):
        # Of the frame, only the light: colours are the map's.
        grey = _scale(frame).mean(axis=-1, keepdims=True)
        mixed = (1 - _HEAT) * grey + _HEAT * heat(activation, SIDE)
        pictures.append(np.rint(mixed).astype(np.uint8))
    return np.stack(pictures)


def _scale(picture: UInt8[np.ndarray, "side side 3"]) -> UInt8[np.ndarray, "shown shown 3"]:
    shrinks = picture.shape[0] > SIDE
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(picture, (SIDE, SIDE), interpolation=interpolation)
