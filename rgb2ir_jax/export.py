"""Command: writes a trained network so that others can use it.

    python -m rgb2ir_jax.export --run=DIR [--format=safetensors|stablehlo|onnx] [--out=DIR|FILE]
    [--network=student|teacher] [--no-preprocessing] [--synthetic]

docs/deployment.md says what is in the files and how to run them elsewhere.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rgb2ir_jax.exporting.finished_run import Trained, read_run
from rgb2ir_jax.launch.command_line import fail

_PHASES = ("student", "teacher")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; a user's mistake is one line and exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        files = export(options)
    except (ValueError, OSError) as error:
        fail(error)
    for file in files:
        print(f"wrote {file} ({file.stat().st_size / 1e6:.3f} MB)")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rgb2ir_jax.export",
        description="Writes a trained network of a run, with a model card and its description.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--run", metavar="DIR", type=Path, required=True, help="what the training had as --workdir"
    )
    parser.add_argument(
        "--format",
        choices=sorted(FORMATS),
        default="safetensors",
        help="tensors for PyTorch and this project (the default), a program for JAX alone, or a graph "
        "for onnxruntime; the last two have BatchNorm folded and take any number of clips",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        type=Path,
        help="a folder for all files, or the name of the main one; the others lie beside it. Default: "
        "export/NETWORK-FORMAT in the run's folder",
    )
    parser.add_argument("--network", choices=_PHASES, default="student")
    parser.add_argument(
        "--preprocessing",
        action=argparse.BooleanOptionalAction,
        help="whether a stablehlo or onnx program takes uint8 frames and normalises them itself (the "
        "default), or float32 frames that are normalised already",
    )
    parser.add_argument(
        "--synthetic",
        action="store_true",
        help="say in the card that the footage was rendered, where the run does not say so itself",
    )
    return parser


def export(options: argparse.Namespace) -> list[Path]:
    """Writes what the options name; returns the files.

    Raises:
        ValueError: the run or an option is not what it has to be, or a package is missing.
    """
    if options.format == "safetensors" and options.preprocessing is not None:
        raise ValueError(
            "--preprocessing belongs to --format=stablehlo and --format=onnx; safetensors hold tensors, "
            "no program that could normalise frames"
        )
    if options.format == "onnx":
        from rgb2ir_jax.exporting.onnx_export import check_onnx

        check_onnx()
    run = options.run.expanduser()
    trained = read_run(run, options.network, synthetic=options.synthetic or None)
    if trained.spec.enhancement is not None and options.preprocessing is False:
        raise ValueError(
            f"the {options.network} sees {trained.spec.sees}, which is done to frames before they are "
            "normalised: a program for normalised frames cannot contain it. Leave --no-preprocessing out"
        )
    out = options.out or run / "export" / f"{options.network}-{options.format}"
    return FORMATS[options.format](trained, out.expanduser(), options.preprocessing in (None, True))


def _safetensors(trained: Trained, out: Path, _: bool) -> list[Path]:
    from rgb2ir_jax.exporting.safetensors_export import write_tensors

    return write_tensors(trained, out)


def _stablehlo(trained: Trained, out: Path, preprocessing: bool) -> list[Path]:
    from rgb2ir_jax.exporting.stablehlo_program import write_stablehlo

    return write_stablehlo(trained, out, preprocessing=preprocessing)


def _onnx(trained: Trained, out: Path, preprocessing: bool) -> list[Path]:
    from rgb2ir_jax.exporting.onnx_export import write_onnx

    return write_onnx(trained, out, preprocessing=preprocessing)


FORMATS: dict[str, Callable[[Trained, Path, bool], list[Path]]] = {
    "safetensors": _safetensors,
    "stablehlo": _stablehlo,
    "onnx": _onnx,
}
"""What `--format` may be: a function of network, `--out` and `--preprocessing` to the files."""


if __name__ == "__main__":
    sys.exit(main())
