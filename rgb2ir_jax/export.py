"""Command: writes a trained network so that others can use it.

python -m rgb2ir_jax.export --run=DIR --out=DIR|FILE.safetensors [--format=safetensors]
[--network=student|teacher] [--synthetic]
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rgb2ir_jax.launch.command_line import fail

if TYPE_CHECKING:
    from rgb2ir_jax.models import TSN
    from rgb2ir_jax.models.network import NetworkSpec

_PHASES = ("student", "teacher")


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


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; a user's mistake is one line and exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        trained = read_run(
            options.run.expanduser(), options.network, synthetic=options.synthetic or None
        )
        files = FORMATS[options.format](trained, options.out.expanduser())
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
        "--out",
        metavar="PATH",
        type=Path,
        required=True,
        help="a folder for all files, or the name of the file of weights; the others lie beside it",
    )
    parser.add_argument("--format", choices=sorted(FORMATS), default="safetensors")
    parser.add_argument("--network", choices=_PHASES, default="student")
    parser.add_argument(
        "--synthetic",
        action="store_true",
        help="say in the card that the footage was rendered, where the run does not say so itself",
    )
    return parser


def read_run(run: Path, name: str, *, synthetic: bool | None = None) -> Trained:
    """Reads a network of a finished run.

    Args:
        run: the work directory.
        name: "student" or "teacher".
        synthetic: whether the footage was rendered; None: as the run tells.

    Raises:
        ValueError: there is no run, it is not finished, or it did not train that network.
    """
    from rgb2ir_jax.training.experiment import RESULT_FILE

    result = _read_result(run)
    trained = [network["network"] for network in result["networks"]]
    phase_result = run / name / RESULT_FILE
    if name not in trained or not phase_result.is_file():
        raise ValueError(
            f"the run in {run} trained no {name} of its own, only: {', '.join(trained)}; choose with "
            "--network, or name the run that trained it"
        )
    from rgb2ir_jax.training.checkpoints import load_network
    from rgb2ir_jax.training.sharding import make_mesh, replicated
    from rgb2ir_jax.training.state import merge

    spec, split, _ = load_network(run / name, replicated(make_mesh()))
    phase = json.loads(phase_result.read_text())
    if synthetic is None:
        synthetic = phase.get("synthetic", _looks_synthetic(result))
    return Trained(spec, merge(split.graph, split.variables), result, phase, synthetic)


def _read_result(run: Path) -> dict[str, Any]:
    from rgb2ir_jax.training.checkpoints import NETWORK_FILE
    from rgb2ir_jax.training.experiment import CONFIG_FILE, RESULT_FILE

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


def _write_safetensors(trained: Trained, out: Path) -> list[Path]:
    """Torchvision-named tensors, the model card and the network's description."""
    import numpy as np

    from rgb2ir_jax.models.model_card import model_card
    from rgb2ir_jax.models.pretrained.initialise import NETWORK_FILE, TENSORS_FILE
    from rgb2ir_jax.models.pretrained.safetensors_file import write_safetensors
    from rgb2ir_jax.models.pretrained.torchvision_layout import COUNTER, torchvision_tensors

    if out.suffix == ".safetensors":
        weights, card, description = out, out.with_suffix(".md"), out.with_suffix(".json")
    elif out.suffix in (".pth", ".pt", ".bin", ".ckpt", ".onnx"):
        raise ValueError(f"--out={out}: expected a folder, or a file that ends with .safetensors")
    else:
        weights, card, description = out / TENSORS_FILE, out / "README.md", out / NETWORK_FILE
    files = [weights, card, description]
    for file in files:
        if file.exists():
            raise ValueError(f"{file} is there already; choose another --out, or remove it")
    weights.parent.mkdir(parents=True, exist_ok=True)
    tensors = torchvision_tensors(trained.network.network)
    steps = np.asarray(trained.phase["steps"], np.int64)
    # PyTorch's BatchNorm counts its batches; strict=True asks for the counter.
    counters = {
        name.replace("running_mean", COUNTER): steps for name in tensors if "running_mean" in name
    }
    # The weights come last: where they are, the rest is there too.
    trained.spec.save(description)
    card.write_text(
        model_card(
            trained.spec,
            trained.run,
            trained.phase,
            weights=weights.name,
            synthetic=trained.synthetic,
        )
    )
    metadata = {
        "data_set": trained.phase["data_set"],
        "class_names": json.dumps(trained.phase["class_names"]),
        "synthetic": json.dumps(trained.synthetic),
    }
    write_safetensors(weights, tensors | counters, metadata)
    return files


FORMATS: dict[str, Callable[[Trained, Path], list[Path]]] = {
    "safetensors": _write_safetensors,
}
"""What `--format` may be: a function that writes a network to `--out` and returns the files."""


if __name__ == "__main__":
    sys.exit(main())
