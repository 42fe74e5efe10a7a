"""Batches in time: Grain's threads and processes around pure functions, from any step on."""

import contextlib
import gc
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import grain
import numpy as np
from absl import flags
from grain.multiprocessing import SharedMemoryArray
from ml_collections import ConfigDict, FrozenConfigDict

from rgb2ir_jax.data.batches import Batch, BatchLoader, EvalSelections, TrainSelections
from rgb2ir_jax.data.choices import ChoiceLoader
from rgb2ir_jax.data.frame_cache import cached_split
from rgb2ir_jax.data.settings import validate
from rgb2ir_jax.data.source import check_modalities, open_split
from rgb2ir_jax.data.transforms import CROP_COUNTS
from rgb2ir_jax.data.worker import close_at_exit, live_with_parent
from rgb2ir_jax.video.pool import hidden_main_module


class TrainIterator(grain.DatasetIterator[Batch]):
    """Training batches from any step on. Made by `train_iterator`.

    Its state is the step and what the steps mean, never the number of threads or workers: a run may
    go on with others. Grain's Orbax handlers (`grain.checkpoint.CheckpointSave`) save and restore
    it.

    Attributes:
        steps_per_epoch: Batches an epoch.
        num_clips: Clips of the split.
    """

    def __init__(
        self,
        batches: grain.MapDataset[Batch],
        selections: TrainSelections,
        data: Any,
        meaning: dict[str, Any],
    ):
        super().__init__()
        self._batches = batches
        self._data = data
        self._meaning = meaning
        self._step = 0
        self._running: Generator[Batch, None, None] | None = None
        self.steps_per_epoch = selections.steps_per_epoch
        self.num_clips = meaning["num_clips"]

    @property
    def step(self) -> int:
        """Number of the next batch, counted from 0 over all epochs."""
        return self._step

    def __next__(self) -> Batch:
        """Returns the next batch.

        Raises:
            StopIteration: the last epoch is over.
            ValueError: the iterator was closed.
        """
        if self._closed:
            raise ValueError("the iterator was closed")
        if self._step >= len(self._batches):
            raise StopIteration
        if self._running is None:
            self._running = _run(self._batches, self._data, self._step)
        batch = next(self._running)
        self._step += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """Returns the position, fit for JSON."""
        return {"step": self._step, **self._meaning}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues at a saved position.

        Raises:
            ValueError: the state was saved by a run with other clips, batches or seed.
        """
        saved = {key: value for key, value in state.items() if key != "step"}
        if saved != self._meaning:
            differing = [
                f"{key}: {saved.get(key)!r} was saved, now {self._meaning.get(key)!r}"
                for key in sorted({*saved, *self._meaning})
                if saved.get(key) != self._meaning.get(key)
            ]
            raise ValueError(
                "The saved position in the data belongs to another run ("
                + "; ".join(differing)
                + "). "
                "Continue with the same settings, or start in a new work directory."
            )
        self._stop()
        self._step = int(state["step"])

    def start_prefetch(self) -> None:
        """Does nothing: the first batch starts threads and workers."""

    def _stop(self) -> None:
        if self._running is not None:
            self._running.close()
            self._running = None

    def close(self) -> None:
        """Ends threads and worker processes."""
        self._closed = True
        self._stop()

    def __enter__(self) -> "TrainIterator":
        """Returns itself; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()


class EvalBatches:
    """One pass over a split, as often as it is iterated over. Made by `eval_batches`.

    Attributes:
        num_clips: Clips of the split.
    """

    def __init__(self, batches: grain.MapDataset[Batch], num_clips: int, data: Any):
        self._batches = batches
        self._data = data
        self.num_clips = num_clips

    def __len__(self) -> int:
        """Returns the number of batches."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        """Yields the batches in the clips' order; ends its threads and workers when left."""
        return _run(self._batches, self._data, 0)


def _run(batches: grain.MapDataset[Batch], data: Any, step: int) -> Generator[Batch, None, None]:
    if data.workers and not flags.FLAGS.is_parsed():
        # Grain hands its flags to the workers; in a notebook or test nobody has parsed any.
        flags.FLAGS.mark_as_parsed()
    ahead = max(data.prefetch, data.threads) if data.threads else 0
    dataset = batches[step:].to_iter_dataset(
        grain.ReadOptions(num_threads=data.threads, prefetch_buffer_size=ahead)
    )
    if data.workers:
        dataset = dataset.mp_prefetch(
            grain.MultiprocessingOptions(
                num_workers=data.workers, per_worker_buffer_size=data.prefetch
            ),
            worker_init_fn=live_with_parent,
        )
    running = iter(dataset)
    if data.workers:
        close_at_exit(running)
    try:
        for number in itertools.count():
            # Each of the first batches starts a worker.
            with hidden_main_module() if number < data.workers else contextlib.nullcontext():
                batch = next(running, None)
            if batch is None:
                return
            if data.workers:
                # Shared memory must not outlive the pipeline: Python warns of what is left of it at
                # exit.
                batch = {key: np.array(array) for key, array in batch.items()}
            yield batch
    finally:
        running.close()
        del running, dataset
        # Grain 0.2.18 leaves the last batch, which can be large, in a reference cycle.
        if data.workers:
            _free_shared_memory()
        else:
            gc.collect(1)


def _free_shared_memory() -> None:
    # Grain frees shared memory in a thread of its own. Where the process ends before that, Python's
    # resource tracker complains of leaked objects.
    gc.collect()
    pool = getattr(SharedMemoryArray, "_del_thread_pool", None)
    if pool is not None:
        pool.apply(
            int
        )  # the pool is a queue of one thread: this comes back when all before it is done


