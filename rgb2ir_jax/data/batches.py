"""Which clips make up a batch, and the batch itself: pure functions of (seed, epoch, index).

Nothing here depends on the number of threads, worker processes or hosts, which is what makes runs
repeatable on other machines and resumable at any step.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from ml_collections import FrozenConfigDict

from rgb2ir_jax.data import sampling, transforms
from rgb2ir_jax.data.frame_cache import CachedClips
from rgb2ir_jax.data.source import CHANNELS, MODALITIES, ClipSource
from rgb2ir_jax.video.jpeg import decode_jpeg

PADDING_INDEX = -1

Batch = dict[str, np.ndarray]


class Selection(NamedTuple):
    """The clips of one batch: the epoch (from 0), and the clips' indices; padding has -1."""

    epoch: int
    indices: tuple[int, ...]


@functools.lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, num_clips: int) -> np.ndarray:
    """Returns an epoch's order of the clips: a permutation drawn from (seed, epoch)."""
    return np.random.default_rng((seed, epoch)).permutation(num_clips)


class TrainSelections:
    """The batches of a training run; each epoch has an order of its own and no remainder.

    Args:
        num_clips: Size of the split.
        batch_size: Clips a step over all processes.
        seed: The run's seed.
        num_epochs: Length of the run; None is endless.
        process_index: This process's number.
        process_count: Number of processes; each takes an equal part of every batch.
    """

    def __init__(
        self,
        num_clips: int,
        batch_size: int,
        seed: int,
        num_epochs: int | None,
        process_index: int,
        process_count: int,
    ):
        self.steps_per_epoch = num_clips // batch_size
        # Endless means 2**31 epochs: Grain wants a length.
        self._length = self.steps_per_epoch * (2**31 if num_epochs is None else num_epochs)
        self._num_clips, self._batch_size, self._seed = num_clips, batch_size, seed
        self._rows = _rows_of_process(batch_size, process_index, process_count)

    def __len__(self) -> int:
        """Returns the number of steps."""
        return self._length

    def __getitem__(self, step: int) -> Selection:
        """Returns the clips of a step."""
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch)
        order = epoch_order(self._seed, epoch, self._num_clips)
        start = step_in_epoch * self._batch_size
        return Selection(
            epoch, tuple(order[start + self._rows.start : start + self._rows.stop].tolist())
        )


class EvalSelections:
    """The batches of one pass in order, the last one padded, so that every clip comes exactly once.

    Args:
        num_clips: Size of the split.
        batch_size: Clips a step over all processes.
        process_index: This process's number.
        process_count: Number of processes; all make the same number of batches.
    """

    def __init__(self, num_clips: int, batch_size: int, process_index: int, process_count: int):
        self._num_clips, self._batch_size = num_clips, batch_size
        self._rows = _rows_of_process(batch_size, process_index, process_count)

    def __len__(self) -> int:
        """Returns the number of steps."""
        return -(-self._num_clips // self._batch_size)

    def __getitem__(self, step: int) -> Selection:
        """Returns the clips of a step."""
        start = step * self._batch_size
        indices = range(start + self._rows.start, start + self._rows.stop)
        return Selection(0, tuple(i if i < self._num_clips else PADDING_INDEX for i in indices))


def _rows_of_process(batch_size: int, process_index: int, process_count: int) -> range:
    if not 0 <= process_index < process_count:
        raise ValueError(
            f"process {process_index} of {process_count}; expected 0 to {process_count - 1}"
        )
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"a batch of {batch_size} clips for {process_count} processes; "
            f"expected a positive multiple of {process_count}"
        )
    rows = batch_size // process_count
    return range(process_index * rows, (process_index + 1) * rows)


class BatchLoader:
    """Reads, decodes and augments the clips of a batch.

    Args:
        source: The records of the split, or their cache of decoded frames.
        data: The checked `config.data`.
        modalities: Which of "rgb" and "ir" to decode.
        seed: The run's seed; None looks at each clip as in testing (segment centres, fixed crops).
        segments: Frames of a clip; None takes `data.segments`.
        crops: In testing, squares of each frame, see `transforms.crop_views`.
    """

    def __init__(
        self,
        source: ClipSource | CachedClips,
        data: FrozenConfigDict,
        modalities: tuple[str, ...],
        seed: int | None,
        *,
        segments: int | None = None,
        crops: int = 1,
    ):
        self._source = source
        self._segments = data.segments if segments is None else segments
        self._crops = crops
        self._resize, self._crop = data.resize, data.crop
        self._scales = tuple(map(float, data.train_scales))
        self._flip, self._reach = float(data.flip_probability), float(data.train_reach)
        self._strengths = {m: _strengths(data[f"{m}_jitter"]) for m in MODALITIES}
        self._modalities = modalities
        self._seed = seed

    def __call__(self, selection: Selection) -> Batch:
        """Returns `rgb` (B,T,H,W,3), `ir` (B,T,H,W,1), `label`, `mask` and `index` (B,).

        With several crops V, frames are (B,V,T,H,W,C).
        """
        size, side = len(selection.indices), self._crop
        views = (self._segments,) if self._crops == 1 else (self._crops, self._segments)
        batch: Batch = {
            modality: np.zeros((size, *views, side, side, CHANNELS[modality]), np.uint8)
            for modality in self._modalities
        }
        index = np.asarray(selection.indices, np.int32)
        label = np.zeros(size, np.int32)
        for row, clip in enumerate(selection.indices):
            if clip != PADDING_INDEX:
                record = self._source[clip]
                label[row] = record["label"]
                self._fill(
                    record, selection.epoch, clip, {m: batch[m][row] for m in self._modalities}
                )
        return {
            **batch,
            "label": label,
            "mask": (index != PADDING_INDEX).astype(np.float32),
            "index": index,
        }

    def _fill(
        self,
        record: dict[str, Any],
        epoch: int,
        clip: int,
        out: dict[str, UInt8[np.ndarray, "*view s s c"]],
    ) -> None:
        if self._seed is None:
            positions = sampling.center_positions(self._segments)
            for modality, frames in out.items():
                views = frames.reshape(self._crops, *frames.shape[-4:])
                for number, picture in enumerate(_pictures(record, modality, positions)):
                    views[:, number] = transforms.crop_views(
                        picture, self._resize, self._crop, self._crops
                    )
            return
        rng = np.random.default_rng((self._seed, epoch, clip))
        positions = sampling.random_positions(rng, self._segments)
        view = transforms.draw_view(rng, self._scales, self._flip, self._reach)
        # Both are drawn whichever is asked for: a student alone sees the very clips that a
        # distilled one does.
        jitters = {m: transforms.draw_jitter(rng, self._strengths[m]) for m in MODALITIES}
        for modality, frames in out.items():
            for frame, picture in zip(frames, _pictures(record, modality, positions), strict=True):
                frame[:] = transforms.apply_view(picture, view, self._crop)
            frames[:] = transforms.apply_jitter(frames, jitters[modality])


def _strengths(jitter: tuple[float | int, float | int]) -> tuple[float, float]:
    brightness, contrast = jitter
    return float(brightness), float(contrast)


def _pictures(record: dict[str, Any], modality: str, positions: np.ndarray) -> list[np.ndarray]:
    stored = record[modality]
    pictures: dict[int, np.ndarray] = {}
    indices = sampling.frame_indices(positions, len(stored)).tolist()
    for index in indices:
        if index not in pictures:
            frame = stored[index]
            pictures[index] = (
                decode_jpeg(frame, CHANNELS[modality]) if isinstance(frame, bytes) else frame
            )
    return [pictures[index] for index in indices]
