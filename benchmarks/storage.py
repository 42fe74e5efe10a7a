"""How clips are best stored: record layout, JPEG quality, frame stride, size of the pictures.

    python -m benchmarks.storage [--work=DIR] [--clips=5] [--rounds=9] [--footage=DIR]

Read costs are processor time for eight sampled frames of each modality, ready as arrays, with the
files in the page cache. Accuracy compares the decoded JPEG with the same video frame scaled to the
same size without JPEG.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import footage, layouts
from benchmarks.layouts import Clip, Stored
from benchmarks.machine import describe_machine, machine_line, publish, table
from rgb2ir_jax.data import sampling
from rgb2ir_jax.data.source import CHANNELS, MODALITIES
from rgb2ir_jax.video.decode import FrameScaler, open_video
from rgb2ir_jax.video.jpeg import decode_jpeg, encode_jpeg, encode_jpeg_yuv420

SIDES = (224, 256, 340)
QUALITIES = (80, 90, 95)
STRIDES = (1, 2, 3)
SEGMENTS = 8
CHOSEN = (256, 90)


class Encoded(NamedTuple):
    """The clips at one size: their JPEGs by quality, and each quality's squared errors."""

    clips: dict[int, list[Clip]]
    errors: dict[int, dict[str, list[float]]]


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.storage", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks"), help="work folder")
    parser.add_argument("--footage", type=Path, help="NTU RGB+D videos instead of synthetic ones")
    parser.add_argument("--clips", type=int, default=5, help="pairs to measure with")
    parser.add_argument("--rounds", type=int, default=9, help="repetitions; the median counts")
    options = parser.parse_args()
    machine = describe_machine("tensorflow-datasets")
    folder: Path = options.work / "storage"
    folder.mkdir(parents=True, exist_ok=True)
    pairs = (
        footage.find_pairs(options.footage)[: options.clips]
        if options.footage
        else footage.film(options.work / "footage", options.clips, 1080)
    )
    encoded = {}
    for side in SIDES:
        sys.stderr.write(f"encoding at {side} lines\n")
        encoded[side] = _encode(pairs, side)
    settings = _settings(encoded, folder, options.rounds)
    chosen = encoded[CHOSEN[0]].clips[CHOSEN[1]]
    compared = _layouts(chosen, pairs, folder, options.rounds)
    result = {
        "machine": machine,
        "clips": len(pairs),
        "frames_per_clip": {
            m: statistics.mean(len(clip[m]) for clip in chosen) for m in MODALITIES
        },
        "synthetic": not options.footage or (options.footage / "synthesis.json").is_file(),
        "settings": settings,
        "layouts": compared,
    }
    publish(result, _report(result), options.work, "storage")


def _encode(pairs: list[footage.Pair], side: int) -> Encoded:
    """Encodes as the builders do; the reference is the same frame scaled to RGB or gray."""
    clips: dict[int, list[Clip]] = {quality: [] for quality in QUALITIES}
    errors: dict[int, dict[str, list[float]]] = {q: {m: [] for m in MODALITIES} for q in QUALITIES}
    for pair in pairs:
        for quality in QUALITIES:
            clips[quality].append({m: [] for m in MODALITIES})
        for modality, channels in CHANNELS.items():
            exact = FrameScaler(side, "rgb24" if channels == 3 else "gray")
            planes = FrameScaler(side, "yuv420p")
            with open_video(getattr(pair, modality)) as (_, frames):
                for frame in frames:
                    scaled = exact(frame)
                    picture = scaled.to_ndarray()
                    picture = picture.reshape(*picture.shape[:2], channels)
                    yuv = planes(frame).to_ndarray() if channels == 3 else None
                    for quality in QUALITIES:
                        if yuv is None:
                            jpeg = encode_jpeg(picture, quality)
                        else:
                            jpeg = encode_jpeg_yuv420(yuv, scaled.height, scaled.width, quality)
                        difference = decode_jpeg(jpeg, channels).astype(np.float32) - picture
                        errors[quality][modality].append(float(np.mean(difference**2)))
                        clips[quality][-1][modality].append(jpeg)
    return Encoded(clips, errors)


def _psnr(errors: list[float]) -> float:
    return float(np.mean(10 * np.log10(255**2 / np.maximum(errors, 1e-9))))


