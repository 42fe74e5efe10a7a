"""Loss values and gradients that published PyTorch implementations give in float64."""

import json
from pathlib import Path

import numpy as np

_FOLDER = Path(__file__).parent / "data"


def reference_cases(loss: str) -> list[dict]:
    """The cases of one loss: id, options, arrays, value, student_gradient."""
    cases = json.loads((_FOLDER / "loss_reference.json").read_text())["cases"]
    arrays = np.load(_FOLDER / "loss_reference.npz", allow_pickle=False)
    return [
        {
            "id": case["id"],
            "options": case["options"],
            "inputs": [arrays[f"{case['id']}/{name}"] for name in case["inputs"]],
            "value": arrays[f"{case['id']}/value"],
            "gradient": arrays[f"{case['id']}/student_gradient"],
        }
        for case in cases
        if case["loss"] == loss
    ]
