"""Finds actions in long videos, and judges them by PKU-MMD's labels.

    python -m rgb2ir_jax.detect --run=DIR [--out=DIR] VIDEO [VIDEO ...]
    python -m rgb2ir_jax.detect --run=DIR --pku=MANUAL_DIR --split=cross-subject [--out=DIR]

Writes a file of `class,start,end,confidence` rows for each video, as PKU-MMD's owners want them, and
`detection.json` with the settings and figures.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgb2ir_jax.launch.command_line import fail

if TYPE_CHECKING:
    from rgb2ir_jax.launch.pku_footage import PkuVideos
    from rgb2ir_jax.launch.video_detection import Detection, Windows
    from rgb2ir_jax.video.source import VideoSource

THRESHOLDS = (0.1, 0.3, 0.5, 0.7)
_PROTOCOLS = {"cross-subject": "xsub", "cross-view": "xview"}
SUMMARY_FILE = "detection.json"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code: 1 when some videos could not be read, 2 for a mistake."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if bool(options.videos) == (options.pku is not None):
        parser.error("name either video files or --pku=FOLDER")
    from rgb2ir_jax.launch.compilation_cache import use_compilation_cache

    use_compilation_cache()
    try:
        failed = detect(options)["failed"]
    except (ValueError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        print("stopped; the files of the finished videos are kept", file=sys.stderr)
        return 130
    for reason in failed.values():
        print(f"error: {reason}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rgb2ir_jax.detect",
        description="Finds actions in long videos with a network that was trained on trimmed clips.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "videos", nargs="*", type=Path, metavar="VIDEO", help="what the network sees"
    )
    parser.add_argument("--run", required=True, type=Path, metavar="DIR", help="work directory")
    parser.add_argument("--network", choices=("student", "teacher"), help="default: the student")
    parser.add_argument("--pku", type=Path, metavar="DIR", help="PKU-MMD as its owners hand it out")
    parser.add_argument("--split", choices=tuple(_PROTOCOLS), default="cross-subject")
    parser.add_argument("--phase", type=int, choices=(1, 2), default=1, help="of PKU-MMD")
    parser.add_argument(
        "--stride",
        type=int,
        metavar="N",
        help="frames (8; of a network trained on frames in a row at most so many, as suits its clips)",
    )
    parser.add_argument(
        "--windows",
        type=_lengths,
        metavar="N,N",
        help="in frames (64,128; of a network trained on frames in a row the span of its clips)",
    )
    parser.add_argument(
        "--segments",
        type=int,
        metavar="N",
        help="frames looked at in a window; default: as trained",
    )
    parser.add_argument(
        "--background",
        type=float,
        default=0.5,
        metavar="P",
        help="less sure windows show nothing (0.5)",
    )
    parser.add_argument(
        "--most_overlap", type=float, default=0.4, help="of two detections of a class (0.4)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: detections/ beside the network"
    )
    return parser


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no list of numbers such as 64,128"
        ) from error


def detect(options: argparse.Namespace) -> dict[str, Any]:
    """Looks at the videos that the options name, writes what it finds, and returns the summary.

    Raises:
        ValueError: the run, the footage or an option is not what it has to be.
    """
    from rgb2ir_jax.data.sampling import Sampling
    from rgb2ir_jax.evaluation.proposal_files import write_proposals
    from rgb2ir_jax.launch.pku_footage import class_numbers, find_test_videos
    from rgb2ir_jax.launch.trained_network import load_run
    from rgb2ir_jax.launch.video_detection import Detector, Windows
    from rgb2ir_jax.training.saving.files import write_json
    from rgb2ir_jax.video.decode import VideoDecodeError

    network = load_run(options.run, options.network)
    windows = Windows.for_sampling(
        Sampling.from_config(network.config.data),
        stride=options.stride,
        lengths=options.windows,
        segments=options.segments,
        background=options.background,
        most_overlap=options.most_overlap,
    )
    numbers = class_numbers(network.class_names, required=options.pku is not None)
    labels: dict[str, list[list[int]]] = {}
    if options.pku is None:
        sources: Mapping[str, Path | VideoSource] = _by_name(options.videos)
    else:
        footage = find_test_videos(
            options.pku.expanduser(),
            options.phase,
            _PROTOCOLS[options.split],
            network.spec.modality,
            set(numbers),
        )
        sources, labels = footage.sources, footage.labels
        print(_absence_text(footage), end="", file=sys.stderr)
    out = (options.out or network.folder / "detections").expanduser()
    out.mkdir(parents=True, exist_ok=True)
    detector = Detector(network, windows)
    rows: dict[str, list[list[float]]] = {}
    failed: dict[str, str] = {}
    for name, source in sources.items():
        try:
            found = detector(source)
        except VideoDecodeError as error:
            failed[name] = str(error)
            continue
        rows[name] = [[numbers[p.label], p.start, p.end, p.confidence] for p in found.proposals]
        write_proposals(out / f"{name}.txt", rows[name])
        print(_video_text(name, found, network.class_names), flush=True)
    summary: dict[str, Any] = {
        "run": str(options.run),
        "folder": str(network.folder),
        "modality": network.spec.modality,
        "windows": _described(windows),
        "classes": dict(zip(numbers, network.class_names, strict=True)),
        "videos": {name: len(found) for name, found in rows.items()},
        "failed": failed,
    }
    if labels and rows:
        summary["split"], summary["synthetic"] = options.split, footage.synthetic
        summary["thresholds"] = judge(
            [rows[name] for name in rows], [labels[name] for name in rows]
        )
        print(_judgement_text(summary))
    write_json(out / SUMMARY_FILE, summary)
    print(f"\nWritten: {len(rows)} files of detections and {SUMMARY_FILE} in {out}")
    return summary


def judge(
    proposals: Sequence[Sequence[Sequence[float | int]]],
    labels: Sequence[Sequence[Sequence[float | int]]],
) -> dict[str, dict[str, Any]]:
    """PKU-MMD's official figures at several least overlaps.

    `mAP_action` is a mean over all 51 classes; `mAP_labelled`, which is not the owners', over those
    that are labelled in these videos.
    """
    from rgb2ir_jax.evaluation.pku_detection import evaluate

    labelled = {int(row[0]) for rows in labels for row in rows}
    figures = {}
    for threshold in THRESHOLDS:
        found = evaluate(proposals, labels, threshold=threshold)
        present = [found["per_class"][number] for number in sorted(labelled)]
        found["mAP_labelled"] = sum(present) / max(1, len(present))
        figures[str(threshold)] = found
    return figures


def _by_name(videos: Sequence[Path]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for video in videos:
        if video.stem in named:
            raise ValueError(
                f"{named[video.stem]} and {video} are both called {video.stem!r}, and so would their "
                "files of detections be; look at them one by one, each with its own --out"
            )
        named[video.stem] = video
    return named


def _absence_text(footage: "PkuVideos") -> str:
    if not footage.absent:
        return ""
    shown = ", ".join(footage.absent[:5]) + (", ..." if footage.absent[5:] else "")
    return (
        f"{len(footage.absent)} test videos are not there with their file and labels, and are not "
        f"judged: {shown}\n"
    )


def _described(windows: "Windows") -> dict[str, Any]:
    import dataclasses

    return json.loads(json.dumps(dataclasses.asdict(windows)))


def _video_text(name: str, found: "Detection", class_names: Sequence[str]) -> str:
    def lines() -> Iterator[str]:
        seconds = f", {found.num_frames / found.fps:.1f} s" if found.fps else ""
        yield f"{name}: {found.num_frames} frames{seconds}, {len(found.proposals)} actions"
        for proposal in found.proposals:
            moment = (
                f" ({proposal.start / found.fps:.1f}-{(proposal.end + 1) / found.fps:.1f} s)"
                if found.fps
                else ""
            )
            yield (
                f"  {proposal.start:6d}-{proposal.end:<6d}{moment} {class_names[proposal.label]} "
                f"{100 * proposal.confidence:.0f}%"
            )

    return "\n".join(lines())


def _judgement_text(summary: Mapping[str, Any]) -> str:
    from rgb2ir_jax.reporting.tables import markdown_table

    names = ("F1", "AP", "mAP_action", "mAP_labelled", "mAP_video", "AP2D")
    rows = [("overlap", *names)]
    rows += [
        (threshold, *(f"{found[name]:.3f}" for name in names))
        for threshold, found in summary["thresholds"].items()
    ]
    return (
        f"\n{len(summary['videos'])} {'synthetic ' * summary['synthetic']}test videos, "
        f"{summary['split']}; mAP_action is over PKU-MMD's 51 "
        "classes, mAP_labelled over those that occur:\n\n" + markdown_table(rows, text_columns=1)
    )


if __name__ == "__main__":
    sys.exit(main())
