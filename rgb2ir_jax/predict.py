"""Says what happens in videos: clips, long videos through sliding windows, a camera as it films.

    python -m rgb2ir_jax.predict --run=DIR|--student=FILE VIDEO [VIDEO ...] [--topk=5] [--json]
    [--annotate=OUT.mp4] [--stream]

docs/deployment.md says which frames are looked at and what the JSON holds.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rgb2ir_jax.launch.command_line import fail

if TYPE_CHECKING:
    from rgb2ir_jax.prediction.inputs import Input
    from rgb2ir_jax.prediction.results import VideoResult
    from rgb2ir_jax.prediction.student import Student
    from rgb2ir_jax.prediction.windows import Windows

_WINDOWS = """\
A video of at most --longest_clip seconds is one clip, looked at as the run's test does. A longer one, and with
--stream any, is cut into windows. A window lasts 3 s by default, about as long as the clips of NTU RGB+D and
PKU-MMD, which hold one action each (2 to 4 s most of them, up to 10 s); give your own clips' usual length where
you trained on others. Exit code: 0, 1 where some video could not be looked at, 2 for a mistake."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code: 1 when some videos could not be read, 2 for a mistake."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.run is None) == (options.student is None):
        parser.error("name either --run=DIR or --student=FILE")
    if options.topk < 1:
        parser.error(f"--topk is {options.topk}, expected at least 1")
    try:
        return predict(options)
    except BrokenPipeError:
        # Whoever read the output has had enough of it; Python must not complain of that at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rgb2ir_jax.predict",
        description="Says what happens in videos.",
        epilog=_WINDOWS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "videos", nargs="+", metavar="VIDEO", help="a file, a folder of files, or a camera's number"
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="work directory of a training")
    parser.add_argument(
        "--student", type=Path, metavar="FILE", help="what the export command wrote: file or folder"
    )
    parser.add_argument("--network", choices=("student", "teacher"), help="of the run")
    parser.add_argument("--topk", type=int, default=5, metavar="K", help="classes to show (5)")
    parser.add_argument("--json", action="store_true", help="JSON on the standard output")
    parser.add_argument(
        "--annotate",
        type=Path,
        metavar="OUT.mp4",
        help="a copy of the video with the class written into it; a folder for several videos",
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="show each window's result as soon as its last frame is there (with --json: a line each); "
        "a camera does this by itself",
    )
    parser.add_argument("--window", type=float, default=3.0, metavar="S", help="seconds (3)")
    parser.add_argument("--stride", type=float, default=1.0, metavar="S", help="seconds (1)")
    parser.add_argument(
        "--longest_clip",
        type=float,
        default=10.0,
        metavar="S",
        help="seconds (10); 0: always windows",
    )
    return parser


def predict(options: argparse.Namespace) -> int:
    """Looks at what the options name and prints what is found; returns the exit code.

    Raises:
        ValueError: the network or an option is not what it has to be.
    """
    from rgb2ir_jax.prediction.annotation import copy_paths
    from rgb2ir_jax.prediction.inputs import find_inputs
    from rgb2ir_jax.prediction.results import document
    from rgb2ir_jax.prediction.windows import Windows

    inputs, empty = find_inputs(options.videos)
    cameras = [source for source in inputs if source.is_camera]
    if cameras and len(options.videos) > 1:
        raise ValueError(f"camera {cameras[0].name} films without end; name it alone")
    stream = options.stream or bool(cameras)
    windows = Windows(options.window, options.stride, 0.0 if stream else options.longest_clip)
    copies = copy_paths(options.annotate, [source.name for source in inputs])
    for _, reason in empty:
        print(f"error: {reason}", file=sys.stderr)
    if not inputs:
        return 1
    student = _load(options)
    results: list[VideoResult] = []
    run = _stream if stream else _read
    failed = bool(empty)
    for result in run(options, student, inputs, windows, copies):
        failed |= result.error is not None
        if options.json and not stream:
            results.append(result)
    if options.json and not stream:
        print(
            json.dumps(document(student, results, empty, options.topk), indent=2, allow_nan=False)
        )
    return int(failed)


def _load(options: argparse.Namespace) -> "Student":
    from rgb2ir_jax import load_student
    from rgb2ir_jax.prediction.exported import find_program

    path = (options.run or options.student).expanduser()
    program = find_program(path)
    # onnxruntime needs no JAX, which would take longer to import than the graph to run.
    if program is None or program.suffix != ".onnx":
        from rgb2ir_jax.launch.compilation_cache import use_compilation_cache

        use_compilation_cache()
    return load_student(path, network=options.network)


def _read(
    options: argparse.Namespace,
    student: "Student",
    inputs: list["Input"],
    windows: "Windows",
    copies: dict[str, Path],
) -> Iterator["VideoResult"]:
    """Prints each video's result when it is complete."""
    from rgb2ir_jax.prediction.annotation import AnnotatedCopy
    from rgb2ir_jax.prediction.predictor import annotate, predict_videos
    from rgb2ir_jax.video.decode import VideoDecodeError

    by_name = {source.name: source for source in inputs}
    for result in predict_videos(student, inputs, windows):
        if result.clips and not options.json:
            print(result.text(options.topk), flush=True)
        if result.clips and copies:
            # Of a video that breaks off, the copy holds what there is.
            with (
                AnnotatedCopy(copies[result.name]) as copy,
                contextlib.suppress(VideoDecodeError),
            ):
                annotate(by_name[result.name], result, copy)
        _complain(result)
        yield result


def _stream(
    options: argparse.Namespace,
    student: "Student",
    inputs: list["Input"],
    windows: "Windows",
    copies: dict[str, Path],
) -> Iterator["VideoResult"]:
    """Prints each window's result when it is there."""
    from rgb2ir_jax.prediction.annotation import AnnotatedCopy
    from rgb2ir_jax.prediction.predictor import stream_video
    from rgb2ir_jax.prediction.results import VideoResult

    for source in inputs:
        result = VideoResult(source.name)
        with contextlib.ExitStack() as stack:
            copy: AnnotatedCopy | None = None
            if copies:
                copy = stack.enter_context(AnnotatedCopy(copies[source.name]))
            try:
                for clip in stream_video(student, source, windows, result, copy):
                    if options.json:
                        line = {"video": source.name, **clip.to_dict(options.topk)}
                        print(json.dumps(line, allow_nan=False), flush=True)
                    else:
                        shown = clip.text(min(options.topk, 3))
                        print(f"{source.name}: {shown}", flush=True)
            except KeyboardInterrupt:
                # How a camera is stopped.
                if not source.is_camera:
                    raise
        _complain(result)
        if options.json:
            end = {key: value for key, value in result.to_dict(0).items() if key != "clips"}
            print(json.dumps({**end, "finished": True}), flush=True)
        yield result


def _complain(result: "VideoResult") -> None:
    for warning in result.warnings:
        print(f"warning: {result.name} {warning}", file=sys.stderr)
    if result.error is not None:
        print(f"error: {result.error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
