"""How much memory a PKU-MMD build takes with videos of four minutes at 1920x1080.

    python -m benchmarks.build_memory [--videos=4] [--minutes=4] [--workers=N] [--out=FILE.json]

Writes long pairs in PKU-MMD's layout (a made-up texture of a second or two, its coded packets repeated
to the length), labels that cover two thirds of them, and a split; runs the stock `tfds build`; and
samples the memory of its process and all below it. Shared pages count once (PSS). Linux alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import psutil

from benchmarks.build_speed import QUALITY, SIZES, moving_texture
from benchmarks.machine import describe_machine
from rgb2ir_jax.video.encode import write_video

_REPOSITORY = Path(__file__).resolve().parents[1]
FPS = 30
_ENCODED_FRAMES = 60


def repeat_video(source: Path, target: Path, times: int) -> None:
    """Writes a video's packets one after the other as often as told; its first frame is a key frame."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = read.streams.video[0]
        packets = [packet for packet in read.demux(stream) if packet.size]
        copy = written.add_stream_from_template(stream)
        duration = len(packets)
        moments = [(packet.pts, packet.dts) for packet in packets]
        for turn in range(times):
            for packet, (pts, dts) in zip(packets, moments, strict=True):
                packet.stream = copy
                packet.pts = None if pts is None else pts + turn * duration
                packet.dts = None if dts is None else dts + turn * duration
                written.mux(packet)


def write_footage(folder: Path, videos: int, frames: int) -> None:
    """Long videos, labels (an instance every six seconds, four seconds long) and a split."""
    for name in ("Data/RGB_VIDEO", "Data/IR_VIDEO", "Label", "Split"):
        (folder / name).mkdir(parents=True)
    places = {"rgb": ("RGB_VIDEO", ""), "ir": ("IR_VIDEO", "-infrared")}
    for modality, (height, width, channels) in SIZES.items():
        short, (place, ending) = folder / f"{modality}.avi", places[modality]
        write_video(
            short,
            moving_texture(height, width, channels, _ENCODED_FRAMES),
            crf=QUALITY[modality],
        )
        long = folder / f"{modality}_long.avi"
        repeat_video(short, long, frames // _ENCODED_FRAMES)
        for number in range(videos):
            (folder / "Data" / place / f"{number + 2:04}-L{ending}.avi").hardlink_to(long)
    rows = [
        f"{1 + start // 180 % 51},{start},{start + 119},2\n"
        for start in range(0, frames - 120, 180)
    ]
    names = [f"{number + 2:04}-L" for number in range(videos)]
    for name in names:
        (folder / "Label" / f"{name}.txt").write_text("".join(rows))
    training, validation = (", ".join(part) + ", " for part in (names[::2], names[1::2]))
    for split in ("cross-subject", "cross-view"):
        (folder / "Split" / f"{split}.txt").write_text(
            f"Training videos: \n{training}\nValidataion videos: \n{validation}\n"
        )


def tree_megabytes(process: psutil.Process) -> float:
    """The proportional set size of a process and all below it, in MB (10^6 bytes)."""
    total = 0
    for member in (process, *process.children(recursive=True)):
        try:
            total += member.memory_full_info().pss
        except psutil.Error:  # It has ended since it was listed.
            continue
    return total / 1e6


def measure(videos: int, minutes: float, workers: int) -> dict[str, Any]:
    """Makes the footage, builds it and returns the numbers.

    Raises:
        RuntimeError: the build failed.
    """
    frames = round(minutes * 60 * FPS)
    with tempfile.TemporaryDirectory(prefix="build_memory_") as temporary:
        footage = Path(temporary, "footage")
        write_footage(footage, videos, frames)
        command = [Path(sys.executable).with_name("tfds"), "build", "data_builders/pku_mmd_ir"]
        options = [
            "--config=phase1_xsub",
            f"--manual_dir={footage}",
            f"--data_dir={temporary}/data",
        ]
        log = Path(temporary, "build.log")
        started, peak = time.perf_counter(), 0.0
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [*command, *options],
                cwd=_REPOSITORY,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "RGB2IR_BUILD_WORKERS": str(workers)},
            ) as build,
        ):
            process = psutil.Process(build.pid)
            while build.poll() is None:
                peak = max(peak, tree_megabytes(process))
                time.sleep(0.1)
        if build.returncode:
            raise RuntimeError(f"the build failed:\n{log.read_text()[-4000:]}")
        seconds = time.perf_counter() - started
        (report,) = Path(temporary, "data").rglob("build_report.json")
        written = json.loads(report.read_text())["written"]
        records = sum(path.stat().st_size for path in report.parent.glob("*.array_record*"))
    return {
        "videos": videos,
        "minutes": minutes,
        "workers": workers,
        "clips_written": sum(written.values()),
        "records_mb": round(records / 1e6),
        "peak_mb": round(peak),
        "build_seconds": round(seconds),
        "machine": describe_machine("tensorflow-datasets"),
    }


def main() -> int:
    """Runs the measurement and prints it as text and as JSON."""
    parser = argparse.ArgumentParser(description="Measures the memory of a PKU-MMD build.")
    parser.add_argument("--videos", type=int, default=4, help="pairs of long videos")
    parser.add_argument("--minutes", type=float, default=4.0, help="length of each")
    parser.add_argument("--workers", type=int, default=2, help="decoding processes")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    options = parser.parse_args()
    if options.videos < 2 or options.minutes * 60 * FPS < 2 * _ENCODED_FRAMES:
        parser.error("expected --videos of at least 2 and --minutes of at least 0.1")
    result = measure(options.videos, options.minutes, options.workers)
    print(  # noqa: T201 - a command's output
        f"{result['videos']} pairs of {result['minutes']:g} minutes at 1920x1080 and 512x424, "
        f"{result['workers']} processes: {result['clips_written']} clips, {result['records_mb']} MB of "
        f"records, at most {result['peak_mb']} MB of memory, {result['build_seconds']} s."
    )
    text = json.dumps(result, indent=2)
    print(text)  # noqa: T201
    if options.out:
        options.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
