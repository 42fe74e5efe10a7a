"""Clips as a network sees them: test frames, and a training view with its crop."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8
from ml_collections import ConfigDict, FrozenConfigDict

from rgb2ir_jax.data import sampling, transforms
from rgb2ir_jax.data.batches import BatchLoader, Selection
from rgb2ir_jax.data.source import ClipSource
from rgb2ir_jax.models.enhancement.stage import Enhancement
from rgb2ir_jax.reporting.data_sets.statistics import ClipFacts, DataStatistics
from rgb2ir_jax.video.jpeg import decode_jpeg


class Box(NamedTuple):
    """A square part of a picture, in pixels of the picture."""

    left: float
    top: float
    side: float


class Strip(NamedTuple):
    """One modality of a sample.

    Attributes:
        test: What the network sees in testing.
        shown: The numbers of these frames in the clip.
        full: The frame that the training view shows at `train_frame`, as it is stored.
        full_index: Its number in the clip.
        test_box: The part of it that testing would cut out.
        train_box: The part of it that training cuts out.
        train: What training makes of it: cut, scaled, perhaps mirrored and brightened.
        enhanced: What enhancements make of `test`, by what they are.
    """

    test: UInt8[np.ndarray, "time side side channel"]
    shown: Int64[np.ndarray, " time"]
    full: UInt8[np.ndarray, "height width channel"]
    full_index: int
    test_box: Box
    train_box: Box
    train: UInt8[np.ndarray, "side side channel"]
    enhanced: Mapping[str, UInt8[np.ndarray, "time side side channel"]] = MappingProxyType({})


class ClassSample(NamedTuple):
    """A clip of a class; its strips by modality, and whether its training view is mirrored."""

    clip: ClipFacts
    strips: dict[str, Strip]
    flip: bool


def choose_clips(statistics: DataStatistics, seed: int) -> list[ClipFacts]:
    """Draws a clip of each class, from the first split that has one; classes without clips are left out.

    Args:
        statistics: The clips to choose from.
        seed: Another one shows other clips.

    Returns:
        The clips in the order of the labels.
    """
    chosen = []
    for label, clips in enumerate(statistics.clips_of_class):
        candidates = [clip for clip in clips if clip.split == clips[0].split]
        if candidates:
            rng = np.random.default_rng((seed, label))
            chosen.append(candidates[int(rng.integers(len(candidates)))])
    return chosen


def look_at_clip(
    source: ClipSource,
    clip: ClipFacts,
    data: ConfigDict,
    seed: int,
    enhancements: Sequence[tuple[str, Enhancement]] = (),
) -> ClassSample:
    """Prepares a clip by the code that prepares batches.

    Args:
        source: The clip's split.
        clip: Which one.
        data: `config.data`, checked.
        seed: The run's seed: the training view is the first epoch's.
        enhancements: A modality and what is to be shown of it, once as it is and once enhanced.

    Returns:
        Its frames.

    Raises:
        ValueError: a frame cannot be decoded.
    """
    frozen, chosen = FrozenConfigDict(data), Selection(0, (clip.number,))
    modalities = tuple(source.modalities)
    test = BatchLoader(source, frozen, modalities, None)(chosen)
    train = BatchLoader(source, frozen, modalities, seed)(chosen)
    # The loader's own draws again, for what it does not return: which frame, and which part of it.
    rng = np.random.default_rng((seed, 0, clip.number))
    choice = sampling.Sampling.from_config(data)
    choose = choice.draw(rng)
    view = transforms.draw_view(
        rng,
        tuple(map(float, data.train_scales)),
        float(data.flip_probability),
        float(data.train_reach),
    )
    record, middle = source[clip.number], data.segments // 2
    shortest = min(len(record[modality]) for modality in modalities)
    strips = {}
    for modality in modalities:
        jpegs = record[modality]
        full_index = int(choose(len(jpegs), shortest)[middle])
        full = decode_jpeg(jpegs[full_index], source.modalities[modality])
        height, width = full.shape[:2]
        strips[modality] = Strip(
            test=test[modality][0],
            shown=choice.centre()(len(jpegs)),
            full=full,
            full_index=full_index,
            test_box=center_box(height, width, data.resize, data.crop),
            train_box=view_box(height, width, view),
            train=train[modality][0, middle],
            enhanced={
                str(enhancement): enhancement.pictures(test[modality][0])
                for seen, enhancement in enhancements
                if seen == modality
            },
        )
    return ClassSample(clip, strips, view.flip)


def view_box(height: int, width: int, view: transforms.View) -> Box:
    """The part of a picture that `transforms.apply_view` cuts out."""
    side = max(1, round(min(height, width) * view.scale))
    return Box(round((width - side) * view.left), round((height - side) * view.top), side)


def center_box(height: int, width: int, short_side: int, size: int) -> Box:
    """The part of a picture that `transforms.center_crop` shows, up to the rounding of its scaling."""
    side = min(height, width) * size / short_side
    return Box((width - side) / 2, (height - side) / 2, side)
