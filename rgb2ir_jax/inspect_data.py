"""Command: shows a built data set on one page of HTML that needs no network.

python -m rgb2ir_jax.inspect_data --data_dir=DIR [--dataset=NAME/CONFIG] [--split=SPLIT,...] --out=FILE.html
[--config=FILE[:VARIANT]] [--config.data.FIELD=VALUE ...]
[--enhance=zero_dce --enhance_weights=FILE | --enhance=gamma [--gamma=G]]
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from rgb2ir_jax.models.enhancement.stage import Enhancement
    from rgb2ir_jax.reporting.data_sets.statistics import DataStatistics
    from rgb2ir_jax.reporting.page import Notice


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rgb2ir_jax.inspect_data",
        description="Writes one page of HTML on a built data set: its clips by class, split, performer and camera, "
        "their lengths, what is odd about them, and what the networks will see of them.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--data_dir",
        metavar="DIR",
        help="what `tfds build` had as --data_dir (default: the config's)",
    )
    parser.add_argument(
        "--dataset",
        metavar="NAME/CONFIG",
        type=_name_and_config,
        help="for example ntu_rgbd_ir/ten_class_xsub (default: the config's)",
    )
    parser.add_argument(
        "--split",
        metavar="SPLIT,...",
        type=_splits,
        help="which splits to show, with TFDS's slices: train,test or train[:10%%] (default: all)",
    )
    parser.add_argument("--out", metavar="FILE.html", type=Path, required=True, help="the page")
    parser.add_argument(
        "--config",
        metavar="FILE[:VARIANT]",
        help="frames are sampled and cut as its data section says (default: configs/ntu.py); fields are "
        "set by --config.data.FIELD=VALUE",
    )
    parser.add_argument(
        "--max_clips",
        metavar="N",
        type=_count,
        default=0,
        help="look at so many clips of each split, evenly spread (default: all)",
    )
    parser.add_argument(
        "--seed", metavar="S", type=_count, default=0, help="another one shows other sample clips"
    )
    parser.add_argument(
        "--enhance",
        metavar="NAME",
        choices=("zero_dce", "gamma"),
        help="also show the sample clips' frames enhanced, below what they are",
    )
    parser.add_argument(
        "--enhance_weights",
        metavar="FILE",
        type=Path,
        help="of zero_dce: what a run of configs/zero_dce.py wrote, or the authors' Epoch99.pth",
    )
    parser.add_argument(
        "--gamma", metavar="G", type=float, help="of gamma: pixels ** (1 / G) (default: 1.8)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _name_and_config(text: str) -> tuple[str, str]:
    name, _, config = text.partition("/")
    if not name or not config or "/" in config or ".." in (name, config):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a name and a config, as in a/b")
    return name, config


def _splits(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r}; expected names of splits with commas between")
    return names


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code (0 done, 1 failed, 2 wrong arguments, 130 interrupted)."""
    parser = _parser()
    options, others = parser.parse_known_args(arguments)
    unknown = [given for given in others if not given.startswith("--config.")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    from rgb2ir_jax.data.settings import validate
    from rgb2ir_jax.data.source import DatasetNotFoundError

    try:
        data = _data_section(options.config, others)
        with data.unlocked():
            data.dir = options.data_dir or data.dir
            data.name, data.config = options.dataset or (data.name, data.config)
        validate(data)
        enhancement = _enhancement(options)
    except (ConfigError, ValueError) as error:
        parser.error(str(error))
    started = time.monotonic()
    try:
        _check_writable(options.out)
        found = _write(options, data, enhancement)
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error, DatasetNotFoundError):
            print("Here it is chosen by --data_dir, --dataset and --split.", file=sys.stderr)
        return 1
    for notice in found:
        print(f"{notice.level}: {notice.text}")
    print(
        f"wrote {options.out} ({options.out.stat().st_size / 1e6:.1f} MB) in "
        f"{time.monotonic() - started:.1f} s; open it in a browser"
    )
    return 0


def _enhancement(options: argparse.Namespace) -> "Enhancement | None":
    """What `--enhance` names, its weights read."""
    for flag, name in (("enhance_weights", "zero_dce"), ("gamma", "gamma")):
        if getattr(options, flag) is not None and options.enhance != name:
            raise ValueError(f"--{flag} belongs to --enhance={name}")
    if options.enhance is None:
        return None
    from rgb2ir_jax.models.enhancement.stage import Enhancement

    if options.enhance == "gamma":
        return Enhancement("gamma", **({} if options.gamma is None else {"gamma": options.gamma}))
    enhancement = Enhancement("zero_dce", weights=options.enhance_weights)
    _ = enhancement.tensors
    return enhancement


