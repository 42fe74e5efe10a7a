"""What `rgb2ir_jax.evaluate` tests: a network of a run, the streams of one, or an exported network."""

import argparse
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.launch.data_of_run import data_of_run
from rgb2ir_jax.launch.exported_network import ExportedNetwork, open_exported
from rgb2ir_jax.launch.fused_streams import FusedStreams, is_run_of_streams, open_streams
from rgb2ir_jax.launch.trained_network import TrainedNetwork, load_run, score_split
from rgb2ir_jax.prediction.own_test import OwnTest
from rgb2ir_jax.training.fusing import fused


class Subject(NamedTuple):
    """What is tested, and how its own test was.

    Attributes:
        network: it.
        entry: what the outcome says of its origin.
        data: the data set, as a `config.data`.
        protocol: of its own test.
        limit: clips that its own test stopped after; 0: none.
        score: logits and labels of a split, by a protocol.
        own_test: what its run noted of that test; None: not known.
    """

    network: TrainedNetwork | FusedStreams | ExportedNetwork
    entry: dict[str, Any]
    data: ConfigDict
    protocol: Protocol
    limit: int
    score: Callable[[str, Protocol], tuple[np.ndarray, np.ndarray]]
    own_test: OwnTest | None


def open_subject(options: argparse.Namespace) -> Subject:
    """Opens what the options of the command name.

    Raises:
        ValueError: there is no such network, or options do not go together.
    """
    return _open_exported(options) if options.student else _open_run(options)


def _open_run(options: argparse.Namespace) -> Subject:
    if options.data_set:
        raise ValueError("--data_set belongs to --student=FILE; a run knows its data set")
    if is_run_of_streams(options.run.expanduser()):
        return _open_streams(options)
    network = load_run(options.run, options.network)
    stream = network.spec.stream
    if stream is not None and options.segments not in (
        None,
        stream.segments(options.segments or 0),
    ):
        raise ValueError(
            f"--segments is {options.segments}, but the network in {network.folder} sees {stream}, whatever "
            "the segments; leave it out"
        )
    data = data_of_run(network, options.data_dir)
    limit = int(network.config.get("limit_test_clips", 0))
    return Subject(
        network,
        {
            "run": str(options.run),
            "variant": network.result["variant"],
            "modality": network.spec.modality,
            "seed": network.result["seed"],
        },
        data,
        Protocol.from_config(network.config),
        limit,
        lambda split, protocol: score_split(network, data, split, protocol, limit=limit),
        # Repeated with the run's limit of clips, if it has one.
        OwnTest(
            network.result["data_set"], network.config.data.test_split, network.result["metrics"]
        ),
    )


def _open_streams(options: argparse.Namespace) -> Subject:
    run = options.run.expanduser()
    network = open_streams(run)
    if options.network:
        raise ValueError(
            f"{run} holds a network for each of TSTDDs' streams and no {options.network}; leave --network "
            f"out to test what they say together, or name one: --run={network.streams[0].folder}"
        )
    limit = int(network.config.get("limit_test_clips", 0))

    def score(split: str, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
        found = [
            score_split(stream, data_of_run(stream, options.data_dir), split, protocol, limit=limit)
            for stream in network.streams
        ]
        return fused(network.config, found)

    return Subject(
        network,
        {
            "run": str(options.run),
            "variant": network.result["variant"],
            "modality": network.spec.modality,
            "seed": network.result["seed"],
            "streams": [stream.name for stream in network.streams],
            "weights": list(network.config.tstdd.weights),
            "fusion": network.config.tstdd.fusion,
        },
        data_of_run(network, options.data_dir),
        Protocol.from_config(network.config),
        limit,
        score,
        OwnTest(
            network.result["data_set"], network.config.data.test_split, network.result["metrics"]
        ),
    )


def _open_exported(options: argparse.Namespace) -> Subject:
    if not (options.data_set and options.data_dir):
        raise ValueError(
            "--student=FILE needs --data_set=NAME/CONFIG and --data_dir=DIR: an exported network does not "
            "know where clips are"
        )
    if options.network or options.compare:
        raise ValueError("--network and --compare belong to --run=DIR")
    network = open_exported(options.student, options.data_set, options.data_dir)
    return Subject(
        network,
        {
            "run": str(options.student),
            "variant": "exported",
            "modality": network.modality,
            "seed": None,
        },
        network.data,
        network.protocol,
        0,
        network.score_split,
        network.student.description.own_test,
    )


def reproduction(
    subject: Subject, split: str, protocol: Protocol, metrics: dict[str, Any]
) -> dict[str, Any] | None:
    """How figures relate to those of the run's own test; None where that was another test, or is not known."""
    own, data = subject.own_test, subject.data
    if own is None or own.data_set != f"{data.name}/{data.config}":
        return None
    if split != own.split or protocol != subject.protocol:
        return None
    return own.compare(json.loads(json.dumps(metrics)))
