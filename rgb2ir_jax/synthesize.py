"""Command: films a synthetic paired RGB and infrared data set.

python -m rgb2ir_jax.synthesize --layout=ntu --out=DIR --clips=N [--height=H] [--seed=S]
    [--workers=W]
python -m rgb2ir_jax.synthesize --layout=pku_mmd --out=DIR --videos=N [--actions-per-video=K]
    [--height=H] [--seed=S] [--workers=W]
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rgb2ir_jax.synthesize",
        description="Films a synthetic person who acts out ten actions, with a colour and an infrared camera at "
        "once, and writes the video files in the layout of a public data set.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--layout",
        choices=("ntu", "pku_mmd"),
        default="ntu",
        help="names and folders: NTU RGB+D's (default), one action a clip; or PKU-MMD's, long videos of "
        "several actions from three sides, with label and split files",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder to write to; a second call goes on where one stopped"
    )
    parser.add_argument(
        "--clips",
        type=_whole(1, 10_280),
        metavar="N",
        help="ntu: number of pairs (ten give one of each class)",
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
        default=1080,
        metavar="H",
        help="lines of the colour picture, even, 32 to 1080 (default 1080: 1920x1080 colour, 512x424 infrared)",
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
            parser.error("--clips belongs to --layout=ntu; --layout=pku_mmd takes --videos=N")
        if options.contact_sheet is not None:
            parser.error("--contact-sheet draws clips of --layout=ntu")
        if options.out is None or options.videos is None:
            parser.error("--layout=pku_mmd needs --out=DIR and --videos=N")
        return
    for option in ("videos", "actions_per_video"):
        if getattr(options, option) is not None:
            flag = option.replace("_", "-")
            parser.error(f"--{flag} belongs to --layout=pku_mmd; --layout=ntu takes --clips=N")
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
    from rgb2ir_jax.synthesis.dataset import film_dataset

    return film_dataset(options.out, options.clips, *rest, progress=not options.quiet)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code (0 done, 1 failed, 2 wrong arguments, 130 interrupted)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check(parser, options)
    from rgb2ir_jax.synthesis.filming import SynthesisError

    try:
        if options.out is not None:
            report = _film(options)
            if report.reused:
                print(f"{report.reused} pairs were there already and are kept")
            if report.filmed:
                print(
                    f"filmed {report.filmed} pairs in {report.seconds:.1f} s "
                    f"({report.pairs_per_minute:.0f} pairs/min, {report.megabytes:.1f} MB) into {options.out}"
                )
        if options.contact_sheet is not None:
            from rgb2ir_jax.synthesis.casting import choose_samples
            from rgb2ir_jax.synthesis.contact_sheet import write_contact_sheet

            names = choose_samples(options.clips or 10, options.seed)
            write_contact_sheet(Path(options.contact_sheet), names, options.seed, options.height)
            print(f"drew {options.contact_sheet}")
    except KeyboardInterrupt:
        print(
            "\ninterrupted; finished pairs are kept, and the same command goes on from here",
            file=sys.stderr,
        )
        return 130
    except (SynthesisError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
