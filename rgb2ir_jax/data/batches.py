"""Which clips make up a batch, and the batch itself: pure functions of (seed, epoch, index).

Nothing here depends on the number of threads, worker processes or hosts, which is what makes runs
repeatable on other machines and resumable at any step.
"""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8
from ml_collections import FrozenConfigDict

from rgb2ir_jax.data import sampling, transforms
from rgb2ir_jax.data.augmentation import Augmentation, Draw
from rgb2ir_jax.data.flow import flow_channels, flow_stacks
from rgb2ir_jax.data.frame_cache import CachedClips
from rgb2ir_jax.data.source import ClipSource
from rgb2ir_jax.video.jpeg import decode_jpeg

PADDING_INDEX = -1

Batch = dict[str, np.ndarray]
Record = dict[str, Any]


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
        modalities: Which of the records' to decode.
        seed: The run's seed; None looks at each clip as in testing (segment centres, fixed crops).
        segments: Frames, or snippets, of a clip; None takes `data.segments`.
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
        self._augmentation = Augmentation.from_config(data)
        self._segments = data.segments if segments is None else segments
        # Refuses a number of frames that cannot be chosen before any clip is read.
        self._augmentation.sampling.centre(self._segments)
        self._frames = self._augmentation.sampling.frames(self._segments)
        self._crops = crops
        self._resize, self._crop = data.resize, data.crop
        self._modalities = modalities
        self._channels = {modality: source.modalities[modality] for modality in modalities}
        self._snippet = self._augmentation.sampling.snippet if data.get("flow", False) else 0
        self._seed = seed

    def __call__(self, selection: Selection) -> Batch:
        """Returns frames by modality, `rgb` (B,T,H,W,3), `ir` (B,T,H,W,1), and `label`, `mask`, `index` (B,).

        With several crops V, frames are (B,V,T,H,W,C). Of snippets, T counts the frames of all of them;
        where flow is asked for, T counts the snippets and C the flow's channels.
        """
        size = len(selection.indices)
        batch: Batch = {
            modality: np.zeros((size, *self._shape(*self._seen(channels))), np.uint8)
            for modality, channels in self._channels.items()
        }
        index = np.asarray(selection.indices, np.int32)
        label = np.zeros(size, np.int32)
        for row, clip in enumerate(selection.indices):
            if clip != PADDING_INDEX:
                record = self._source[clip]
                label[row] = record["label"]
                out = {modality: batch[modality][row] for modality in self._modalities}
                if self._snippet:
                    # After the crop and the flip, so that what moves to the left is to the left.
                    shown = self._read(selection.epoch, clip, record)
                    for modality, frames in shown.items():
                        out[modality][:] = flow_stacks(frames, self._snippet)
                else:
                    self._fill(selection.epoch, clip, record, out)
        return {
            **batch,
            "label": label,
            "mask": (index != PADDING_INDEX).astype(np.float32),
            "index": index,
        }

    def _seen(self, channels: int) -> tuple[int, int]:
        """Pictures of a clip in a batch, and their channels."""
        if self._snippet:
            return self._segments, flow_channels(self._snippet)
        return self._frames, channels

    def _shape(self, time: int, channels: int) -> tuple[int, ...]:
        views = () if self._crops == 1 else (self._crops,)
        return (*views, time, self._crop, self._crop, channels)

    def _read(self, epoch: int, clip: int, record: Record) -> dict[str, np.ndarray]:
        """The frames of a clip, whatever becomes of them."""
        out = {
            modality: np.zeros(self._shape(self._frames, channels), np.uint8)
            for modality, channels in self._channels.items()
        }
        self._fill(epoch, clip, record, out)
        return out

    def _fill(
        self,
        epoch: int,
        clip: int,
        record: Record,
        out: dict[str, UInt8[np.ndarray, "*view s s c"]],
    ) -> None:
        if self._seed is None:
            self._fill_as_tested(record, out)
        else:
            self.fill(record, self._augmentation.draw(self._seed, epoch, clip), out)

    def _fill_as_tested(
        self, record: Record, out: dict[str, UInt8[np.ndarray, "*view s s c"]]
    ) -> None:
        choose = self._augmentation.sampling.centre(self._segments)
        for modality, frames in out.items():
            views = frames.reshape(self._crops, *frames.shape[-4:])
            for number, picture in enumerate(self._pictures(record, modality, choose)):
                views[:, number] = transforms.crop_views(
                    picture, self._resize, self._crop, self._crops
                )

    def fill(
        self, record: Record, draw: Draw, out: dict[str, UInt8[np.ndarray, "time s s c"]]
    ) -> None:
        """Writes what was drawn for a training clip into an array of each modality."""
        shortest = min(len(record[modality]) for modality in out)
        for modality, frames in out.items():
            pictures = self._pictures(record, modality, draw.choose, shortest)
            for frame, picture in zip(frames, pictures, strict=True):
                frame[:] = transforms.apply_view(picture, draw.view, self._crop)
            # Brightness means something in the pair alone, not in depth or flow.
            if modality in draw.jitters:
                frames[:] = transforms.apply_jitter(frames, draw.jitters[modality])

    def _pictures(
        self,
        record: Record,
        modality: str,
        choose: sampling.FrameChoice,
        shortest: int | None = None,
    ) -> list[np.ndarray]:
        stored, channels = record[modality], self._channels[modality]
        pictures: dict[int, np.ndarray] = {}
        there = self._source.modalities
        indices = chosen_frames(record, modality, choose, there, shortest).tolist()
        for index in indices:
            if index not in pictures:
                frame = stored[index]
                pictures[index] = (
                    decode_jpeg(frame, channels) if isinstance(frame, bytes) else frame
                )
        return [pictures[index] for index in indices]


def chosen_frames(
    record: Record,
    modality: str,
    choose: sampling.FrameChoice,
    modalities: Iterable[str],
    shortest: int | None = None,
) -> Int64[np.ndarray, " frame"]:
    """Returns the indices of the frames that are read of a record.

    Args:
        record: Of a source.
        modality: Whose frames.
        choose: From their number to their indices.
        modalities: Of the source, for the error's text.
        shortest: Of the videos of the record that are read together, the least number of frames; see
            `sampling.FrameChoice`.

    Raises:
        ValueError: the record holds no frame of that modality.
    """
    count = len(record[modality])
    if not count:
        there = [m for m in modalities if len(record.get(m, ()))]
        raise ValueError(
            f"a record ({_name(record)}) holds no {modality} frame; it holds {', '.join(there) or 'none'}. "
            "Build the data set again, or name another modality"
        )
    return choose(count, shortest)


def _name(record: Record) -> str:
    name = record.get("sample_id", b"without a name")
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
