"""Trains every row of a table of the paper and prints the table beside the published numbers.

    python -m rgb2ir_jax.reproduce --table=1|2|3|4 --config=configs/ntu.py --workdir=DIR [--seeds=3]
    [--config.FIELD=VALUE ...]

Runs lie in DIR/SPLIT/seedS/VARIANT; students of one seed and split share one teacher, and tables
share runs. Started again, the command skips what is finished and goes on with what is not.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import app, flags

from rgb2ir_jax.launch.command_line import config_of_variants, define_config, fail, parse_flags

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from rgb2ir_jax.reporting.published import PublishedTable
    from rgb2ir_jax.reporting.reproduction import Outcome

_CONFIG = define_config()
_TABLE = flags.DEFINE_enum(
    "table", None, ["1", "2", "3", "4"], "Table of the paper.", required=True
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Trainings of each row: seeds 0, 1, ...", lower_bound=1)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the runs and the table.", required=True)


def main(_: list[str]) -> None:
    """Runs what the flags describe; a user's mistake is one line and exit code 2."""
    from rgb2ir_jax.launch.compilation_cache import use_compilation_cache
    from rgb2ir_jax.reporting.published import TABLES
    from rgb2ir_jax.training.loop import DivergedError
    from rgb2ir_jax.training.observing.progress import show_log
    from rgb2ir_jax.training.signals import EXIT_CODE, Interrupted

    show_log()
    use_compilation_cache()
    table, workdir = TABLES[int(_TABLE.value)], Path(_WORKDIR.value).expanduser()
    try:
        reproduce(table, config_of_variants(), workdir, range(_SEEDS.value))
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


def reproduce(
    table: "PublishedTable",
    config_of: Callable[[str], "ConfigDict"],
    workdir: Path,
    seeds: range,
) -> None:
    """Trains what is missing, and writes and prints the table after every seed.

    Args:
        table: The table.
        config_of: variant -> its config; its seed, split and teacher are set here.
        workdir: Where runs and tables go.
        seeds: Trainings of each row.

    Raises:
        ValueError: a config, the data set or a run's folder is not what it has to be.
        DivergedError: a training diverged.
    """
    variants = ["teacher", *(row.variant for row in table.rows if row.variant)]
    outcomes: list[Outcome] = []
    for seed in seeds:
        for protocol in table.protocols:
            for variant in variants:
                config = _configure(config_of(variant), seed, protocol, workdir)
                result = _run(config, _folder(config, workdir))
                outcomes.append(_outcome(result, table, protocol, seed))
                footage = "synthetic footage" if result["synthetic"] else result["data_set"]
        print(f"\n{_write(table, outcomes, workdir, footage)}", flush=True)
    print(f"\nWritten: {workdir}/table{table.number}.md and .csv")


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
    return experiment.run()


def _outcome(
    result: dict[str, Any], table: "PublishedTable", protocol: str, seed: int
) -> "Outcome":
    from rgb2ir_jax.reporting.reproduction import Outcome

    network = result["networks"][-1]
    return Outcome(network["variant"], protocol, seed, 100 * network["metrics"][table.metric])


def _write(table: "PublishedTable", outcomes: list["Outcome"], workdir: Path, footage: str) -> str:
    from rgb2ir_jax.reporting.reproduction import reproduction_csv, reproduction_markdown

    seeds = len({outcome.seed for outcome in outcomes})
    text = (
        f"Table {table.number}: {table.title}, {table.metric_name} in percent after the last epoch; "
        f"ours on {footage}, {seeds} seed{'s' if seeds > 1 else ''}\n\n{reproduction_markdown(table, outcomes)}"
    )
    for ending, content in ((".md", text + "\n"), (".csv", reproduction_csv(table, outcomes))):
        draft = workdir / f"table{table.number}{ending}.part"
        draft.write_text(content)
        draft.replace(draft.with_suffix(""))
    return text


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
