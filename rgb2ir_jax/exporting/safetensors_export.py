"""A network's tensors under torchvision's names, for PyTorch and for this project."""

import json
from pathlib import Path

import numpy as np

from rgb2ir_jax.exporting.finished_run import Trained
from rgb2ir_jax.exporting.target import Target
from rgb2ir_jax.exporting.usage import enhancement_usage, here_usage, pytorch_usage
from rgb2ir_jax.models.enhancement.stage import recorded_weights
from rgb2ir_jax.models.model_card import model_card
from rgb2ir_jax.models.pretrained.initialise import NETWORK_FILE, TENSORS_FILE
from rgb2ir_jax.models.pretrained.safetensors_file import write_safetensors
from rgb2ir_jax.models.pretrained.torchvision_layout import (
    COUNTER,
    named_module,
    torchvision_tensors,
)
from rgb2ir_jax.prediction.description import KEY, StudentDescription


def write_tensors(trained: Trained, out: Path) -> list[Path]:
    """Writes the tensors, the model card and the network's description.

    Args:
        trained: the network.
        out: see `Target.at`.

    Returns:
        The files, the weights first.

    Raises:
        ValueError: as `Target.at` does.
    """
    target = Target.at(out, TENSORS_FILE, NETWORK_FILE)
    tensors = torchvision_tensors(named_module(trained.network))
    steps = np.asarray(trained.phase["steps"], np.int64)
    # PyTorch's BatchNorm counts its batches; strict=True asks for the counter.
    counters = {
        name.replace("running_mean", COUNTER): steps for name in tensors if "running_mean" in name
    }
    # The weights come last: where they are, the rest is there too.
    trained.spec.save(target.description)
    weights = target.program.name
    light = recorded_weights(target.description)
    enhancement = trained.spec.enhancement
    lit = [light] if enhancement is not None and enhancement.name == "zero_dce" else []
    usage = [
        *enhancement_usage(trained.spec, light.name),
        pytorch_usage(trained.spec, weights),
        here_usage(trained.spec, weights),
    ]
    card = model_card(
        trained.spec, trained.run, trained.phase, usage=usage, synthetic=trained.synthetic
    )
    target.card.write_text(card)
    description = StudentDescription.of_run(trained.spec, trained.run["config"], trained.phase)
    metadata = {
        "data_set": trained.phase["data_set"],
        "class_names": json.dumps(trained.phase["class_names"]),
        "synthetic": json.dumps(trained.synthetic),
        KEY: description.to_json(),
    }
    write_safetensors(target.program, tensors | counters, metadata)
    return [target.program, target.card, target.description, *lit]
