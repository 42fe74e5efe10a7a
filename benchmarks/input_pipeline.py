"""How many clips a second the input pipeline gives, beside others that do the same sampling.

    python -m benchmarks.input_pipeline [--work=DIR] [--clips=20] [--rounds=7] [--footage=DIR]

Eight sampled frames of both modalities, random crops of 224 pixels from records of a short side of
256. All ways run in turns in one process, files in the page cache; what is compared is processor
time, so that other programs disturb little. The DataLoader of the last table needs PyTorch, which the
project does not depend on; without it that line is left out.
"""

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import simplejpeg
from ml_collections import ConfigDict

from benchmarks import footage, peers
from benchmarks.machine import describe_machine, machine_line, publish, table, usable_cores
from rgb2ir_jax.data import sampling
from rgb2ir_jax.data.frame_cache import prepare
from rgb2ir_jax.data.pipeline import train_iterator
from rgb2ir_jax.data.source import CHANNELS, MODALITIES, ClipSource, open_split
from rgb2ir_jax.data.transforms import draw_view
from rgb2ir_jax.training.resident.batches import training_batches
from rgb2ir_jax.training.sharding import make_mesh
from rgb2ir_jax.video.decode import FrameScaler, open_video
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.jpeg import decode_jpeg

# Decoding whole videos takes long, and needs few clips for a steady figure.
_VIDEO_CLIPS = 3
_HELD_CLIPS = 20


class Way(NamedTuple):
    """What is measured: a function, and the number of clips that it goes through."""

    run: Callable[[], Any]
    clips: int


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.input_pipeline", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks"), help="work folder")
    parser.add_argument("--footage", type=Path, help="NTU RGB+D videos instead of synthetic ones")
    parser.add_argument("--clips", type=int, default=20, help="pairs to film (at least 20)")
    parser.add_argument("--rounds", type=int, default=7, help="repetitions; the median counts")
    options = parser.parse_args()
    work: Path = options.work
    machine = describe_machine()
    videos = options.footage or work / "footage"
    synthetic = (videos / "synthesis.json").is_file() or options.footage is None
    if not options.footage:
        footage.film(videos, options.clips, 1080)
    data = footage.build(videos, work / "records")
    source = open_split(data, data.train_split)
    cached = data.copy_and_resolve_references()
    cached.cache = str(work / "cache")
    start = time.monotonic()
    clips = prepare(cached, {data.train_split: MODALITIES})[data.train_split]
    cache_seconds = time.monotonic() - start
    jpegs = work / "jpeg_files"
    if not jpegs.is_dir():
        peers.write_jpeg_files(source, jpegs)
    names = [record["sample_id"].decode() for record in source]
    originals = {pair.name: pair for pair in footage.find_pairs(videos)}
    scaled = {name: _scale(originals[name], work / "scaled", data.resize) for name in names}

    ways = _ways(data, cached, source, clips, jpegs, names, originals, scaled)
    times = _measure(ways, options.rounds)
    loaders = _measure_loaders(data, cached, jpegs, options.rounds)
    frames = {m: statistics.mean(len(record[m]) for record in source) for m in MODALITIES}
    result = {
        "machine": machine,
        "clips": len(source),
        "frames_per_clip": frames,
        "synthetic": synthetic,
        "device": jax.devices()[0].device_kind,
        "cpu_ms_per_clip": times,
        "cpu_ms_per_clip_median": {name: statistics.median(each) for name, each in times.items()},
        "clips_per_second_all_cores": loaders,
        "cache_build_seconds": cache_seconds,
        "cache_bytes": sum(path.stat().st_size for path in Path(cached.cache).rglob("*.frames")),
    }
    publish(result, _report(result), work, "input_pipeline")


