"""A network of a finished run, with all that an export says of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rgb2ir_jax.models import TSN
    from rgb2ir_jax.models.network import NetworkSpec


class Trained(NamedTuple):
    """A network of a finished run.

    Attributes:
        spec: its description.
        network: with its trained weights, in float32.
        run: the run's `result.json`.
        phase: the network's own `result.json`.
        synthetic: whether its footage was rendered.
    """

    spec: "NetworkSpec"
    network: "TSN"
    run: dict[str, Any]
    phase: dict[str, Any]
    synthetic: bool


def read_run(run: Path, name: str, *, synthetic: bool | None = None) -> Trained:
    """Reads a network of a finished run.

    Args:
        run: the work directory.
        name: "student" or "teacher".
        synthetic: whether the footage was rendered; None: as the run tells.

    Raises:
        ValueError: there is no run, it is not finished, or it did not train that network.
    """
    from rgb2ir_jax.training.saving.files import RESULT_FILE

    result = _read_result(run)
    if result.get("variant") == "tstdd":
        raise ValueError(
            f"the run in {run} trained a network for each of TSTDDs' streams, whose scores are added up; an "
            "export holds one network. Its spatial stream alone is what the variant 'student' trains: "
            "export a run of that"
        )
    trained = [network["network"] for network in result["networks"]]
    phase_result = run / name / RESULT_FILE
    if name not in trained or not phase_result.is_file():
        raise ValueError(
            f"the run in {run} trained no {name} of its own, only: {', '.join(trained)}; choose with "
            "--network, or name the run that trained it"
        )
    from rgb2ir_jax.models.streams import check_sees_frames
    from rgb2ir_jax.training.checkpoints import load_network
    from rgb2ir_jax.training.sharding import make_mesh, replicated
    from rgb2ir_jax.training.state import merge

    spec, split, _ = load_network(run / name, replicated(make_mesh()))
    check_sees_frames(spec.stream, "an export")
    phase = json.loads(phase_result.read_text())
    if synthetic is None:
        synthetic = phase.get("synthetic", _looks_synthetic(result))
    return Trained(spec, merge(split.graph, split.variables), result, phase, synthetic)


def _read_result(run: Path) -> dict[str, Any]:
    from rgb2ir_jax.training.checkpoints import NETWORK_FILE
    from rgb2ir_jax.training.saving.files import RESULT_FILE
    from rgb2ir_jax.training.saving.workdir import CONFIG_FILE

    if (run / NETWORK_FILE).is_file():
        raise ValueError(
            f"--run={run} is the folder of one network; give the run's, which is {run.absolute().parent}"
        )
    if not (run / CONFIG_FILE).is_file():
        raise ValueError(
            f"--run={run} holds no run: expected {CONFIG_FILE} and {RESULT_FILE} in it, as "
            "`python -m rgb2ir_jax.main --workdir=DIR` writes them"
        )
    if not (run / RESULT_FILE).is_file():
        raise ValueError(
            f"the run in {run} is not finished (there is no {RESULT_FILE}); start it again with its own "
            "command, and it goes on where it stopped"
        )
    try:
        return json.loads((run / RESULT_FILE).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{run / RESULT_FILE} is damaged: {error}") from error


def _looks_synthetic(result: dict[str, Any]) -> bool:
    """What runs tell that do not yet say it outright."""
    data = result["config"]["data"]
    told = (result["config_name"], data["name"], data["config"], data["dir"])
    return result["config_name"] == "demo" or any("synth" in str(text).lower() for text in told)