class ConfigError(ValueError):
    """The config cannot be had; the message says why."""


def _data_section(config: str | None, overrides: Sequence[str]) -> "ConfigDict":
    from absl import flags
    from ml_collections import config_flags

    import configs.ntu

    command_line = ["inspect_data", f"--config={config or configs.ntu.__file__}", *overrides]
    own = flags.FlagValues()
    defined = config_flags.DEFINE_config_file("config", flag_values=own, sys_argv=command_line)
    try:
        own(command_line)
        return defined.value.data.copy_and_resolve_references()
    except OSError as error:
        raise ConfigError(f"--config: {str(error).splitlines()[-1].strip()}") from error
    except SyntaxError as error:
        raise ConfigError(f"--config: {config} is no config file: {error}") from error
    except (AttributeError, KeyError) as error:
        if "Traceback" in str(error):  # From within the config file: a bug for its author.
            raise
        # ml_collections names the field, and one that is like it, in a message within a message.
        inner = error.args[0]
        field = inner.args[0] if isinstance(inner, KeyError) else inner
        told = str(field).replace("\n", ". ")
        raise ConfigError(f"the config has no such field: {told}") from error
    except (flags.Error, ValueError) as error:
        root: BaseException = error
        while "\n" in str(root) and (cause := root.__cause__ or root.__context__) is not None:
            root = cause
        raise ConfigError(str(root)) from error


def _check_writable(out: Path) -> None:
    """Finds out before minutes of reading that the page cannot be written."""
    if out.is_dir():
        raise IsADirectoryError(f"--out={out} is a folder; give the name of a file in it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"--out={out} cannot be written ({error.strerror}); choose another file"
        ) from error
    if not os.access(out.parent, os.W_OK) or (out.exists() and not os.access(out, os.W_OK)):
        raise PermissionError(f"--out={out} cannot be written; choose another file")


def _write(
    options: argparse.Namespace, data: "ConfigDict", enhancement: "Enhancement | None" = None
) -> "list[Notice]":
    from rgb2ir_jax.data.source import describe, open_split
    from rgb2ir_jax.reporting.build_report import read_build_report
    from rgb2ir_jax.reporting.data_sets.page import data_page
    from rgb2ir_jax.reporting.data_sets.samples import ClassSample, choose_clips, look_at_clip
    from rgb2ir_jax.reporting.data_sets.statistics import spread
    from rgb2ir_jax.reporting.data_sets.strips import sample_section
    from rgb2ir_jax.reporting.data_sets.warnings import find_warnings
    from rgb2ir_jax.reporting.page import Notice, write_page

    description = describe(data)
    splits = options.split or [name for name, clips in description.num_clips.items() if clips]
    if not splits:
        raise ValueError(f"no split of the data set in {description.directory} has a clip")
    sources = {split: open_split(data, split) for split in splits}
    total = sum(len(spread(len(source), options.max_clips)) for source in sources.values())
    statistics = _read_statistics(description.class_names, sources, options, total)
    enhancements = [
        (modality, enhancement)
        for modality, channels in description.modalities.items()
        if enhancement is not None and channels in (1, 3)
    ]
    found = find_warnings(statistics, description.config, data)
    clips = choose_clips(statistics, options.seed)

    def samples() -> Iterator[ClassSample]:
        for clip in clips:
            try:
                yield look_at_clip(sources[clip.split], clip, data, options.seed, enhancements)
            except ValueError as error:
                found.append(
                    Notice("problem", f"No sample of {clip.sample_id} ({clip.split}): {error}")
                )

    strips = sample_section(samples(), statistics, data, len(clips), options.seed)
    report = read_build_report(description.directory)
    text = data_page(description, statistics, report, found, strips, data)
    write_page(options.out, text)
    return found


def _read_statistics(
    class_names: Sequence[str], sources: dict, options: argparse.Namespace, total: int
) -> "DataStatistics":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from rgb2ir_jax.reporting.data_sets.statistics import read_statistics

    console = Console(stderr=True)
    with Progress(
        "reading",
        BarColumn(),
        MofNCompleteColumn(),
        "clips ETA",
        TimeRemainingColumn(),
        console=console,
        disable=options.quiet or not console.is_terminal,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=total)
        return read_statistics(
            class_names,
            sources,
            max_clips=options.max_clips,
            advance=lambda: progress.advance(task),
        )


if __name__ == "__main__":
    sys.exit(main())
