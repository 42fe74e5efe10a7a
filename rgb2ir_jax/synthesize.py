"""Command: films a synthetic data set: pairs of RGB and infrared video, or dark RGB video.

python -m rgb2ir_jax.synthesize --layout=ntu --out=DIR --clips=N [--height=H] [--seed=S]
    [--workers=W]
python -m rgb2ir_jax.synthesize --layout=pku_mmd --out=DIR --videos=N [--actions-per-video=K]
    [--height=H] [--seed=S] [--workers=W]
python -m rgb2ir_jax.synthesize --layout=arid --out=DIR --clips=N [--height=H] [--seed=S]
    [--workers=W]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rgb2ir_jax.synthesis.filming import FilmingReport

_USUAL_HEIGHT = {"ntu": 1080, "pku_mmd": 1080, "arid": 240}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rgb2ir_jax.synthesize",
        description="Films a synthetic person who acts out ten actions, with a colour and an infrared camera at "
        "once, or eleven actions in the dark with a colour camera, and writes the video files in the layout of "
        "a public data set.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--layout",
        choices=("ntu", "pku_mmd", "arid"),
        default="ntu",
        help="names and folders: NTU RGB+D's (default), one action a clip; or PKU-MMD's, long videos of "
        "several actions from three sides, with label and split files; or ARID's, dark colour clips of "
        "eleven actions with list files of three splits",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder to write to; a second call goes on where one stopped"
    )
    parser.add_argument(
        "--clips",
        type=_whole(1, 10_280),
        metavar="N",
        help="ntu: number of pairs (ten give one of each class); arid: number of clips (eleven do)",
    )
    parser.add_argument(
        "--videos",
        type=_whole(2, 1000),
        metavar="N",
        help="pku_mmd: number of performances, each filmed from three sides",
    )
    parser.add_argument(
        "--actions-per-video",
        type=_whole(1, 60),
        metavar="K",
        help="pku_mmd: actions in each performance (default 20, which take about two minutes)",
    )
    parser.add_argument(
        "--height",
        type=_even_height,
        metavar="H",
        help="lines of the colour picture, even, 32 to 1080 (default 1080: 1920x1080 colour, 512x424 infrared; "
        "arid: 240, which is 320x240)",
    )
    parser.add_argument(
        "--seed",
        type=_whole(0, 2**31 - 1),
        default=0,
        metavar="S",
        help="other seeds have other people and rooms",
    )
    parser.add_argument(
        "--workers",
        type=_whole(1, 512),
        default=os.cpu_count() or 1,
        metavar="W",
        help="processes (default: cores)",
    )
    parser.add_argument(
        "--contact-sheet",
        metavar="FILE",
        help="draw strips of one clip of each class into this JPEG or PNG as well",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _whole(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return value

    return convert


def _even_height(text: str) -> int:
    value = _whole(32, 1080)(text)
    if value % 2:
        raise argparse.ArgumentTypeError(
            f"{value} is odd; H.264 pictures need an even height, such as {value + 1}"
        )
    return value


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends the command with a message when options do not go together."""
    if options.layout == "pku_mmd":
        if options.clips is not None:
            parser.error("--clips belongs to --layout=ntu and arid; pku_mmd takes --videos=N")
        if options.contact_sheet is not None:
            parser.error("--contact-sheet draws clips of --layout=ntu and arid")
        if options.out is None or options.videos is None:
            parser.error("--layout=pku_mmd needs --out=DIR and --videos=N")
        return
    for option in ("videos", "actions_per_video"):
        if getattr(options, option) is not None:
            flag = option.replace("_", "-")
            parser.error(f"--{flag} belongs to --layout=pku_mmd; {options.layout} takes --clips=N")
    if options.contact_sheet is None and (options.out is None or options.clips is None):
        parser.error("give --out=DIR and --clips=N (or --contact-sheet=FILE)")
    if (options.out is None) != (options.clips is None):
        parser.error("--out=DIR and --clips=N go together")


def _film(options: argparse.Namespace) -> FilmingReport:
    rest = (options.height, options.seed, options.workers)
    if options.layout == "pku_mmd":
        from rgb2ir_jax.synthesis.pku_dataset import film_long_videos

        actions = options.actions_per_video or 20
        return film_long_videos(
            options.out, options.videos, actions, *rest, progress=not options.quiet
        )
    if options.layout == "arid":
        from rgb2ir_jax.synthesis.dark.dataset import film_dark_dataset

        return film_dark_dataset(options.out, options.clips, *rest, progress=not options.quiet)
    from rgb2ir_jax.synthesis.dataset import film_dataset

    return film_dataset(options.out, options.clips, *rest, progress=not options.quiet)


def _draw(options: argparse.Namespace) -> None:
    sheet = Path(options.contact_sheet)
    if options.layout == "arid":
        from rgb2ir_jax.synthesis.dark.clips import choose_clips
        from rgb2ir_jax.synthesis.dark.contact_sheet import write_dark_contact_sheet

        clips = choose_clips(options.clips or 11, options.seed)
        write_dark_contact_sheet(sheet, clips, options.seed, options.height)
        return
    from rgb2ir_jax.synthesis.casting import choose_samples
    from rgb2ir_jax.synthesis.contact_sheet import write_contact_sheet

    names = choose_samples(options.clips or 10, options.seed)
    write_contact_sheet(sheet, names, options.seed, options.height)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code (0 done, 1 failed, 2 wrong arguments, 130 interrupted)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check(parser, options)
    options.height = options.height or _USUAL_HEIGHT[options.layout]
    unit = "clips" if options.layout == "arid" else "pairs"
    from rgb2ir_jax.synthesis.filming import SynthesisError

    try:
        if options.out is not None:
            report = _film(options)
            if report.reused:
                print(f"{report.reused} {unit} were there already and are kept")
            if report.filmed:
                print(
                    f"filmed {report.filmed} {unit} in {report.seconds:.1f} s "
                    f"({report.pairs_per_minute:.0f} {unit}/min, {report.megabytes:.1f} MB) into {options.out}"
                )
        if options.contact_sheet is not None:
            _draw(options)
            print(f"drew {options.contact_sheet}")
    except KeyboardInterrupt:
        print(
            f"\ninterrupted; finished {unit} are kept, and the same command goes on from here",
            file=sys.stderr,
        )
        return 130
    except (SynthesisError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
