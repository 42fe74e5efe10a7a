"""The jitted function of the loop: one training step, for any phase."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh
from jax.typing import DTypeLike
from jaxtyping import Array

from rgb2ir_jax.distillation.base import Terms
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.comparison import compare
from rgb2ir_jax.training.ema import average_decay, update_average
from rgb2ir_jax.training.gradient_norm import global_norm
from rgb2ir_jax.training.sharding import replicated, split_batch
from rgb2ir_jax.training.state import TrainState, Variables, merge

Batch = Mapping[str, Array]
TrainStep = Callable[[TrainState, tuple[Variables, ...], Batch], tuple[TrainState, Terms]]


class Member(NamedTuple):
    """A network's static half: its description and its graph."""

    spec: NetworkSpec
    graph: nnx.GraphDef


class Recipe(NamedTuple):
    """How an update is made, beyond the loss and the optimizer.

    Attributes:
        label_smoothing: share of the label that goes to all classes alike.
        average_decay: of the moving average of the network; used where the state has one.
        accumulate: micro-batches whose gradients are averaged into one update.
        skip_nonfinite: leave a step's update out when its loss or gradient is no number.
        graph_parts: equal parts of the batch, one after the other, that methods compare the clips
            of; 1: the whole batch. With as many as devices, no graph leaves its device.
    """

    label_smoothing: float = 0.0
    average_decay: float = 0.0
    accumulate: int = 1
    skip_nonfinite: bool = False
    graph_parts: int = 1


PLAIN = Recipe()


def make_train_step(
    learner: Member,
    objective_graph: nnx.GraphDef,
    teachers: Sequence[Member],
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    *,
    total_steps: int,
    seed: int,
    mesh: Mesh,
    dtype: DTypeLike,
    recipe: Recipe = PLAIN,
    placement: Any = None,
) -> TrainStep:
    """Compiles one update of the learning network.

    The returned function takes (state, the variables of each teacher, batch) and returns the next
    state and the scalars of the step: the objective's terms, `accuracy`, `grad_norm` (before
    clipping) and `learning_rate`. The state is donated. Teachers run in evaluation mode outside the
    gradient, so neither their parameters nor their statistics can change.

    Args:
        learner: the network that learns.
        objective_graph: its objective.
        teachers: the frozen networks that the methods compare with; none for cross-entropy alone.
        optimizer: updates network and connectors together.
        schedule: the learning rate, for the log.
        total_steps: of the phase; a method's `progress` is step / total_steps.
        seed: of the dropout; the mask follows from (seed, step).
        mesh: the devices.
        dtype: compute dtype of both networks.
        recipe: see `Recipe`.
        placement: the sharding of each array of the state, see `sharding.place`; None: a copy of
            all on every device.
    """

    def gradients_of(
        state: TrainState,
        stats: tuple[nnx.State, nnx.State],
        teacher_variables: tuple[Variables, ...],
        batch: Batch,
        dropout_key: Array,
    ) -> tuple[Any, Terms, tuple[nnx.State, nnx.State]]:
        """Gradients, terms and new statistics of a batch."""
        labels = batch["label"]
        guidance = []
        for teacher, variables in zip(teachers, teacher_variables, strict=True):
            network = merge(teacher.graph, variables)
            frames = teacher.spec.normalise(batch[teacher.spec.modality], dtype)
            guidance.append(jax.lax.stop_gradient(network(frames, train=False)))
        frames = learner.spec.normalise(batch[learner.spec.modality], dtype)
        progress = state.step.astype(jnp.float32) / total_steps

        def loss_fn(trainable: dict[str, nnx.State]) -> tuple[Array, Any]:
            network = merge(learner.graph, Variables(trainable["network"], stats[0]))
            connectors = Variables(trainable["objective"], stats[1])
            output = network(frames, train=True, dropout_key=dropout_key)
            loss, terms, new_stats = compare(
                objective_graph,
                connectors,
                output,
                guidance,
                labels,
                progress,
                label_smoothing=recipe.label_smoothing,
                parts=recipe.graph_parts,
            )
            terms["accuracy"] = jnp.mean(
                (jnp.argmax(output.logits, axis=-1) == labels).astype(jnp.float32)
            )
            return loss, (terms, (nnx.state(network, nnx.BatchStat), new_stats))

        gradients, (terms, new) = jax.grad(loss_fn, has_aux=True)(state.trainable())
        return gradients, terms, new

    def accumulated(
        state: TrainState, teacher_variables: tuple[Variables, ...], batch: Batch, key: Array
    ) -> tuple[Any, Terms, tuple[nnx.State, nnx.State]]:
        """The mean over micro-batches, each of which sees the statistics of the one before."""
        parts = recipe.accumulate
        # Every `parts`-th clip, so that each micro-batch lies on all devices as the batch does.
        micro = jax.tree.map(
            lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), dict(batch)
        )

        def body(stats: Any, item: tuple[Array, Batch]) -> tuple[Any, Any]:
            index, part = item
            gradients, terms, stats = gradients_of(
                state, stats, teacher_variables, part, jax.random.fold_in(key, index)
            )
            return stats, (gradients, terms)

        start = (state.network.stats, state.objective.stats)
        stats, (gradients, terms) = jax.lax.scan(body, start, (jnp.arange(parts), micro))
        gradients, terms = jax.tree.map(lambda x: jnp.mean(x, axis=0), (gradients, terms))
        return gradients, terms, stats

    def train_step(
        state: TrainState, teacher_variables: tuple[Variables, ...], batch: Batch
    ) -> tuple[TrainState, Terms]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        if recipe.accumulate == 1:
            start = (state.network.stats, state.objective.stats)
            gradients, terms, stats = gradients_of(state, start, teacher_variables, batch, key)
        else:
            gradients, terms, stats = accumulated(state, teacher_variables, batch, key)
        trainable = state.trainable()
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, trainable)
        trainable = optax.apply_updates(trainable, updates)
        terms |= {"grad_norm": global_norm(gradients), "learning_rate": schedule(state.step)}
        network = Variables(trainable["network"], stats[0])
        average = state.average
        if average is not None:
            decay = average_decay(recipe.average_decay, state.step)
            average = update_average(average, network, decay)
        new_state = TrainState(
            step=state.step + 1,
            network=network,
            objective=Variables(trainable["objective"], stats[1]),
            optimizer=optimizer_state,
            average=average,
        )
        if recipe.skip_nonfinite:
            sound = jnp.isfinite(terms["loss"]) & jnp.isfinite(terms["grad_norm"])
            kept = dataclasses.replace(state, step=new_state.step)
            new_state = jax.tree.map(partial(jnp.where, sound), new_state, kept)
        return new_state, terms

    everywhere = replicated(mesh)
    placement = everywhere if placement is None else placement
    return jax.jit(
        train_step,
        donate_argnums=0,
        in_shardings=(placement, everywhere, split_batch(mesh)),
        out_shardings=(placement, everywhere),
    )
