"""Trains every row of a table of a paper and prints the table beside the published numbers.

    python -m rgb2ir_jax.reproduce --table=1|2|3|4 --config=configs/ntu.py --workdir=DIR [--seeds=3]
    [--config.FIELD=VALUE ...]
    python -m rgb2ir_jax.reproduce --table=dlkdd --config=configs/dark.py --workdir=DIR ...

`dlkdd` means the tables of DL-KDD that are about the data set which the config names.

Runs lie in DIR/SPLIT/seedS/VARIANT; students of one seed and split share one teacher, and tables
share runs. Started again, the command skips what is finished and goes on with what is not.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import app, flags

from rgb2ir_jax.launch.command_line import config_of_variants, define_config, fail, parse_flags
from rgb2ir_jax.launch.cpu_memory import (
    keep_memory_of_steps,
    largest_maps,
    start_with_memory_settings,
)

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from rgb2ir_jax.reporting.published import PublishedTable
    from rgb2ir_jax.reporting.reproduction import Outcome

_CONFIG = define_config()
_TABLE = flags.DEFINE_enum(
    "table",
    None,
    ["1", "2", "3", "4", "dlkdd"],
    "Table of the paper, or those of DL-KDD on the config's data set.",
    required=True,
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Trainings of each row: seeds 0, 1, ...", lower_bound=1)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the runs and the table.", required=True)


def main(_: list[str]) -> None:
    """Runs what the flags describe; a user's mistake is one line and exit code 2."""
    keeps_memory = start_with_memory_settings()
    from rgb2ir_jax.launch.compilation_cache import use_compilation_cache
    from rgb2ir_jax.training.garbage import collect_rarely
    from rgb2ir_jax.training.loop import DivergedError
    from rgb2ir_jax.training.observing.progress import show_log
    from rgb2ir_jax.training.signals import EXIT_CODE, Interrupted

    collect_rarely()
    show_log()
    use_compilation_cache()
    config_of, workdir = config_of_variants(), Path(_WORKDIR.value).expanduser()
    try:
        config = config_of("teacher")
        if keeps_memory:
            keep_memory_of_steps(largest_maps(config))
        tables = choose_tables(_TABLE.value, config)
        reproduce(tables, config_of, workdir, range(_SEEDS.value))
    except (ValueError, OSError) as error:
        fail(error)
    except DivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
    except Interrupted as stopped:
        print(f"{stopped}; the same command goes on where it was", file=sys.stderr)
        sys.exit(EXIT_CODE)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)


def choose_tables(name: str, config: "ConfigDict") -> "tuple[PublishedTable, ...]":
    """What `--table` names.

    Args:
        name: "1" to "4", or "dlkdd".
        config: of any variant; its data set decides which of DL-KDD's tables are meant.

    Raises:
        ValueError: DL-KDD has no table on that data set.
    """
    from rgb2ir_jax.reporting import published, published_dlkdd

    if name == "dlkdd":
        return published_dlkdd.tables_of(config.data.name, config.data.config)
    return (published.TABLES[int(name)],)


def reproduce(
    tables: "Sequence[PublishedTable]",
    config_of: Callable[[str], "ConfigDict"],
    workdir: Path,
    seeds: range,
) -> None:
    """Trains what is missing, and writes and prints the tables after every seed.

    Args:
        tables: The tables, which share the runs.
        config_of: variant -> its config; its seed, split and teacher are set here.
        workdir: Where runs and tables go.
        seeds: Trainings of each row.

    Raises:
        ValueError: a config, the data set or a run's folder is not what it has to be.
        DivergedError: a training diverged.
        Interrupted: SIGTERM or SIGINT asked to end; what is done is saved.
    """
    rows = [row for table in tables for row in table.rows]
    variants = dict.fromkeys(["teacher", *(row.variant for row in rows if row.variant)])
    protocols = dict.fromkeys(protocol for table in tables for protocol in table.protocols)
    metrics = {metric.key for table in tables for metric in table.metrics}
    left_out = _left_out(variants, config_of)
    for variant in left_out:
        del variants[variant]
    outcomes: list[Outcome] = []
    for seed in seeds:
        for protocol in protocols:
            for variant in variants:
                config = _configure(config_of(variant), seed, protocol, workdir)
                result = _run(config, _folder(config, workdir))
                outcomes.append(_outcome(result, metrics, protocol, seed))
                footage = "synthetic footage" if result["synthetic"] else result["data_set"]
        for table in tables:
            print(f"\n{_write(table, outcomes, workdir, footage)}", flush=True)
    written = ", ".join(f"{workdir / table.file_stem}.md and .csv" for table in tables)
    print(f"\nWritten: {written}")


