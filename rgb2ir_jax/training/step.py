"""The jitted functions of the loop: one training step and one evaluation step, for any phase."""

from collections.abc import Callable, Mapping, Sequence
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
from rgb2ir_jax.training.sharding import replicated, split_batch
from rgb2ir_jax.training.state import TrainState, Variables, merge

Batch = Mapping[str, Array]
TrainStep = Callable[[TrainState, tuple[Variables, ...], Batch], tuple[TrainState, Terms]]
EvalStep = Callable[[Variables, Batch], Array]


class Member(NamedTuple):
    """A network's static half: its description and its graph."""

    spec: NetworkSpec
    graph: nnx.GraphDef


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
    """

    def train_step(
        state: TrainState, teacher_variables: tuple[Variables, ...], batch: Batch
    ) -> tuple[TrainState, Terms]:
        labels = batch["label"]
        guidance = []
        for teacher, variables in zip(teachers, teacher_variables, strict=True):
            network = merge(teacher.graph, variables)
            frames = teacher.spec.normalise(batch[teacher.spec.modality], dtype)
            guidance.append(jax.lax.stop_gradient(network(frames, train=False)))
        frames = learner.spec.normalise(batch[learner.spec.modality], dtype)
        dropout_key = jax.random.fold_in(jax.random.key(seed), state.step)
        progress = state.step.astype(jnp.float32) / total_steps

        def loss_fn(trainable: dict[str, nnx.State]) -> tuple[Array, Any]:
            network = merge(learner.graph, Variables(trainable["network"], state.network.stats))
            objective = merge(
                objective_graph, Variables(trainable["objective"], state.objective.stats)
            )
            output = network(frames, train=True, dropout_key=dropout_key)
            loss, terms = objective(output, guidance, labels, progress)
            terms["accuracy"] = jnp.mean(
                (jnp.argmax(output.logits, axis=-1) == labels).astype(jnp.float32)
            )
            return loss, (
                terms,
                nnx.state(network, nnx.BatchStat),
                nnx.state(objective, nnx.BatchStat),
            )

        trainable = state.trainable()
        gradients, (terms, network_stats, objective_stats) = jax.grad(loss_fn, has_aux=True)(
            trainable
        )
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, trainable)
        trainable = optax.apply_updates(trainable, updates)
        terms |= {"grad_norm": optax.tree.norm(gradients), "learning_rate": schedule(state.step)}
        new_state = TrainState(
            step=state.step + 1,
            network=Variables(trainable["network"], network_stats),
            objective=Variables(trainable["objective"], objective_stats),
            optimizer=optimizer_state,
        )
        return new_state, terms

    everywhere = replicated(mesh)
    return jax.jit(
        train_step,
        donate_argnums=0,
        in_shardings=(everywhere, everywhere, split_batch(mesh)),
        out_shardings=everywhere,
    )


def make_eval_step(member: Member, *, mesh: Mesh, dtype: DTypeLike) -> EvalStep:
    """Compiles the consensus logits (B, C) of a batch, in evaluation mode."""

    def eval_step(variables: Variables, batch: Batch) -> Array:
        network = merge(member.graph, variables)
        return network(
            member.spec.normalise(batch[member.spec.modality], dtype), train=False
        ).logits

    everywhere = replicated(mesh)
    return jax.jit(
        eval_step, in_shardings=(everywhere, split_batch(mesh)), out_shardings=everywhere
    )
