"""From recoded clips to the records of a data set, the same on one machine and on many."""

from collections.abc import Sequence
from typing import Any

from rgb2ir_jax.video.modalities import CHANNELS
from rgb2ir_jax.video.recode import ClipResult, RecodeTask

# TFDS sorts by key and puts what exceeds 1 GB into 1000 temporary files by the key's highest bits,
# each read back whole. Keys spread over all 128 bits keep both the order and the memory's bound; 0,
# 1, 2, ... would fill one file with everything.
_KEY_RANGE = 2**128


def clip_keys(tasks: Sequence[RecodeTask]) -> list[int]:
    """Returns a TFDS key for each clip of the tasks, rising in their order."""
    total = sum(len(task.clips) for task in tasks)
    stride = _KEY_RANGE // max(1, total)
    return [position * stride for position in range(total)]


def record(clip: ClipResult, fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the record of a recoded clip.

    Args:
        clip: The clip, recoded without a problem.
        fields: Its label and the other fields that the plan gives.

    Returns:
        What TFDS encodes: JPEG frames, counts of the source's frames, rates, and the fields.

    Raises:
        ValueError: the clip has a problem.
    """
    if clip.problem is not None or not clip.videos:
        raise ValueError(f"{clip.name} has no record: {clip.problem}")
    found: dict[str, Any] = {"sample_id": clip.name}
    for modality, video in clip.videos.items():
        found[modality] = video.frames
        found[f"{modality}_frames"] = video.source_frames
        found[f"{modality}_fps"] = video.fps
    return {**found, **fields}


def counted(example: dict[str, Any]) -> tuple[int, int, float, float]:
    """Returns what a report counts of a record: the two numbers of frames and the two rates.

    Of one video they are alike; of more than two they are the largest and the smallest.
    """
    there = [modality for modality in CHANNELS if modality in example]
    frames, rates = ([example[f"{m}_{what}"] for m in there] for what in ("frames", "fps"))
    if len(there) == 2:
        return frames[0], frames[1], rates[0], rates[1]
    return max(frames), min(frames), max(rates), min(rates)
