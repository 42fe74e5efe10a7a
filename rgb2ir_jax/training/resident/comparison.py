"""Crops that the host cuts as well, so that a run whose devices scale otherwise does not begin.

What OpenCV computes depends on its build and on the processor, and what becomes of float32 sums on
the compiler for the device; both are this run's own.
"""

from collections.abc import Iterator, Mapping

import jax
import numpy as np
from jaxtyping import Array
from ml_collections import FrozenConfigDict

from rgb2ir_jax.data.augmentation import Draw
from rgb2ir_jax.data.batches import Batch, BatchLoader
from rgb2ir_jax.data.choices import ChoiceLoader
from rgb2ir_jax.data.frame_cache import CachedClips
from rgb2ir_jax.data.sampling import Sampling
from rgb2ir_jax.data.transforms import View, apply_view, crop_box

_PROBES = 16
_PROBE_CROPS = 512
"""Frames, at least. What is not rounded as OpenCV does shows in few, of some sizes, and of some not at all."""


def make_probes(stacks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A few pictures of noise for each stack, (frame, height, width, channel): there rounding shows."""
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(0, 256, (_PROBES, *stack.shape[1:]), np.uint8)
        for name, stack in stacks.items()
    }


def comparisons(
    clips: CachedClips,
    data: FrozenConfigDict,
    probes: Mapping[str, np.ndarray],
    rows: int,
) -> Iterator[tuple[Batch, dict[str, np.ndarray]]]:
    """Yields batches for the device, in numbers, with the pictures that the host makes of them.

    Args:
        clips: The split.
        data: The checked `config.data`.
        probes: By modality; on the device they lie behind the frames of all clips.
        rows: Clips of a batch.
    """
    scales = tuple(map(float, data.train_scales))
    loader = BatchLoader(clips, data, tuple(probes), 0)
    chooser = ChoiceLoader(clips, data, tuple(probes), 0)
    sampling = Sampling.from_config(data)
    rng, choose, frames = np.random.default_rng(1), sampling.centre(), sampling.frames()
    shape = (rows, frames, data.crop, data.crop)
    first, checked = 0, 0
    while first < len(scales) or checked < _PROBE_CROPS:
        views = [
            View(scales[number % len(scales)], rng.random(), rng.random(), number % 2 > 0)
            for number in range(first, first + rows)
        ]
        draws = [Draw(choose, view, {}) for view in views]
        chosen = [number * len(clips) // (first + rows) for number in range(first, first + rows)]
        expected = {name: np.zeros((*shape, p.shape[3]), np.uint8) for name, p in probes.items()}
        for row, (clip, draw) in enumerate(zip(chosen, draws, strict=True)):
            loader.fill(clips[clip], draw, {name: out[row] for name, out in expected.items()})
        choice = chooser.describe(chosen, draws)
        yield choice, expected

        noise = dict(choice)
        for name, pictures in probes.items():
            numbers = rng.integers(0, _PROBES, (rows, frames), np.int32)
            noise[f"{name}_frames"] = numbers + len(clips.file(name).together())
            noise[f"{name}_corner"] = np.array(
                [crop_box(view, *pictures.shape[1:3])[:2] for view in views], np.int32
            )
            for row, view in enumerate(views):
                for frame, number in enumerate(numbers[row]):
                    expected[name][row, frame] = apply_view(pictures[number], view, data.crop)
        yield noise, expected
        first, checked = first + rows, checked + rows * frames


def check_equal(name: str, found: Array, expected: np.ndarray) -> None:
    """Compares what this process's devices hold of a batch.

    Args:
        name: Of the modality.
        found: The clips of all processes.
        expected: Those of this one.

    Raises:
        ValueError: they differ.
    """
    first = jax.process_index() * len(expected)
    for shard in found.addressable_shards:
        start = (shard.index[0].start or 0) - first
        part = expected[start : start + shard.data.shape[0]]
        differing = int(np.count_nonzero(np.asarray(shard.data) != part))
        if differing:
            raise ValueError(
                f"config.data.on_device is True, but {differing} of {part.size} {name} values that "
                f"{shard.device} cut out differ from the host's: OpenCV on this machine and the device "
                "do not compute the same. Leave the frames on the host: --config.data.on_device=False"
            )
