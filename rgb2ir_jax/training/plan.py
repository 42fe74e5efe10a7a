"""How long a phase lasts and how often it does what: the config's epochs as steps."""

from typing import NamedTuple

import ml_collections

from rgb2ir_jax.training.saving.retention import Retention


class Plan(NamedTuple):
    """How long a phase lasts and how often it does what.

    Attributes:
        steps_per_epoch: batches in an epoch.
        total_steps: when the phase ends at the latest.
        batch_size: clips, for the clips/s of the log.
        evaluate_every: steps between two tests.
        log_every: steps between two lines of metrics.
        save_every: steps; a checkpoint is saved at the multiples of each of them.
        save_every_seconds: and when the last one is so old; 0: never for that reason.
        retention: which checkpoints stay.
        max_skipped: updates that may be left out because of a loss or gradient that is no number.
    """

    steps_per_epoch: int
    total_steps: int
    batch_size: int
    evaluate_every: int
    log_every: int
    save_every: tuple[int, ...]
    save_every_seconds: float = 0.0
    retention: Retention = Retention(latest=2)
    max_skipped: int = 0

    def evaluations(self, step: int) -> int:
        """How many tests a run has made when it has done `step` steps; the last step is always tested."""
        last = step == self.total_steps and step % self.evaluate_every != 0
        return step // self.evaluate_every + last


def make_plan(config: ml_collections.ConfigDict, name: str, steps_per_epoch: int) -> Plan:
    """Epochs as steps.

    Args:
        config: of the experiment.
        name: of the phase, "teacher" or "student".
        steps_per_epoch: batches in an epoch.
    """
    section = config[name]
    total = section.epochs * steps_per_epoch
    if config.limit_train_steps:
        total = min(total, config.limit_train_steps)
    return Plan(
        steps_per_epoch=steps_per_epoch,
        total_steps=total,
        batch_size=section.batch_size,
        evaluate_every=config.evaluation.every_epochs * steps_per_epoch,
        log_every=config.log_every_steps,
        save_every=tuple(
            every
            for every in (
                config.checkpoint.every_epochs * steps_per_epoch,
                config.checkpoint.every_steps,
            )
            if every
        ),
        save_every_seconds=60 * config.checkpoint.every_minutes,
        retention=Retention(config.checkpoint.keep, config.checkpoint.keep_best),
        max_skipped=config.guard.max_skipped if config.guard.nonfinite == "skip" else 0,
    )
