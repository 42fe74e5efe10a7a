"""Learning rate schedule, SGD as TSN uses it, and AdamW."""

import ml_collections
import optax


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
    config: ml_collections.ConfigDict, schedule: optax.Schedule
) -> optax.GradientTransformation:
    """Clipping by global norm, then `config.optimizer.name`: "sgd" or "adamw".

    SGD adds weight decay to the gradient before momentum, as torch.optim.SGD does (TSN's recipe was
    tuned with it); AdamW takes it off the weights, apart from the gradient.
    """
    optimizer = config.optimizer
    parts = []
    if optimizer.clip_norm > 0:
        parts.append(optax.clip_by_global_norm(optimizer.clip_norm))
    if optimizer.name == "adamw":
        parts.append(
            optax.adamw(schedule, b1=optimizer.momentum, weight_decay=optimizer.weight_decay)
        )
    else:
        parts.append(optax.add_decayed_weights(optimizer.weight_decay))
        parts.append(optax.sgd(schedule, momentum=optimizer.momentum, nesterov=optimizer.nesterov))
    return optax.chain(*parts)
