"""A trained network, ready to look at clips: what every command that uses one starts with."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from rgb2ir_jax.data.pipeline import eval_batches
from rgb2ir_jax.evaluation.inference import LogitsOf, make_scorer, predict_split
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.streams import STREAMS
from rgb2ir_jax.training.checkpoints import NETWORK_FILE, load_network
from rgb2ir_jax.training.environment import compute_dtype
from rgb2ir_jax.training.experiment import CONFIG_FILE
from rgb2ir_jax.training.phase import RESULT_FILE
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.state import merge

_NAMES = ("student", "teacher")
# A config or a result has some kilobytes.
_MOST_BYTES = 64 * 2**20


class TrainedNetwork(NamedTuple):
    """A network with its weights on the devices, and the run that it comes from.

    Attributes:
        name: "student" or "teacher", or a stream of TSTDDs.
        folder: of its phase.
        spec: its description.
        config: of its run; of a network that sees a stream, with the clips as that reads them.
        result: what the run's own test found, the phase's `result.json`.
        variables: its weights.
        logits_of: the network in evaluation mode, see `evaluation.inference.make_scorer`.
        mesh: the devices.
    """

    name: str
    folder: Path
    spec: NetworkSpec
    config: ConfigDict
    result: dict[str, Any]
    variables: Any
    logits_of: LogitsOf
    mesh: Mesh

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the logits."""
        return tuple(self.result["class_names"])


def load_run(run: Path, name: str | None = None) -> TrainedNetwork:
    """Reads a network of a finished run.

    Args:
        run: the work directory of `rgb2ir_jax.main`, or one phase's folder in it.
        name: "student" or "teacher"; None takes the student, or the teacher where there is no
            student. The teacher of a run that was given one is that one.

    Raises:
        ValueError: there is no such network, its training did not end, or a file is not what it
            has to be.
    """
    folder = _phase_folder(run.expanduser(), name)
    result = read_json(folder / RESULT_FILE, "the training of this network did not end")
    config = ConfigDict(read_json(folder.parent / CONFIG_FILE, "it is no run's phase"))
    try:
        dtype = compute_dtype(config.compute_dtype)
        data, evaluation = config.data, config.evaluation
        _ = result["class_names"], data.segments, evaluation.batch_size
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{folder.parent} does not hold a run of this project: {error}") from error
    mesh = make_mesh()
    spec, network, _ = load_network(folder, replicated(mesh), dtype)
    if spec.stream is not None:
        config = spec.stream.read(config)

    def logits_of(variables: Any, frames: jax.Array) -> jax.Array:
        return merge(network.graph, variables)(spec.normalise(frames, dtype), train=False).logits

    return TrainedNetwork(
        name=str(result["network"]),
        folder=folder,
        spec=spec,
        config=config,
        result=result,
        variables=network.variables,
        logits_of=logits_of,
        mesh=mesh,
    )


def score_split(
    network: TrainedNetwork, data: ConfigDict, split: str, protocol: Protocol, *, limit: int = 0
) -> tuple[Float[np.ndarray, "clip classes"], Int[np.ndarray, " clip"]]:
    """Logits and labels of every clip of a split, in its order.

    Args:
        network: who looks at them.
        data: `config.data`, with the folder of the data set.
        split: name of the split.
        protocol: which frames and crops are looked at.
        limit: stops after so many clips; 0 for all.

    Raises:
        ValueError: the data set or split is not there, or the protocol does not suit the network.
    """
    config, modality, stream = network.config, network.spec.modality, network.spec.stream
    if stream is not None:
        protocol = dataclasses.replace(protocol, segments=stream.segments(protocol.segments))
    score = make_scorer(
        network.logits_of,
        network.mesh,
        sub_clips=protocol.sub_clips(config.data.segments, mixes_segments=network.spec.mixes_time),
    )
    batches = eval_batches(
        data,
        split,
        protocol.batch_size(
            config.evaluation.batch_size, config.data.segments, network.mesh.devices.size
        ),
        [modality],
        segments=protocol.segments,
        crops=protocol.crops,
    )
    return predict_split(
        lambda batch: score(network.variables, batch[modality]), batches, limit=limit
    )


def _phase_folder(run: Path, name: str | None) -> Path:
    if (run / NETWORK_FILE).is_file():
        if name not in (None, run.name):
            raise ValueError(f"{run} holds one network; leave the choice of {name!r} out")
        return run
    for candidate in (name,) if name else _NAMES:
        if (run / candidate / NETWORK_FILE).is_file():
            return run / candidate
    if name == "teacher" and (run / CONFIG_FILE).is_file():
        return _given_teacher(run)
    if not run.is_dir():
        raise ValueError(f"there is no folder {run}; expected the --workdir of a run")
    if streams := [stream for stream in STREAMS if (run / stream / NETWORK_FILE).is_file()]:
        raise ValueError(
            f"{run} holds a network for each of TSTDDs' streams; name one of them: "
            f"{', '.join(str(run / stream) for stream in streams)}"
        )
    raise ValueError(
        f"{run} holds no trained {name or 'network'}: expected {' or '.join(_NAMES)} in it, each with "
        f"{NETWORK_FILE}; name the --workdir of a run"
    )


def _given_teacher(run: Path) -> Path:
    """The teacher that a run's config names, where it did not train its own."""
    config = ConfigDict(read_json(run / CONFIG_FILE, "it is no run"))
    given = [
        *config.get("teachers", ()),
        *filter(None, [config.get("teacher", {}).get("checkpoint")]),
    ]
    if len(given) != 1:
        raise ValueError(
            f"{run} trained no teacher of its own"
            + (f" and was given several: {', '.join(given)}; name one of these" if given else "")
        )
    path = Path(given[0]).expanduser()
    for folder in (path, path / "teacher"):
        if (folder / NETWORK_FILE).is_file():
            return folder
    raise ValueError(f"{run} was given the teacher in {path}, and there is none any more")


def read_json(path: Path, otherwise: str) -> dict[str, Any]:
    """Reads a small file of a run.

    Args:
        path: of the file.
        otherwise: what it means that there is none.

    Raises:
        ValueError: there is none, or it holds no JSON object.
    """
    if not path.is_file():
        raise ValueError(f"there is no {path}: {otherwise}")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path} is larger than {_MOST_BYTES} bytes; no run writes such a file")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object")
    return content
