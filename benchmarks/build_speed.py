"""How fast footage of NTU RGB+D's frame sizes becomes records.

    python -m benchmarks.build_speed [--pairs=24] [--workers=N] [--out=FILE.json]

Writes made-up videos (moving textures with noise; 1920x1080 colour, 512x424 infrared, about 100 frames,
about as many bytes a frame as the real ones), recodes them in one process and builds them with the
real builder, and projects the time of the ten-class set (9,480 pairs). Times are of the processor, so
that other programs disturb little: divide by the cores for hours by the clock.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from benchmarks.machine import describe_machine
from data_builders.ntu_rgbd_ir.ntu_rgbd_ir_dataset_builder import Builder
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.pool import worker_count
from rgb2ir_jax.video.recode import ClipSpans, RecodeTask, recode_task
from rgb2ir_jax.video.source import VideoSource

TEN_CLASS_PAIRS = 9480
# The owners' 136 GB and 221 GB over 56,880 pairs are 2.4 and 3.9 MB a video.
SIZES = {"rgb": (1080, 1920, 3), "ir": (424, 512, 1)}
QUALITY = {"rgb": 22, "ir": 13}


def moving_texture(
    height: int, width: int, channels: int, frames: int
) -> Iterator[UInt8[np.ndarray, "height width channel"]]:
    """Yields a smooth background, a moving textured square, and sensor noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    background = np.stack(
        [110 + 60 * np.sin(x / (90 + 30 * c)) * np.cos(y / (70 + 20 * c)) for c in range(channels)],
        axis=-1,
    ).astype(np.float32)
    side = height // 3
    figure = rng.integers(30, 220, (side // 6 + 1, side // 6 + 1, channels))
    figure = figure.repeat(6, 0).repeat(6, 1)[:side, :side]
    noise = rng.normal(0, 3, (height, width, 1)).astype(np.float32)
    for t in range(frames):
        picture = background + np.roll(noise, tuple(rng.integers(0, 400, 2)), (0, 1))
        left = int((0.5 + 0.4 * np.sin(t / 15)) * (width - side))
        picture[side : 2 * side, left : left + side] = figure
        yield np.clip(picture, 0, 255).astype(np.uint8)


def write_footage(folder: Path, pairs: int, frames: int) -> dict[str, int]:
    """Writes one pair and links it to as many names; returns the bytes of both videos."""
    sizes = {}
    for modality, (height, width, channels) in SIZES.items():
        original = folder / f"{modality}.avi"
        write_video(
            original,
            moving_texture(height, width, channels, frames),
            crf=QUALITY[modality],
            preset="medium",
        )
        sizes[modality] = original.stat().st_size
        for i in range(pairs):
            # Performers 1 and 3: one of each split.
            name = f"S{1 + i // 120:03}C001P{1 + 2 * (i % 2):03}R001A{1 + i // 2 % 10:03}"
            name = name.replace("C001", f"C{1 + i // 20 % 3:03}").replace(
                "R001", f"R{1 + i // 60 % 2:03}"
            )
            (folder / f"{name}_{modality}.avi").hardlink_to(original)
    return sizes


def _processor_seconds() -> float:
    """Returns the processor time of this process and of its workers that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def measure(pairs: int, frames: int, workers: int) -> dict[str, Any]:
    """Films, recodes and builds; returns the numbers.

    Args:
        pairs: Number of pairs to build, at most 2040.
        frames: Frames of each video.
        workers: Decoding processes of the build.
    """
    with tempfile.TemporaryDirectory(prefix="build_speed_") as temporary:
        footage = Path(temporary, "footage")
        footage.mkdir()
        sizes = write_footage(footage, pairs, frames)
        task = RecodeTask(
            "one",
            VideoSource(str(footage / "rgb.avi")),
            VideoSource(str(footage / "ir.avi")),
            (ClipSpans("one"),),
            256,
            90,
        )
        (result,) = recode_task(task)  # The first call loads libraries.
        seconds = []
        for _ in range(3):
            # Of the processor, so that what else runs on the machine counts less.
            started = time.process_time()
            recode_task(task)
            seconds.append(time.process_time() - started)
        seconds_a_pair = statistics.median(seconds)
        if result.rgb is None or result.ir is None:
            raise RuntimeError(f"the made-up pair cannot be read: {result.problem}")
        builder = Builder(data_dir=Path(temporary, "data"))
        builder.workers = workers
        started, processor_started = time.perf_counter(), _processor_seconds()
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=footage)
        )
        build_seconds = time.perf_counter() - started
        processor_seconds = _processor_seconds() - processor_started
    a_minute = 60 / seconds_a_pair
    built_a_minute = 60 * pairs / processor_seconds
    return {
        "frames": frames,
        "rgb_file_bytes": sizes["rgb"],
        "ir_file_bytes": sizes["ir"],
        "record_bytes": sum(map(len, result.rgb.frames + result.ir.frames)),
        "recode_pairs_per_minute_per_core": round(a_minute, 1),
        "recode_projected_core_hours_ten_classes": round(TEN_CLASS_PAIRS / a_minute / 60, 2),
        "build_pairs": pairs,
        "build_workers": workers,
        "build_wall_seconds": round(build_seconds, 1),
        "build_processor_seconds": round(processor_seconds, 1),
        "build_pairs_per_minute_per_core": round(built_a_minute, 1),
        "build_projected_core_hours_ten_classes": round(TEN_CLASS_PAIRS / built_a_minute / 60, 2),
        "machine": describe_machine("tensorflow-datasets"),
    }


def main(arguments: list[str] | None = None) -> int:
    """Runs the measurement and prints it as text and as JSON; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measures the speed of building records.")
    parser.add_argument("--pairs", type=int, default=24, help="pairs to build")
    parser.add_argument("--frames", type=int, default=100, help="frames of each video")
    parser.add_argument("--workers", type=int, default=None, help="decoding processes")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    options = parser.parse_args(arguments)
    if not 2 <= options.pairs <= 2040 or options.frames < 1:
        parser.error("expected --pairs of 2 to 2040 and --frames of at least 1")
    workers = worker_count("RGB2IR_BUILD_WORKERS") if options.workers is None else options.workers
    result = measure(options.pairs, options.frames, workers)
    print(  # noqa: T201 - a command's output
        f"Recoding alone: {result['recode_pairs_per_minute_per_core']} pairs a minute and core, "
        f"{result['recode_projected_core_hours_ten_classes']} core hours for {TEN_CLASS_PAIRS:,} pairs.\n"
        f"The whole build, starting included: {result['build_pairs_per_minute_per_core']} pairs a minute "
        f"and core, {result['build_projected_core_hours_ten_classes']} core hours for "
        f"{TEN_CLASS_PAIRS:,} pairs ({workers} processes took {result['build_wall_seconds']} s for "
        f"{options.pairs} pairs)."
    )
    text = json.dumps(result, indent=2)
    print(text)  # noqa: T201
    if options.out:
        options.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
