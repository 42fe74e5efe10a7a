"""Refuses a config of configs/zero_dce.py before any work, and shortens it for a smoke run."""

from typing import Any

import jax
import ml_collections

from rgb2ir_jax.training.sharding import check_divisible
from rgb2ir_jax.training.validation import RULES, Rule, flatten

SECTION = "zero_dce"

# Fields that mean here what they mean in a run of networks.
_ALIKE = (
    "seed", "deterministic", "profile", "compute_dtype", "log_every_steps", "limit_train_steps",
    "limit_test_clips", "guard.nonfinite", "guard.max_skipped", "evaluation.batch_size",
    "evaluation.every_epochs", "early_stopping.patience", "early_stopping.min_delta",
    *(f"checkpoint.{f}" for f in ("every_epochs", "every_steps", "every_minutes", "keep", "keep_best")),
)  # fmt: skip
# And fields of the section that mean what others mean.
_LIKE = {
    "modality": "teacher.modality",
    "init": "teacher.init",
    "batch_size": "teacher.batch_size",
    "epochs": "teacher.epochs",
    "learning_rate": "optimizer.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "clip_norm": "optimizer.clip_norm",
    "exposure_level": "optimizer.label_smoothing",  # A number in [0, 1).
    "exposure_patch": "teacher.batch_size",
    **dict.fromkeys(
        ("spatial_weight", "exposure_weight", "color_weight", "smoothness_weight"),
        "optimizer.weight_decay",
    ),
    "figures": "figures.inputs",
}


def validate(config: ml_collections.ConfigDict) -> None:
    """Checks every field, the data section's excepted (its pipeline checks that).

    Raises:
        ValueError: names the field, what was found and what was expected.
    """
    rules: dict[str, Rule] = {field: RULES[field] for field in _ALIKE}
    rules |= {f"{SECTION}.{field}": RULES[other] for field, other in _LIKE.items()}
    flat = flatten(config)
    for field, (holds, expected) in rules.items():
        if field not in flat:
            raise ValueError(f"config.{field} is missing, expected {expected}")
        if not holds(flat[field]):
            raise ValueError(f"config.{field} is {flat[field]!r}, expected {expected}")
    section = config[SECTION]
    if section.exposure_patch > config.data.crop:
        raise ValueError(
            f"config.{SECTION}.exposure_patch is {section.exposure_patch}, and config.data.crop "
            f"{config.data.crop}; expected pictures that hold at least one patch"
        )
    check_divisible(section.batch_size, f"config.{SECTION}.batch_size")
    check_divisible(config.evaluation.batch_size, "config.evaluation.batch_size")


def apply_smoke(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Returns the config that `config.smoke` asks for: the same run, ended after a few steps and clips."""
    config = config.copy_and_resolve_references()
    if config.smoke:
        with config.unlocked():
            few: dict[str, Any] = {
                f"{SECTION}.epochs": 1,
                f"{SECTION}.batch_size": max(2, jax.device_count()),
                "evaluation.batch_size": max(2, jax.device_count()),
                "log_every_steps": 1,
                "data.cache": "",
                "limit_train_steps": 2,
                "limit_test_clips": 4,
            }
            config.update_from_flattened_dict(few)
    return config.lock()
