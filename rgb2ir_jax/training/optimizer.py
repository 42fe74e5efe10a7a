"""Learning rate schedule, SGD as TSN uses it, AdamW, and what single parameters are spared or given."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax

from rgb2ir_jax.training.batch_norm import is_batch_norm, is_first
from rgb2ir_jax.training.gradient_norm import clip_by_global_norm


def make_schedule(
    config: ml_collections.ConfigDict, steps_per_epoch: int, epochs: int, factor: float = 1.0
) -> optax.Schedule:
    """The learning rate as a function of the step: `factor` times what `config.optimizer` says.

    `config.optimizer.schedule` is "constant", "step" (divided by `decay_factor` at each of the
    `decay_at` shares of the training) or "cosine" (to zero). A linear warm-up over the first
    `warmup_epochs` comes before any of them.
    """
    optimizer = config.optimizer
    total = steps_per_epoch * epochs
    warmup = round(optimizer.warmup_epochs * steps_per_epoch)
    peak = factor * optimizer.learning_rate
    if optimizer.schedule == "constant":
        schedule = optax.constant_schedule(peak)
    elif optimizer.schedule == "step":
        # Boundaries count from the first step; `join_schedules` restarts the count after the
        # warm-up.
        boundaries: dict[int, float] = {}
        for share in optimizer.decay_at:
            boundary = round(share * total) - warmup
            # In a short training two shares can fall on one step.
            boundaries[boundary] = boundaries.get(boundary, 1.0) / optimizer.decay_factor
        schedule = optax.piecewise_constant_schedule(peak, boundaries)
    elif optimizer.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(peak, max(total - warmup, 1))
    else:
        raise ValueError(
            f"config.optimizer.schedule is {optimizer.schedule!r}, expected 'constant', 'step' or 'cosine'"
        )
    if not warmup:
        return schedule
    # (step + 1) / warmup: the first step already learns.
    ramp = optax.linear_schedule(peak / warmup, peak, max(warmup - 1, 1))
    return optax.join_schedules([ramp, schedule], [warmup])


def make_optimizer(
    config: ml_collections.ConfigDict, schedule: optax.Schedule, batch_norm: str = "train"
) -> optax.GradientTransformation:
    """Clipping by global norm, then `config.optimizer.name`: "sgd" or "adamw".

    SGD adds weight decay to the gradient before momentum, as torch.optim.SGD does (TSN's recipe was
    tuned with it); AdamW takes it off the weights, apart from the gradient.

    Args:
        config: of the experiment.
        schedule: the learning rate.
        batch_norm: the network's `batch_norm`; parameters of frozen layers stay as they are.
    """
    optimizer = config.optimizer

    def decays(params: Any) -> Any:
        # Scales and shifts of norms and biases have one axis, all other parameters more.
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

    mask = decays if optimizer.decay_spares_norms_and_biases else None
    parts = []
    freezes = batch_norm in ("frozen", "partial")
    if freezes:
        # Before clipping: they must not count in the norm.
        parts.append(_scale_by_path(lambda path: float(_learns(path, batch_norm))))
    if optimizer.clip_norm > 0:
        parts.append(clip_by_global_norm(optimizer.clip_norm))
    if optimizer.name == "adamw":
        parts.append(
            optax.adamw(
                schedule, b1=optimizer.momentum, weight_decay=optimizer.weight_decay, mask=mask
            )
        )
    else:
        parts.append(optax.add_decayed_weights(optimizer.weight_decay, mask=mask))
        parts.append(optax.sgd(schedule, momentum=optimizer.momentum, nesterov=optimizer.nesterov))
    factors = (
        optimizer.classifier_rate_factor,
        optimizer.bias_rate_factor,
        optimizer.connector_rate_factor,
    )
    if factors != (1.0, 1.0, 1.0) or freezes:
        # An update is proportional to the rate, so that a factor on it is one on the rate.
        parts.append(
            _scale_by_path(lambda path: _learns(path, batch_norm) * rate_factor(path, *factors))
        )
    return optax.chain(*parts)


def rate_factor(path: tuple[str, ...], classifier: float, bias: float, connector: float) -> float:
    """The factor on the learning rate of a parameter.

    Args:
        path: names that lead to it; the first is "network" or "objective".
        classifier: of the network's last layer.
        bias: of its biases, those of norms excepted (TSN's "normal bias").
        connector: of what methods add to the student.
    """
    if path[0] == "objective":
        return connector
    factor = classifier if "fc" in path else 1.0
    return factor * bias if "bias" in path and not _is_norm(path) else factor


def _is_norm(path: tuple[str, ...]) -> bool:
    # The BERT head's are layer norms.
    return is_batch_norm(path) or any(name.endswith("norm") for name in path)


def _learns(path: tuple[str, ...], batch_norm: str) -> bool:
    frozen = path[0] == "network" and is_batch_norm(path)
    return (
        not frozen
        or (batch_norm == "partial" and is_first(path))
        or (batch_norm not in ("frozen", "partial"))
    )


def _scale_by_path(factor: Any) -> optax.GradientTransformation:
    """Multiplies each leaf by a number that depends on the names that lead to it."""

    def scale(path: Any, leaf: jax.Array) -> jax.Array:
        names = tuple(str(getattr(key, "key", getattr(key, "name", key))) for key in path)
        value = factor(names)
        # A product with 0 would keep what is no number.
        return jnp.zeros_like(leaf) if value == 0 else value * leaf

    return optax.stateless(lambda updates, _: jax.tree.map_with_path(scale, updates))