def _left_out(variants: Iterable[str], config_of: Callable[[str], "ConfigDict"]) -> Sequence[str]:
    """Variants that the config cannot train: TSTDDs' streams do not go with every student.

    Raises:
        ValueError: another one cannot be trained; before any is.
    """
    from rgb2ir_jax.data.settings import validate as validate_data
    from rgb2ir_jax.training.phases import TSTDD
    from rgb2ir_jax.training.validation import apply_smoke, validate

    refused = []
    for variant in variants:
        config = apply_smoke(config_of(variant))
        validate_data(config.data)
        try:
            validate(config)
        except ValueError as error:
            if variant != TSTDD:
                raise
            print(f"The row of {variant!r} is left out: {error}", flush=True)
            refused.append(variant)
    return refused


def _configure(config: "ConfigDict", seed: int, protocol: str, workdir: Path) -> "ConfigDict":
    with config.unlocked():
        config.seed = seed
        if protocol:
            stem, _, end = config.data.config.rpartition("_")
            if end not in ("xsub", "xview"):
                raise ValueError(
                    f"config.data.config is {config.data.config!r}; this table compares the splits "
                    "xsub and xview, and expects a name that ends with one of them"
                )
            config.data.config = f"{stem}_{protocol}"
        if config.distill:
            config.teacher.checkpoint = str(_folder(config, workdir).with_name("teacher"))
    return config


def _folder(config: "ConfigDict", workdir: Path) -> Path:
    return workdir / config.data.config / f"seed{config.seed}" / config.variant


def _run(config: "ConfigDict", folder: Path) -> dict[str, Any]:
    from rgb2ir_jax.training.experiment import RESULT_FILE, Experiment

    experiment = Experiment(config, folder)
    finished = folder / RESULT_FILE
    if finished.is_file():
        print(f"\n== {folder}: finished already", flush=True)
        return json.loads(finished.read_text())
    print(f"\n== {folder}", flush=True)
    return experiment.run_before_others()


def _outcome(result: dict[str, Any], metrics: Iterable[str], protocol: str, seed: int) -> "Outcome":
    from rgb2ir_jax.reporting.reproduction import Outcome

    network = result["networks"][-1]
    percent = {name: 100 * network["metrics"][name] for name in metrics}
    return Outcome(network["variant"], protocol, seed, percent)


def _write(table: "PublishedTable", outcomes: list["Outcome"], workdir: Path, footage: str) -> str:
    from rgb2ir_jax.reporting.reproduction import reproduction_csv, reproduction_markdown

    seeds = len({outcome.seed for outcome in outcomes})
    metrics = " and ".join(metric.name for metric in table.metrics)
    text = (
        f"{table.name}: {table.title}, {metrics} in percent after the last epoch; "
        f"ours on {footage}, {seeds} seed{'s' if seeds > 1 else ''}\n\n{reproduction_markdown(table, outcomes)}"
    )
    for ending, content in ((".md", text + "\n"), (".csv", reproduction_csv(table, outcomes))):
        draft = workdir / f"{table.file_stem}{ending}.part"
        draft.write_text(content)
        draft.replace(draft.with_suffix(""))
    return text


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