def _time(stored: dict[Any, Stored], clips: int, rounds: int) -> dict[Any, float]:
    """Returns the median milliseconds a clip; all take turns, so that what disturbs disturbs all."""
    rng = np.random.default_rng(0)
    times: dict[Any, list[float]] = {name: [] for name in stored}
    for number in range(rounds + 1):
        positions = [sampling.random_positions(rng, SEGMENTS) for _ in range(clips)]
        for name, one in stored.items():
            start = time.process_time()
            for clip in range(clips):
                one.read(clip, positions[clip])
            if number:  # The first round warms caches and allocators.
                times[name].append((time.process_time() - start) * 1e3 / clips)
    return {name: statistics.median(each) for name, each in times.items()}


def _settings(encoded: dict[int, Encoded], folder: Path, rounds: int) -> list[dict[str, Any]]:
    stored = {}
    for side, one in encoded.items():
        for quality, clips in one.clips.items():
            for stride in STRIDES:
                kept = [{m: clip[m][::stride] for m in MODALITIES} for clip in clips]
                path = folder / f"{side}-{quality}-{stride}.array_record"
                stored[side, quality, stride] = layouts.clip_records(kept, path)
    count = len(next(iter(encoded.values())).clips[QUALITIES[0]])
    times = _time(stored, count, rounds)
    return [
        {
            "short_side": side,
            "quality": quality,
            "stride": stride,
            "read_ms": times[side, quality, stride],
            "mb_per_1000_clips": one.size / count * 1e3 / 1e6,
            **{f"psnr_{m}": _psnr(encoded[side].errors[quality][m]) for m in MODALITIES},
        }
        for (side, quality, stride), one in stored.items()
    ]


def _layouts(
    clips: list[Clip], pairs: list[footage.Pair], folder: Path, rounds: int
) -> list[dict[str, Any]]:
    stored = {
        "one record a clip, zstd (TFDS's own; chosen)": layouts.clip_records(
            clips, folder / "clip"
        ),
        "one record a clip, not compressed": layouts.clip_records(
            clips, folder / "plain", "group_size:1,uncompressed"
        ),
        "one record a frame": layouts.frame_records(clips, folder / "frame"),
        "one file a frame": layouts.files(clips, folder / "files"),
        "H.264 in the record, crf 18": layouts.video(pairs, folder / "video", CHOSEN[0], 18),
        "decoded frames, memory-mapped (the cache)": layouts.decoded_frames(clips, folder),
    }
    times = _time(stored, len(clips), rounds)
    return [
        {
            "layout": name,
            "read_ms": times[name],
            "mb_per_1000_clips": one.size / len(clips) * 1e3 / 1e6,
        }
        for name, one in stored.items()
    ]


def _report(result: dict[str, Any]) -> str:
    by = {(s["short_side"], s["quality"], s["stride"]): s for s in result["settings"]}
    rows = []
    for side in SIDES:
        for quality in QUALITIES:
            strides = [by[side, quality, stride] for stride in STRIDES]
            mark = "**" if (side, quality) == CHOSEN else ""
            rows.append(
                [
                    f"{mark}{side}, {quality}{mark}",
                    *(f"{strides[0][f'psnr_{m}']:.1f}" for m in MODALITIES),
                    *(f"{one['read_ms']:.1f}" for one in strides),
                    *(f"{one['mb_per_1000_clips']:,.0f}" for one in strides),
                ]
            )
    head = ["short side, quality", "PSNR RGB (dB)", "PSNR IR (dB)"]
    head += [f"read ms, stride {stride}" for stride in STRIDES]
    head += [f"MB per 1,000 clips, stride {stride}" for stride in STRIDES]
    compared = [
        [one["layout"], f"{one['read_ms']:.1f}", f"{one['mb_per_1000_clips']:,.0f}"]
        for one in result["layouts"]
    ]
    frames = result["frames_per_clip"]
    kind = "synthetic footage" if result["synthetic"] else "footage"
    first = (
        f"Storage, {result['clips']} clips of {kind} with {frames['rgb']:.0f} RGB and "
        f"{frames['ir']:.0f} infrared frames on average; read: {SEGMENTS} + {SEGMENTS} sampled frames, "
        "ms of one core a clip."
    )
    return "\n".join(
        [
            first,
            machine_line(result["machine"]),
            "",
            table(head, rows),
            "",
            f"Layouts at a short side of {CHOSEN[0]}, quality {CHOSEN[1]}, every frame:",
            "",
            table(["layout", "read ms", "MB per 1,000 clips"], compared),
        ]
    )


if __name__ == "__main__":
    main()
