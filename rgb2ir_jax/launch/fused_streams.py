"""A run of TSTDDs as one network: three streams, whose scores are added up (`training.fusing.fused`)."""

from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from rgb2ir_jax.launch.trained_network import TrainedNetwork, load_run, read_json
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.checkpoints import NETWORK_FILE
from rgb2ir_jax.training.phases import TSTDD, streams_of
from rgb2ir_jax.training.saving.files import RESULT_FILE
from rgb2ir_jax.training.saving.workdir import CONFIG_FILE


class FusedStreams(NamedTuple):
    """The networks of a finished run of TSTDDs.

    Attributes:
        folder: with the result of their fusion.
        config: of the run.
        result: what the run's own test found of the fusion, `tstdd/result.json`.
        streams: the networks, in the order of the weights.
    """

    folder: Path
    config: ConfigDict
    result: dict[str, Any]
    streams: tuple[TrainedNetwork, ...]

    @property
    def name(self) -> str:
        """What results call it."""
        return TSTDD

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the scores."""
        return tuple(self.result["class_names"])

    @property
    def spec(self) -> NetworkSpec:
        """Of the first stream, which sees frames."""
        return self.streams[0].spec


def is_run_of_streams(run: Path) -> bool:
    """Whether a work directory is of the variant "tstdd", finished or not."""
    if (run / NETWORK_FILE).is_file() or not (run / CONFIG_FILE).is_file():
        return False
    return read_json(run / CONFIG_FILE, "it is no run").get("variant") == TSTDD


def open_streams(run: Path) -> FusedStreams:
    """Reads the networks of a finished run of TSTDDs.

    Args:
        run: its work directory.

    Raises:
        ValueError: it is not finished, or a file is not what it has to be.
    """
    config = ConfigDict(read_json(run / CONFIG_FILE, "it is no run"))
    unfinished = "not all streams of this run are trained yet; its own command goes on where it was"
    result = read_json(run / TSTDD / RESULT_FILE, unfinished)
    try:
        names = streams_of(config)
        _ = result["class_names"], config.tstdd.weights, config.tstdd.fusion
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{run} does not hold a run of this project: {error}") from error
    streams = tuple(load_run(run / name) for name in names)
    return FusedStreams(run / TSTDD, config, result, streams)
