"""A network as an ONNX file, for onnxruntime and what else reads that format."""

import importlib.util
import json
from pathlib import Path

from rgb2ir_jax.exporting.finished_run import Trained
from rgb2ir_jax.exporting.target import Target
from rgb2ir_jax.exporting.usage import onnx_usage
from rgb2ir_jax.models.folding import fold_batch_norm
from rgb2ir_jax.models.model_card import model_card
from rgb2ir_jax.prediction.description import KEY, StudentDescription

MODEL_FILE = "model.onnx"
DESCRIPTION_FILE = "student.json"


def check_onnx() -> None:
    """Raises ValueError where the graph cannot be written."""
    if importlib.util.find_spec("onnx") is None:
        raise ValueError(
            "--format=onnx needs the package onnx, which is not installed: "
            "pip install onnx, or the extra that has it: pip install -e '.[export]'"
        )


def write_onnx(trained: Trained, out: Path, *, preprocessing: bool) -> list[Path]:
    """Writes the graph, its model card and its description, which stands in the graph too.

    Args:
        trained: the network.
        out: see `Target.at`.
        preprocessing: whether the graph normalises uint8 frames itself.

    Returns:
        The files, the graph first.

    Raises:
        ValueError: onnx is not installed, or as `Target.at` does.
    """
    check_onnx()
    from onnx import helper

    from rgb2ir_jax.exporting.onnx_graph import onnx_model

    if trained.spec.is_video_network:
        raise ValueError(
            f"--format=onnx writes networks that look at frames, and this one is an {trained.spec.title}, which "
            "convolves over time; choose --format=stablehlo or --format=safetensors"
        )

    target = Target.at(out, MODEL_FILE, DESCRIPTION_FILE)
    description = StudentDescription.of_run(
        trained.spec, trained.run["config"], trained.phase, preprocessing=preprocessing
    )
    model = onnx_model(fold_batch_norm(trained.network), description, trained.spec.enhancement)
    helper.set_model_props(
        model,
        {
            KEY: description.to_json(),
            "class_names": json.dumps(description.class_names),
            "synthetic": json.dumps(trained.synthetic),
        },
    )
    card = model_card(
        trained.spec,
        trained.run,
        trained.phase,
        usage=[onnx_usage(description, target.program.name)],
        synthetic=trained.synthetic,
    )
    return target.write(card, description.to_json(), model.SerializeToString())
