"""A network as one StableHLO program with its weights inside, which JAX runs without this package."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import export

from rgb2ir_jax.exporting.finished_run import Trained
from rgb2ir_jax.exporting.target import Target
from rgb2ir_jax.exporting.usage import stablehlo_usage
from rgb2ir_jax.models.folding import fold_batch_norm
from rgb2ir_jax.models.model_card import model_card
from rgb2ir_jax.models.network import NetworkSpec, VideoNetwork
from rgb2ir_jax.models.tsn import TSN
from rgb2ir_jax.prediction.description import StudentDescription

PROGRAM_FILE = "model.stablehlo"
DESCRIPTION_FILE = "student.json"
PLATFORMS = ("cpu", "cuda", "tpu")


def check_flatbuffers() -> None:
    """Raises ValueError where JAX cannot write or read its exported programs."""
    if importlib.util.find_spec("flatbuffers") is None:
        raise ValueError(
            "StableHLO programs need the package flatbuffers, which is not installed: "
            "pip install flatbuffers, or the extra that has it: pip install -e '.[export]'"
        )


def write_stablehlo(trained: Trained, out: Path, *, preprocessing: bool) -> list[Path]:
    """Writes the program, its model card and its description.

    Args:
        trained: the network.
        out: see `Target.at`.
        preprocessing: whether the program normalises uint8 frames itself.

    Returns:
        The files, the program first.

    Raises:
        ValueError: flatbuffers is not installed, or as `Target.at` does.
    """
    check_flatbuffers()
    target = Target.at(out, PROGRAM_FILE, DESCRIPTION_FILE)
    description = StudentDescription.of_run(
        trained.spec, trained.run["config"], trained.phase, preprocessing=preprocessing
    )
    card = model_card(
        trained.spec,
        trained.run,
        trained.phase,
        usage=[stablehlo_usage(description, target.program.name)],
        synthetic=trained.synthetic,
    )
    program = stablehlo_program(trained.network, trained.spec, description)
    return target.write(card, description.to_json(), program)


def stablehlo_program(
    network: VideoNetwork, spec: NetworkSpec, description: StudentDescription
) -> bytes:
    """Lowers the network, BatchNorm folded, for any number of clips and (of a plain TSN) of frames.

    Args:
        network: with its weights; left as it is.
        spec: of the network.
        description: read are `crop`, `preprocessing` and, where frames see each other, `train_segments`.

    Returns:
        What `jax.export.deserialize` reads: (batch, time, height, width, channel) to logits
        (batch, class).
    """
    time = str(description.train_segments) if description.temporal_shift else "time"
    side = description.crop
    channels = description.channels if description.preprocessing else description.in_channels
    shape = export.symbolic_shape(f"batch, {time}, {side}, {side}, {channels}")
    dtype = jnp.uint8 if description.preprocessing else jnp.float32
    function = deployed(network, spec, preprocessing=description.preprocessing)
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(
        jax.ShapeDtypeStruct(shape, dtype)
    )
    return bytes(exported.serialize())


def deployed(
    network: VideoNetwork, spec: NetworkSpec, *, preprocessing: bool
) -> Callable[[jax.Array], jax.Array]:
    """The function that is exported: frames to logits, the folded weights as its constants."""
    folded = fold_batch_norm(network)
    if not isinstance(folded, TSN):
        whole = nnx.split(folded)

        def logits_of_clip(frames: Any) -> jax.Array:
            normalised = spec.normalise(frames) if preprocessing else frames
            return nnx.merge(*whole, copy=True)(normalised, train=False).logits

        return logits_of_clip
    graph, state = nnx.split(folded.network)

    def logits(frames: Any) -> jax.Array:
        normalised = spec.normalise(frames) if preprocessing else frames
        # What a TSN does, but also for numbers of clips and frames that are not known yet.
        batch, time = frames.shape[:2]
        pictures = normalised.reshape(batch * time, *normalised.shape[2:])
        resnet = nnx.merge(graph, state, copy=True)
        segments = time if spec.temporal_shift else None
        by_frame = resnet(pictures, train=False, segments=segments).logits
        return jnp.mean(by_frame.reshape(batch, time, -1), axis=1)

    return logits