def _scale(pair: footage.Pair, folder: Path, short_side: int) -> footage.Pair:
    """Transcodes a pair to the records' size: what many loaders from video are given."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for modality in MODALITIES:
        path = paths[modality] = folder / f"{pair.name}_{modality}.avi"
        if path.is_file():
            continue
        scaler = FrameScaler(short_side, "rgb24" if modality == "rgb" else "gray")
        with open_video(getattr(pair, modality)) as (info, frames):
            write_video(path, (scaler(frame).to_ndarray() for frame in frames), info.fps or 30)
    return footage.Pair(pair.name, paths["rgb"], paths["ir"])


def _ways(
    data: ConfigDict,
    cached: ConfigDict,
    source: ClipSource,
    clips: Any,
    jpegs: Path,
    names: list[str],
    originals: dict[str, footage.Pair],
    scaled: dict[str, footage.Pair],
) -> dict[str, Way]:
    """One function a way; each goes once through all clips."""
    rng = np.random.default_rng(0)
    every = range(len(source))
    folder = peers.JpegFolder(jpegs, data.segments, data.crop, tuple(data.train_scales))

    def drawn() -> np.ndarray:
        return sampling.random_positions(rng, data.segments)

    def decode_sampled(records: Any, clips: int) -> None:
        for clip in range(clips):
            record, positions = records[clip], drawn()
            for modality in MODALITIES:
                for frame in sampling.frame_indices(positions, len(record[modality])):
                    decode_jpeg(record[modality][frame], CHANNELS[modality])

    held = [source[clip] for clip in range(min(_HELD_CLIPS, len(source)))]
    alone = [
        (record[modality][frame], "RGB" if CHANNELS[modality] == 3 else "GRAY")
        for record in held
        for modality in MODALITIES
        for frame in sampling.frame_indices(drawn(), len(record[modality]))
    ]

    def copy_cached() -> None:
        for clip in every:
            record, positions = clips[clip], drawn()
            for modality in MODALITIES:
                for frame in sampling.frame_indices(positions, len(record[modality])):
                    np.array(record[modality][frame])

    def from_video(files: dict[str, footage.Pair], whole: bool) -> None:
        for name in names[:_VIDEO_CLIPS]:
            positions, view = drawn(), draw_view(rng, tuple(data.train_scales), 0.5)
            for modality, channels in CHANNELS.items():
                path = getattr(files[name], modality)
                pictures = peers.sample_video(path, positions, channels, data.resize)
                if whole:
                    np.stack([peers.cut(picture, view, data.crop) for picture in pictures])

    def in_order(function: Callable[[int], Any]) -> Callable[[], Any]:
        return lambda: [function(clip) and None for clip in every]

    every_clip = {
        "read records": in_order(source.__getitem__),
        "read and decode sampled": lambda: decode_sampled(source, len(source)),
        "whole": _endless(data, len(source)),
        "cache: copy sampled": copy_cached,
        "cache: whole": _endless(cached, len(source)),
        "device: whole": _endless_on_device(cached, len(source)),
        "OpenCV, JPEG files: decode sampled": in_order(folder.decode),
        "OpenCV, JPEG files: whole": in_order(folder.__getitem__),
    }
    in_memory = {
        "held in memory: decode sampled": lambda: decode_sampled(held, len(held)),
        "simplejpeg alone": lambda: [simplejpeg.decode_jpeg(*each).size for each in alone],
    }
    few = {
        "PyAV, 1080 lines: decode sampled": lambda: from_video(originals, whole=False),
        "PyAV, 1080 lines: whole": lambda: from_video(originals, whole=True),
        "PyAV, 256 lines: decode sampled": lambda: from_video(scaled, whole=False),
        "PyAV, 256 lines: whole": lambda: from_video(scaled, whole=True),
    }
    return {
        **{name: Way(run, len(source)) for name, run in every_clip.items()},
        **{name: Way(run, len(held)) for name, run in in_memory.items()},
        **{name: Way(run, min(_VIDEO_CLIPS, len(names))) for name, run in few.items()},
    }


def _endless(data: ConfigDict, clips: int) -> Callable[[], Any]:
    """Batches that are made when they are asked for, in this thread; a call makes an epoch of them."""
    alone = data.copy_and_resolve_references()
    alone.workers = alone.threads = 0
    size = _batch_size(clips)
    iterator = train_iterator(alone, 0, size, MODALITIES)
    return lambda: [next(iterator) and None for _ in range(clips // size)]


def _endless_on_device(data: ConfigDict, clips: int) -> Callable[[], Any]:
    """The same with the cache in the device's memory; where that is the CPU, its work is counted too."""
    alone = data.copy_and_resolve_references()
    alone.threads, alone.on_device = 0, True
    size = _batch_size(clips)
    iterator = training_batches(alone, 0, size, MODALITIES, mesh=make_mesh())
    return lambda: [jax.block_until_ready(next(iterator)) and None for _ in range(clips // size)]


def _batch_size(clips: int) -> int:
    """The largest divisor of the number of clips up to the paper's 16, so that ways do the same."""
    return max(size for size in range(1, 17) if clips % size == 0)


def _measure(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Returns milliseconds of processor time a clip of each round; all ways take turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            way.run()
            if number:  # The first round warms caches and allocators.
                times[name].append((time.process_time() - start) * 1e3 / way.clips)
        sys.stderr.write(f"round {number} of {rounds}\n")
    return times


def _measure_loaders(
    data: ConfigDict, cached: ConfigDict, jpegs: Path, rounds: int
) -> dict[str, list[float]]:
    """Returns clips a second by the clock with all cores at work."""
    cores, clips = usable_cores(), len(open_split(data, data.train_split))
    size = _batch_size(clips)
    # About a second a round.
    batches = max(4, 160 // size)
    folder = peers.JpegFolder(jpegs, data.segments, data.crop, tuple(data.train_scales))
    epochs = -(-(batches * (rounds + 1) + 64) * size // clips)
    torch = peers.torch_loader(folder, size, cores, epochs)
    speeds: dict[str, list[float]] = {}
    streams: dict[str, Callable[[], Iterator[Any]]] = {}
    for name, section in (("records, threads", data), ("cache, threads", cached)):
        threaded = section.copy_and_resolve_references()
        threaded.workers, threaded.threads = 0, cores
        streams[name] = functools.partial(train_iterator, threaded, 0, size, MODALITIES)
    if torch is None:
        sys.stderr.write("PyTorch is not installed: its DataLoader is left out\n")
    else:
        streams["OpenCV and PyTorch's DataLoader, processes"] = lambda: iter(torch)
    for name, start_stream in streams.items():
        stream = start_stream()
        # What was prepared ahead would come for nothing: the first round is for that.
        speeds[name] = []
        for number in range(rounds + 1):
            start = time.perf_counter()
            for _ in range(batches):
                next(stream)
            if number:
                speeds[name].append(batches * size / (time.perf_counter() - start))
        if hasattr(stream, "close"):
            stream.close()
        del stream
    return speeds


def _report(result: dict[str, Any]) -> str:
    median = result["cpu_ms_per_clip_median"]
    rows = []
    for name, base in (
        ("**this project, records**", ""),
        ("**this project, frame cache**", "cache: "),
        (f"**this project, frame cache on the device** ({result['device']})", "device: "),
        ("PyAV from the source video (1080 lines)", "PyAV, 1080 lines: "),
        ("PyAV from video scaled to 256 lines", "PyAV, 256 lines: "),
        ("OpenCV from a JPEG file a frame", "OpenCV, JPEG files: "),
    ):
        sampled = (
            median.get(f"{base}decode sampled")
            or median.get(f"{base}copy sampled")
            or (None if base else median["read and decode sampled"])
        )
        whole = median[f"{base}whole"]
        rows.append(
            [
                name,
                f"{1e3 / median['read records']:.0f}" if not base else "",
                f"{1e3 / sampled:.3g}" if sampled else "",
                f"{1e3 / whole:.3g}",
                f"{whole / median['whole']:.2f}",
                f"{whole / median['cache: whole']:.2f}",
            ]
        )
    frames = result["frames_per_clip"]
    expected = median["whole"] - median["read and decode sampled"] + median["cache: copy sampled"]
    loaders = [
        [name, f"{statistics.median(each):.0f}", f"{min(each):.0f}-{max(each):.0f}"]
        for name, each in result["clips_per_second_all_cores"].items()
    ]
    kind = "synthetic footage" if result["synthetic"] else "footage"
    first = (
        f"Input pipeline, {result['clips']} clips of {kind} with {frames['rgb']:.0f} RGB and "
        f"{frames['ir']:.0f} infrared frames on average; 8 + 8 frames sampled, crops of 224."
    )
    decoding = (
        f"simplejpeg alone decodes 8 + 8 frames of {1e3 / median['simplejpeg alone']:.0f} clips/s; drawing them "
        f"and decoding, of records in memory, has "
        f"{median['simplejpeg alone'] / median['held in memory: decode sampled']:.0%} of its speed, with reading "
        f"whole records {median['simplejpeg alone'] / median['read and decode sampled']:.0%}."
    )
    cache = (
        f"The cache: {result['cache_bytes'] / 1e9:.2f} GB, made in "
        f"{result['cache_build_seconds']:.1f} s (0 where it was there). Expected "
        f"{1e3 / expected:.0f} clips/s of one core (the whole less reading and decoding, plus copying "
        f"the sampled frames), obtained {1e3 / median['cache: whole']:.0f}."
    )
    return "\n".join(
        [
            first,
            machine_line(result["machine"]),
            "",
            table(
                ["clips/s of one core", "read", "decode sampled", "whole pipeline",
                 "records are faster by", "the cache is faster by"],
                rows,
            ),
            "",
            decoding,
            "",
            cache,
            "",
            table([f"clips/s of all {result['machine']['cores']} cores", "median", "range"], loaders),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
