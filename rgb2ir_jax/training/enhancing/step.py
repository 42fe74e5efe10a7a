"""One update of Zero-DCE, and its test, each one compiled program."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, UInt8

from rgb2ir_jax.models.enhancement.losses import Terms, weighted_sum, zero_dce_terms
from rgb2ir_jax.training.gradient_norm import clip_by_global_norm, global_norm
from rgb2ir_jax.training.sharding import replicated, split_batch
from rgb2ir_jax.training.state import TrainState, Variables, merge
from rgb2ir_jax.training.step import Batch, TrainStep

Loss = Callable[[Any, Array], tuple[Array, Terms]]
"""A network and pictures (n, height, width, channel) in [0, 1] to the loss and its terms."""


def make_loss(section: ml_collections.ConfigDict) -> Loss:
    """The weighted sum of the four losses, by `config.zero_dce`; terms carry their names unweighted."""

    def loss(
        network: Any, pictures: Float[Array, "n height width channel"]
    ) -> tuple[Float[Array, ""], Terms]:
        enhanced, curves = network(pictures)
        terms = zero_dce_terms(
            pictures,
            enhanced,
            curves,
            exposure_patch=section.exposure_patch,
            exposure_level=section.exposure_level,
        )
        total = weighted_sum(terms, {name: section[f"{name}_weight"] for name in terms})
        return total, {"loss": total, **terms}

    return loss


def make_optimizer(section: ml_collections.ConfigDict) -> optax.GradientTransformation:
    """torch.optim.Adam behind clipping, as in the authors' code: decay is added to the gradient."""
    parts = [clip_by_global_norm(section.clip_norm)] if section.clip_norm else []
    decay = optax.add_decayed_weights(section.weight_decay)
    return optax.chain(*parts, decay, optax.adam(section.learning_rate))


def make_train_step(
    graph: nnx.GraphDef,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    section: ml_collections.ConfigDict,
    mesh: Mesh,
    *,
    skip_nonfinite: bool = False,
) -> TrainStep:
    """Compiles one update, of the form that `loop.fit` takes: no teacher, the state donated.

    Args:
        graph: of the network.
        loss: see `make_loss`.
        optimizer: see `make_optimizer`.
        section: `config.zero_dce`.
        mesh: the devices; all pictures of a batch lie spread over them.
        skip_nonfinite: leave an update out when its loss or gradient is no number.
    """

    def train_step(
        state: TrainState, _: tuple[Variables, ...], batch: Batch
    ) -> tuple[TrainState, Terms]:
        pictures = as_pictures(batch[section.modality])

        def of_params(params: nnx.State) -> tuple[Array, Terms]:
            return loss(merge(graph, Variables(params, state.network.stats)), pictures)

        gradients, terms = jax.grad(of_params, has_aux=True)(state.network.params)
        trainable = state.trainable()
        updates, optimizer_state = optimizer.update(
            {"network": gradients, "objective": state.objective.params}, state.optimizer, trainable
        )
        trainable = optax.apply_updates(trainable, updates)
        terms |= {
            "grad_norm": global_norm(gradients),
            "learning_rate": jnp.float32(section.learning_rate),
        }
        new_state = dataclasses.replace(
            state,
            step=state.step + 1,
            network=Variables(trainable["network"], state.network.stats),
            optimizer=optimizer_state,
        )
        if skip_nonfinite:
            sound = jnp.isfinite(terms["loss"]) & jnp.isfinite(terms["grad_norm"])
            kept = dataclasses.replace(state, step=new_state.step)
            new_state = jax.tree.map(partial(jnp.where, sound), new_state, kept)
        return new_state, terms

    everywhere = replicated(mesh)
    return jax.jit(
        train_step,
        donate_argnums=0,
        in_shardings=(everywhere, everywhere, split_batch(mesh)),
        out_shardings=(everywhere, everywhere),
    )


def make_test_step(
    graph: nnx.GraphDef, loss: Loss, mesh: Mesh
) -> Callable[[Variables, Mapping[str, Array]], Terms]:
    """Compiles sums over the clips of a batch, `clips` their number; masked ones do not count.

    The returned function takes the network's variables and `frames` (clip, time, height, width,
    channel), uint8, with `mask` (clip,). All losses are means over pictures, so that the sums of all
    batches, divided by the clips, are the losses of the whole split.
    """

    def test_step(variables: Variables, batch: Mapping[str, Array]) -> Terms:
        network = merge(graph, variables)

        def of_clip(frames: UInt8[Array, "time height width channel"]) -> Terms:
            return loss(network, as_pictures(frames))[1]

        terms = jax.vmap(of_clip)(batch["frames"])
        # What is padding may be anything, so that it must not be multiplied.
        counts = batch["mask"] > 0
        sums = jax.tree.map(lambda x: jnp.sum(jnp.where(counts, x, 0.0)), terms)
        return sums | {"clips": jnp.sum(batch["mask"])}

    everywhere = replicated(mesh)
    return jax.jit(
        test_step, in_shardings=(everywhere, split_batch(mesh)), out_shardings=everywhere
    )


def as_pictures(
    frames: UInt8[Array, "*batch height width channel"],
) -> Float[Array, "n height width channel"]:
    """All frames as pictures in [0, 1]."""
    return frames.reshape(-1, *frames.shape[-3:]).astype(jnp.float32) / 255.0
