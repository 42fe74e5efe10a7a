"""From recoded clips to the records of a data set, the same on one machine and on many."""

from collections.abc import Sequence
from typing import Any

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
    if clip.rgb is None or clip.ir is None:
        raise ValueError(f"{clip.name} has no record: {clip.problem}")
    return {
        "sample_id": clip.name,
        "rgb": clip.rgb.frames,
        "ir": clip.ir.frames,
        "rgb_frames": clip.rgb.source_frames,
        "ir_frames": clip.ir.source_frames,
        "rgb_fps": clip.rgb.fps,
        "ir_fps": clip.ir.fps,
        **fields,
    }


def counted(example: dict[str, Any]) -> tuple[int, int, float, float]:
    """Returns what a report counts of a record: both numbers of frames and both rates."""
    return (
        example["rgb_frames"],
        example["ir_frames"],
        example["rgb_fps"],
        example["ir_fps"],
    )
