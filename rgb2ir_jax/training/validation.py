"""Refuses a config before any work: types, ranges and contradictions, one clear line each."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections

from rgb2ir_jax.data.transforms import CROP_COUNTS
from rgb2ir_jax.distillation.objective import check_distill
from rgb2ir_jax.models.bert_head import MOST_STEPS
from rgb2ir_jax.models.enhancement.stage import ENHANCEMENTS
from rgb2ir_jax.models.network import BACKBONES, NetworkSpec
from rgb2ir_jax.models.r2plus1d import TEMPORAL_HEADS
from rgb2ir_jax.models.resnet import ARCHITECTURES
from rgb2ir_jax.training.batch_norm import MODES
from rgb2ir_jax.training.early_stopping import METRICS
from rgb2ir_jax.training.phases import TSTDD
from rgb2ir_jax.training.sharding import check_divisible, check_model_axis
from rgb2ir_jax.training.stream_checks import check_streams

Rule = tuple[Callable[[Any], bool], str]

_POSITIVE: Rule = (lambda value: 0 < value < math.inf, "a finite number above 0")
_NOT_NEGATIVE: Rule = (lambda value: 0 <= value < math.inf, "a finite number of 0 or more")
_WHOLE: Rule = (lambda value: isinstance(value, int) and value >= 0, "a whole number of 0 or more")
_SHARE: Rule = (lambda value: 0 <= value < 1, "a number in [0, 1)")
_COUNT: Rule = (lambda value: isinstance(value, int) and value >= 1, "a whole number of at least 1")
_LIMIT: Rule = (
    lambda value: isinstance(value, int) and value >= 0,
    "a whole number, 0 for no limit",
)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _one_of(*choices: Any) -> Rule:
    return (lambda value: value in choices, "one of " + ", ".join(map(repr, choices)))


_NETWORK_RULES: dict[str, Rule] = {
    "modality": (
        lambda value: isinstance(value, str) and value.isidentifier(),
        "the name of a modality of the records, such as 'rgb' or 'ir'",
    ),
    "enhance": (
        lambda value: value in (None, "", *ENHANCEMENTS),
        f"one of {', '.join(map(repr, ENHANCEMENTS))} or None",
    ),
    "enhance_weights": (lambda value: isinstance(value, str), "a file of weights as text, or ''"),
    "gamma": _POSITIVE,
    "backbone": _one_of("", *BACKBONES),
    "temporal_head": _one_of(*TEMPORAL_HEADS),
    "depth": _one_of(*sorted(ARCHITECTURES)),
    "width": _COUNT,
    "in_channels": _COUNT,
    "dropout": _SHARE,
    "mean": (lambda values: all(map(_is_finite, values)), "finite numbers"),
    "std": (lambda values: all(_is_finite(v) and v > 0 for v in values), "finite numbers above 0"),
    "batch_size": _COUNT,
    "epochs": _COUNT,
    "learning_rate_factor": _POSITIVE,
    "batch_norm": _one_of(*MODES),
    "accumulate": _COUNT,
    "init": (lambda value: isinstance(value, str), "a source of weights as text, or ''"),
    "temporal_shift": _one_of(True, False),
    "stride_in_1x1": _one_of(True, False),
}
RULES: dict[str, Rule] = {
    "seed": _WHOLE,
    "teachers": (
        lambda paths: isinstance(paths, tuple) and all(isinstance(p, str) and p for p in paths),
        "work directories of trained teachers, as in \"('runs/a', 'runs/b')\"",
    ),
    "deterministic": _one_of(True, False),
    "profile": _one_of(True, False),
    "figures.inputs": _WHOLE,
    "figures.activations": _WHOLE,
    "compute_dtype": _one_of("auto", "float32", "bfloat16"),
    **{
        f"{who}.{field}": rule
        for who in ("teacher", "student")
        for field, rule in _NETWORK_RULES.items()
    },
    "optimizer.name": _one_of("sgd", "adamw"),
    "optimizer.learning_rate": _POSITIVE,
    "optimizer.momentum": _SHARE,
    "optimizer.weight_decay": _NOT_NEGATIVE,
    "optimizer.decay_spares_norms_and_biases": _one_of(True, False),
    "optimizer.classifier_rate_factor": _POSITIVE,
    "optimizer.bias_rate_factor": _POSITIVE,
    "optimizer.connector_rate_factor": _POSITIVE,
    "optimizer.average_decay": _SHARE,
    "optimizer.label_smoothing": _SHARE,
    "optimizer.clip_norm": _NOT_NEGATIVE,
    "optimizer.schedule": _one_of("constant", "step", "cosine"),
    "optimizer.decay_at": (
        lambda shares: (
            all(0 < share < 1 for share in shares) and list(shares) == sorted(set(shares))
        ),
        "increasing shares of the training, each between 0 and 1",
    ),
    "optimizer.decay_factor": (lambda value: value >= 1, "a number of at least 1"),
    "optimizer.warmup_epochs": _NOT_NEGATIVE,
    "evaluation.batch_size": _COUNT,
    "evaluation.segments": _WHOLE,
    "evaluation.crops": _one_of(*CROP_COUNTS),
    "evaluation.every_epochs": _COUNT,
    "checkpoint.every_epochs": _WHOLE,
    "checkpoint.every_steps": _WHOLE,
    "checkpoint.every_minutes": _NOT_NEGATIVE,
    "checkpoint.keep": _COUNT,
    "checkpoint.keep_best": _WHOLE,
    "checkpoint.best_metric": _one_of(*METRICS),
    "early_stopping.patience": _WHOLE,
    "early_stopping.min_delta": _NOT_NEGATIVE,
    "mesh.model": _COUNT,
    "mesh.graphs": _one_of("batch", "replica"),
    "guard.nonfinite": _one_of("stop", "skip"),
    "guard.max_skipped": _WHOLE,
    "log_every_steps": _COUNT,
    "limit_train_steps": _LIMIT,
    "limit_test_clips": _LIMIT,
}


# What configs of earlier versions do not have: without them, networks are as they were then.
_SINCE = ("enhance", "enhance_weights", "gamma", "backbone", "temporal_head")


def validate(config: ml_collections.ConfigDict) -> None:
    """Checks every field of the config, the data section's excepted (its pipeline checks that).

    Raises:
        ValueError: names the field, what was found and what was expected.
    """
    flat = flatten(config)
    for field, (holds, expected) in RULES.items():
        if field not in flat:
            if field.rpartition(".")[2] in _SINCE:
                continue
            raise ValueError(f"config.{field} is missing, expected {expected}")
        value = flat[field]
        if not holds(value):
            raise ValueError(f"config.{field} is {value!r}, expected {expected}")
    check_distill(config.distill)
    check_streams(config)
    for who in ("teacher", "student"):
        network = config[who]
        channels = network.in_channels
        for field in ("mean", "std"):
            if len(network[field]) not in (1, channels):
                raise ValueError(
                    f"config.{who}.{field} has {len(network[field])} numbers, expected one for each of the "
                    f"{channels} input channels"
                )
        if network.get("enhance_weights") and network.get("enhance") != "zero_dce":
            raise ValueError(
                f"config.{who}.enhance_weights is {network.enhance_weights!r}, but config.{who}.enhance is "
                f"{network.get('enhance')!r}; expected 'zero_dce' with it, or no weights"
            )
        if network.modality == "rgb" and channels != 3:
            raise ValueError(f"config.{who}.in_channels is {channels}, but RGB frames have 3")
        if config.optimizer.warmup_epochs >= network.epochs:
            raise ValueError(
                f"config.optimizer.warmup_epochs is {config.optimizer.warmup_epochs}, as long as the "
                f"{network.epochs} epochs of the {who}; expected less"
            )
        check_divisible(network.batch_size, f"config.{who}.batch_size", network.accumulate)
    check_divisible(config.evaluation.batch_size, "config.evaluation.batch_size")
    _check_time(config)
    _check_mesh(config)
    _check_variant(config)


def _check_time(config: ml_collections.ConfigDict) -> None:
    """What a network makes of time must be one thing, and its clips must be long enough for a test."""
    for who in ("teacher", "student"):
        network = config[who]
        spec = NetworkSpec.from_config(network, 1)
        for field in ("temporal_shift", "stride_in_1x1"):
            if spec.is_video_network and network[field]:
                raise ValueError(
                    f"config.{who}.{field} is True, but config.{who}.backbone is {network.backbone!r}, which "
                    "has no such thing; leave one out"
                )
        head = network.get("temporal_head", "mean")
        if head != "mean" and not spec.is_video_network:
            raise ValueError(
                f"config.{who}.temporal_head is {head!r}, which follows an R(2+1)D, but the "
                f"{who} is a {spec.title}; choose config.{who}.backbone r2plus1d_18 or r2plus1d_34, or 'mean'"
            )
        if head == "bert" and config.data.segments > 8 * MOST_STEPS:
            raise ValueError(
                f"config.data.segments is {config.data.segments}, but the {who}'s BERT head has positions for "
                f"clips of {8 * MOST_STEPS} frames; expected at most so many"
            )
        tested, trained = config.evaluation.segments, config.data.segments
        dense = config.data.get("sampling", "segments") == "dense"
        if (dense or spec.mixes_time) and tested % trained:
            reason = "dense clips have" if dense else f"the {who} mixes the frames of clips of"
            raise ValueError(
                f"config.evaluation.segments is {tested}, but {reason} config.data.segments, {trained}, "
                f"frames; expected 0 or a multiple of {trained}"
            )


def _check_mesh(config: ml_collections.ConfigDict) -> None:
    features = {}
    for who in ("teacher", "student"):
        *_, last = NetworkSpec.from_config(config[who], 1).stage_channels.values()
        features[who] = last
    check_model_axis(config.mesh.model, features)
    student = config.student
    graph = student.batch_size // student.accumulate // jax.device_count()
    if config.mesh.graphs == "replica" and config.distill and graph < 2:
        raise ValueError(
            f"config.mesh.graphs is 'replica', but of the {student.batch_size} clips of "
            f"config.student.batch_size each of {jax.device_count()} devices would have {graph} to compare; "
            f"expected at least {2 * jax.device_count() * student.accumulate} clips, or 'batch'"
        )


def _check_variant(config: ml_collections.ConfigDict) -> None:
    """Results are filed under the variant's name: it must be what the methods make of the run."""
    methods: set[str] = set()
    if config.variant not in ("teacher", "student", TSTDD):
        # A dash precedes the name of a method's settings.
        methods = {name.partition("-")[0] for name in config.variant.split("+")}
    if methods != set(config.distill):
        raise ValueError(
            f"config.variant is {config.variant!r}, but config.distill holds "
            f"{'+'.join(config.distill) or 'no method'}; choose the variant behind the config file's name, "
            f"as in --config=FILE.py:{config.variant}"
        )
    if config.teachers and config.teacher.checkpoint:
        raise ValueError(
            "config.teachers and config.teacher.checkpoint both name trained teachers; name all of "
            "them in config.teachers"
        )
    for field, given in (
        ("teachers", config.teachers),
        ("teacher.checkpoint", config.teacher.checkpoint),
    ):
        if given and not config.distill:
            reason = "trains the teacher" if config.variant == "teacher" else "has no teacher"
            raise ValueError(
                f"config.{field} is set, but the variant {config.variant!r} {reason}; leave one out"
            )


def apply_smoke(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Returns the config that `config.smoke` asks for: the same run, ended after a few steps and clips.

    The networks and frames keep their size, so that what fails in the real run fails here.
    """
    # ConfigDict(config) would share the sections with the caller's.
    config = config.copy_and_resolve_references()
    if config.smoke:
        with config.unlocked():
            devices = jax.device_count()
            # A graph of one clip is none.
            clips = 2 * devices if config.mesh.graphs == "replica" else max(2, devices)
            for network in (config.teacher, config.student):
                network.epochs = 1
                network.batch_size = clips
                network.accumulate = 1
            config.evaluation.batch_size = max(2, devices)
            config.optimizer.warmup_epochs = 0.0
            config.log_every_steps = 1
            config.data.cache = ""  # A few clips are no reason to decode all of them.
            config.data.on_device = False
            config.limit_train_steps = 2
            config.limit_test_clips = 4
    return config.lock()


def flatten(
    tree: Mapping[str, Any] | ml_collections.ConfigDict, prefix: str = ""
) -> dict[str, Any]:
    """Nested sections as {"section.field": value}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping | ml_collections.ConfigDict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