def train_iterator(
    data: ConfigDict,
    seed: int,
    batch_size: int,
    modalities: Sequence[str],
    *,
    num_epochs: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> TrainIterator:
    """Returns the training batches: random segments, crops and flips, reshuffled each epoch.

    A batch is {"rgb": uint8 (B,T,H,W,3), "ir": uint8 (B,T,H,W,1), "label": int32 (B,), "mask":
    float32 (B,) of ones, "index": int32 (B,)}, with the asked-for modalities (of the records' own
    channels) only, and is a pure function of the seed and the step.

    Args:
        data: `config.data`, see `settings.validate`.
        seed: `config.seed`.
        batch_size: Clips a step over all processes.
        modalities: Some of those that the records hold, such as ("rgb", "ir").
        num_epochs: Length; None is endless. An epoch's last `num_clips % batch_size` clips are left
            out.
        process_index: This process's number (`jax.process_index()`).
        process_count: Number of processes; each gets `batch_size / process_count` clips of every
            batch.

    Returns:
        An iterator that is to be closed, with `get_state` and `set_state`.

    Raises:
        ValueError: a field is missing or out of range, the data set is not there, or smaller than a
            batch.
    """
    place = (process_index, process_count)
    return _training(BatchLoader, data, seed, batch_size, modalities, num_epochs, *place)


def train_choices(
    data: ConfigDict,
    seed: int,
    batch_size: int,
    modalities: Sequence[str],
    *,
    num_epochs: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> TrainIterator:
    """Returns the training batches without their pixels, for who has the cached frames at hand.

    Arguments, errors and state are `train_iterator`'s, and so are the batches but for the frames:
    see `choices.ChoiceLoader`. No worker process is started, there being nothing to decode.

    Raises:
        ValueError: `config.data.cache` names no folder, or frames of a modality differ in size.
    """
    if not data.get("cache"):
        raise ValueError("config.data.cache is empty; expected a folder for the decoded frames")
    alone = data.copy_and_resolve_references()
    alone.workers = 0
    place = (process_index, process_count)
    return _training(ChoiceLoader, alone, seed, batch_size, modalities, num_epochs, *place)


def _training(
    make_loader: Callable[[Any, FrozenConfigDict, tuple[str, ...], int], Callable[..., Batch]],
    data: ConfigDict,
    seed: int,
    batch_size: int,
    modalities: Sequence[str],
    num_epochs: int | None,
    process_index: int,
    process_count: int,
) -> TrainIterator:
    source, modalities = _open(data, data.get("train_split"), modalities)
    if len(source) < batch_size:
        raise ValueError(
            f"The split {data.train_split!r} of {data.name}/{data.config} has {len(source)} clips, "
            f"fewer than a batch of {batch_size}. Lower the batch size to at most {len(source)}, "
            "or build more footage."
        )
    selections = TrainSelections(
        len(source), batch_size, seed, num_epochs, process_index, process_count
    )
    frozen = FrozenConfigDict(data)
    loader = make_loader(source, frozen, modalities, seed)
    meaning = {
        "seed": seed,
        "batch_size": batch_size,
        "num_clips": len(source),
        "dataset": f"{data.name}/{data.config}/{data.train_split}",
    }
    return TrainIterator(
        grain.MapDataset.source(selections).map(loader), selections, frozen, meaning
    )


def eval_batches(
    data: ConfigDict,
    split: str,
    batch_size: int,
    modalities: Sequence[str],
    *,
    segments: int | None = None,
    crops: int = 1,
    process_index: int = 0,
    process_count: int = 1,
) -> EvalBatches:
    """Returns one pass over a split: segment centres, fixed crops, every clip exactly once.

    Batches are as `train_iterator`'s; with several crops V, frames are (B,V,T,H,W,C). All have
    `batch_size` rows; those beyond the last clip are zeros with mask 0 and index -1.

    Args:
        data: `config.data`, see `settings.validate`.
        split: Name of the split, e.g. `config.data.test_split`.
        batch_size: Clips a step over all processes.
        modalities: Some of those that the records hold, such as ("rgb", "ir").
        segments: Frames read of each clip, T; None reads `data.segments`, as training does.
        crops: Squares cut out of each frame: 1 (the middle), 3 or 10, see `transforms.crop_views`.
        process_index: This process's number.
        process_count: Number of processes; each gets `batch_size / process_count` rows of every
            batch.

    Returns:
        An iterable with a length.

    Raises:
        ValueError: a field is missing or out of range, or the data set or split is not there.
    """
    if crops not in CROP_COUNTS:
        raise ValueError(f"{crops} crops were asked for; expected one of {CROP_COUNTS}")
    if segments is not None and segments < 1:
        raise ValueError(f"{segments} segments were asked for; expected at least 1")
    source, modalities = _open(data, split, modalities)
    selections = EvalSelections(len(source), batch_size, process_index, process_count)
    frozen = FrozenConfigDict(data)
    loader = BatchLoader(source, frozen, modalities, None, segments=segments, crops=crops)
    return EvalBatches(grain.MapDataset.source(selections).map(loader), len(source), frozen)


def _open(data: ConfigDict, split: str, modalities: Sequence[str]) -> tuple[Any, tuple[str, ...]]:
    validate(data)
    if not modalities or isinstance(modalities, str):
        raise ValueError(f"modalities are {modalities!r}; expected one or more names in a sequence")
    # A network may learn from another one of its own modality: that is decoded once.
    wanted = tuple(dict.fromkeys(modalities))
    source = open_split(data, split)
    check_modalities(wanted, source.modalities, data)
    return cached_split(data, split, wanted) if data.cache else source, wanted
