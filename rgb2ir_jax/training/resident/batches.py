"""Training batches that are cut out of frames on the devices: the host decides, and sends numbers."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array
from ml_collections import ConfigDict, FrozenConfigDict

from rgb2ir_jax.data.batches import Batch
from rgb2ir_jax.data.choices import crop_sides
from rgb2ir_jax.data.frame_cache import CachedClips, cached_split
from rgb2ir_jax.data.pipeline import TrainIterator, train_choices, train_iterator
from rgb2ir_jax.data.settings import validate_on_device
from rgb2ir_jax.training.distributed import failing_together
from rgb2ir_jax.training.resident.comparison import check_equal, comparisons, make_probes
from rgb2ir_jax.training.resident.cutting import Window, cut
from rgb2ir_jax.training.resident.frames import check_fits, put_frames, stacks
from rgb2ir_jax.training.resident.taps import make_scaling
from rgb2ir_jax.training.sharding import put_batch, replicated, split_batch

_log = logging.getLogger(__name__)


def training_batches(
    data: ConfigDict, seed: int, batch_size: int, modalities: Sequence[str], *, mesh: Mesh
) -> "TrainIterator | ResidentBatches":
    """Returns this process's part of the training batches, by `config.data.on_device`.

    Either way the numbers are the same; see `data.pipeline.train_iterator` for arguments, batches and
    errors.
    """
    if not data.get("on_device", False):
        return train_iterator(
            data,
            seed,
            batch_size,
            modalities,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
    return ResidentBatches(data, seed, batch_size, modalities, mesh)


class ResidentBatches:
    """Training batches whose frames are already on the devices, and are what the host would have cut.

    A batch is as `train_iterator`'s, with the frames as arrays of all processes' clips, split over the
    devices. They are being made when the batch is returned. Some crops of every size are compared with
    the host's before the first batch.

    Args:
        data: The checked `config.data`, with a cache.
        seed: `config.seed`.
        batch_size: Clips a step over all processes.
        modalities: Some of those that the records hold.
        mesh: The devices; each gets a copy of all frames of the split.

    Raises:
        ValueError: the frames do not fit, differ in size, or are to be changed in a way that is done on
            the host alone; or OpenCV on this machine and the devices do not compute the same.
    """

    def __init__(
        self,
        data: ConfigDict,
        seed: int,
        batch_size: int,
        modalities: Sequence[str],
        mesh: Mesh,
    ):
        validate_on_device(data)
        self._mesh, self._modalities = mesh, tuple(dict.fromkeys(modalities))
        self._choices = train_choices(
            data,
            seed,
            batch_size,
            self._modalities,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        clips = cached_split(data, data.train_split, self._modalities)
        frozen = FrozenConfigDict(data)
        with failing_together():
            check_fits(clips, self._modalities)
        found = stacks(clips, self._modalities)
        scales = tuple(map(float, data.train_scales))
        self._constants = {
            name: make_scaling(crop_sides(scales, *stack.shape[1:3]), data.crop, stack.shape[3])
            for name, stack in found.items()
        }
        self._constants = jax.device_put(self._constants, replicated(mesh))
        probes = make_probes(found)
        self._frames = put_frames(found, probes, mesh)
        self._cut = _compile(self._modalities, mesh)
        with failing_together():
            self._compare(clips, frozen, probes, batch_size // jax.process_count())

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch."""
        return self._choices.steps_per_epoch

    @property
    def num_clips(self) -> int:
        """Clips of the split."""
        return self._choices.num_clips

    def __next__(self) -> dict[str, Any]:
        """Returns the next batch.

        Raises:
            ValueError: the iterator was closed.
        """
        choice = next(self._choices)
        others = {name: choice[name] for name in ("label", "mask", "index")}
        return {**self._pictures(choice), **others}

    def get_state(self) -> dict[str, Any]:
        """Returns the position, fit for JSON; it is `train_iterator`'s."""
        return self._choices.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues at a saved position, of either kind of batches."""
        self._choices.set_state(state)

    def close(self) -> None:
        """Ends threads, and frees the frames' memory."""
        self._choices.close()
        frames, self._frames = self._frames, {}
        for stack in frames.values():
            stack.delete()

    def __enter__(self) -> "ResidentBatches":
        """Returns itself; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()

    def _pictures(self, choice: Batch) -> dict[str, Array]:
        numbers = {
            name: array
            for name, array in choice.items()
            if name == "view" or name.endswith(("_frames", "_corner"))
        }
        return self._cut(self._frames, put_batch(numbers, self._mesh), self._constants)

    def _compare(self, clips: CachedClips, data: FrozenConfigDict, probes: Any, rows: int) -> None:
        """Cuts crops of every size on the device and on the host, through the very program of training."""
        start = time.monotonic()
        for choice, expected in comparisons(clips, data, probes, rows):
            for name, found in self._pictures(choice).items():
                check_equal(name, found, expected[name])
        _log.info(
            "Frames on the device: crops of %d size(s) are the host's, bit for bit (%.1f s)",
            len(data.train_scales),
            time.monotonic() - start,
        )


def _compile(modalities: Sequence[str], mesh: Mesh) -> Callable[..., dict[str, Array]]:
    """The program that makes a batch: each device cuts its part of the clips out of its own copy."""

    def make(frames: Any, numbers: Any, constants: Any) -> dict[str, Array]:
        scale, flip = numbers["view"].T
        return {
            name: cut(
                frames[name],
                Window(
                    numbers[f"{name}_frames"], numbers[f"{name}_corner"], scale, flip.astype(bool)
                ),
                constants[name],
            )
            for name in modalities
        }

    whole, part = PartitionSpec(), PartitionSpec(mesh.axis_names)
    return jax.jit(
        jax.shard_map(make, mesh=mesh, in_specs=(whole, part, whole), out_specs=part),
        out_shardings=split_batch(mesh),
    )
