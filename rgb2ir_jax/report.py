"""Command: shows what runs did on one page of HTML that needs no network.

python -m rgb2ir_jax.report RUN [RUN ...] --out=report.html [--look] [--data_dir=DIR]

A RUN is a work directory of rgb2ir_jax.main, or a folder above several. The page is made from the
runs' files alone. With --look, the trained networks are shown their test clips first, which leaves
a file beside each that this page and later ones have intervals, features and pictures from.
"""

import argparse
import os
import sys
import time
from pathlib import Path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rgb2ir_jax.report",
        description="Writes one page of HTML on trained or unfinished runs: results over seeds beside the paper's, "
        "learning curves, confusion matrices, classes, cost, settings, and what to be careful about.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        type=Path,
        nargs="+",
        help="a work directory of rgb2ir_jax.main, or a folder above several",
    )
    parser.add_argument("--out", metavar="FILE.html", type=Path, required=True, help="the page")
    parser.add_argument(
        "--look",
        action="store_true",
        help="show the test clips to the trained networks first, for intervals and paired tests, features, "
        "Grad-CAM and mistakes; takes checkpoints and data, and is kept as looks.npz beside each network",
    )
    parser.add_argument(
        "--data_dir",
        metavar="DIR",
        help="of the built data set, for --look; default: each run's own",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code (0 done, 1 not writable, 2 wrong arguments, 130 interrupted)."""
    options = _parser().parse_intermixed_args(arguments)
    from rgb2ir_jax.launch.command_line import fail
    from rgb2ir_jax.reporting.page import write_page
    from rgb2ir_jax.reporting.runs.page import write_report

    started = time.monotonic()
    try:
        _check_writable(options.out)
        runs = [path.expanduser() for path in options.runs]
        if options.look:
            _look(runs, options.data_dir)
        elif options.data_dir is not None:
            raise ValueError("--data_dir belongs to --look; without it no data is read")
        page = write_report(runs)
    except (ValueError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        print("\nstopped; no page was written", file=sys.stderr)
        return 130
    try:
        write_page(options.out, page)
    except OSError as error:
        print(f"error: --out={options.out} cannot be written: {error}", file=sys.stderr)
        return 1
    print(
        f"wrote {options.out} ({options.out.stat().st_size / 1e6:.1f} MB) in "
        f"{time.monotonic() - started:.1f} s; open it in a browser"
    )
    return 0


def _look(runs: list[Path], data_dir: str | None) -> None:
    """Shows the test clips to the runs' networks; what cannot be shown is told and left out."""
    from rgb2ir_jax.reporting.runs.files import find_runs

    folders = find_runs(runs)  # Before JAX is started: a wrong path is told at once.
    from rgb2ir_jax.launch.compilation_cache import use_compilation_cache
    from rgb2ir_jax.launch.looks import look_at_runs

    use_compilation_cache()
    for line in look_at_runs(folders, data_dir, print):
        print(f"warning: {line}", file=sys.stderr)


def _check_writable(out: Path) -> None:
    if out.is_dir():
        raise ValueError(f"--out={out} is a folder; give the name of a file in it")
    there = next((folder for folder in out.absolute().parents if folder.exists()), None)
    if there is None or not there.is_dir() or not os.access(there, os.W_OK):
        raise ValueError(f"--out={out} cannot be written; choose another file")


if __name__ == "__main__":
    sys.exit(main())
