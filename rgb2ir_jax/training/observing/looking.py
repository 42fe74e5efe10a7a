"""Pictures of a phase: what its networks are given, and where they look."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

from rgb2ir_jax.data.batches import Batch, BatchLoader, Selection, epoch_order
from rgb2ir_jax.data.source import ClipSource, DatasetDescription, open_split
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.reporting.activation_sheet import Looking, activation_sheet
from rgb2ir_jax.reporting.input_sheet import input_sheet
from rgb2ir_jax.reporting.picture_sheet import save_png
from rgb2ir_jax.training.distributed import is_main
from rgb2ir_jax.training.initial_weights import has_begun
from rgb2ir_jax.training.observing.writers import MetricsWriter
from rgb2ir_jax.training.sharding import replicated
from rgb2ir_jax.training.state import Variables, merge
from rgb2ir_jax.training.step import Member
from rgb2ir_jax.training.teachers import Teacher

INPUTS_FILE = "inputs.png"
ACTIVATIONS_FILE = "activations.png"


def draw_inputs(
    name: str,
    config: ml_collections.ConfigDict,
    seed: int,
    specs: Sequence[tuple[str, NetworkSpec]],
    data_set: DatasetDescription,
    folder: Path,
) -> dict[str, np.ndarray]:
    """Writes `inputs.png`: the first clips of a phase's first batch, as each network sees them.

    They are read once more beside the pipeline, which a look into it would set back; they follow
    from the seed.

    Args:
        name: of the phase.
        config: of the experiment; `config.figures.inputs` clips.
        seed: of the phase's batches.
        specs: the networks' names and what they see, teachers first.
        data_set: that the clips are of.
        folder: of the phase.

    Returns:
        The picture for TensorBoard, by its name there; nothing where none is wanted, the phase has
        begun before, and in all processes but the first.
    """
    count = min(config.figures.inputs, config[name].batch_size)
    if not count or has_begun(folder) or not is_main():
        return {}
    data = config.data
    source = open_split(data, data.train_split)
    indices = epoch_order(seed, 0, len(source))[:count].tolist()
    modalities = tuple(sorted({spec.modality for _, spec in specs}))
    batch = _read(source, data, indices, modalities, seed)
    picture = input_sheet(
        {
            heading: frames
            for who, spec in specs
            for heading, frames in _seen(who, spec, batch[spec.modality]).items()
        },
        [data_set.class_names[label] for label in batch["label"].tolist()],
        title=f"{config.name}, {config.variant}: {_kind(data_set)}training clips of the {name}",
    )
    save_png(folder / INPUTS_FILE, picture)
    return {"inputs": picture}


def _seen(
    who: str, spec: NetworkSpec, frames: UInt8[np.ndarray, "clip time side side channel"]
) -> dict[str, UInt8[np.ndarray, "clip _time side side _channel"]]:
    """The frames under their heading; before and after the enhancement, or the stream made of them."""
    if spec.stream is not None:
        return {f"{who} sees {spec.sees}": spec.stream.shown(frames)}
    if spec.enhancement is None:
        return {f"{who} sees {spec.modality}": frames}
    return {
        f"{who}'s {spec.modality} as recorded": frames,
        f"{who} sees {spec.sees}": spec.enhancement.pictures(frames),
    }


def _kind(data_set: DatasetDescription) -> str:
    return "synthetic " * data_set.synthetic


def _read(
    source: ClipSource,
    data: ml_collections.ConfigDict,
    indices: Sequence[int],
    modalities: tuple[str, ...],
    seed: int | None,
) -> Batch:
    # Not from the cache of decoded frames, which may not have the teacher's view of test clips.
    loader = BatchLoader(source, ml_collections.FrozenConfigDict(data), modalities, seed)
    return loader(Selection(0, tuple(indices)))


class _Network(NamedTuple):
    heading: str
    spec: NetworkSpec
    look: Callable[[Variables], tuple[Array, dict[str, Array]]]


class ActivationMaps:
    """Draws where student and teachers look, on fixed test clips; compiled once for each network.

    A teacher does not change: it looks once. The clips are spread over the test split, of different
    classes where it has them.

    Args:
        name: of the phase.
        learner: the network that learns.
        teachers: those it learns from, if any.
        config: of the experiment; `config.figures.activations` clips.
        data_set: that the clips are of.
        folder: of the phase; gets `activations.png`.
        mesh: the devices; each computes all of the clips.
        dtype: compute dtype.
    """

    def __init__(
        self,
        name: str,
        learner: Member,
        teachers: Sequence[Teacher],
        config: ml_collections.ConfigDict,
        data_set: DatasetDescription,
        folder: Path,
        *,
        mesh: Mesh,
        dtype: DTypeLike,
    ):
        self._class_names, self._path = data_set.class_names, folder / ACTIVATIONS_FILE
        self._title = f"{config.name}, {config.variant}: {_kind(data_set)}test clips"
        data = config.data
        source = open_split(data, data.test_split)
        indices = _spread(source, config.figures.activations)
        members = [Member(teacher.spec, teacher.network.graph) for teacher in teachers]
        modalities = {member.spec.modality for member in (learner, *members)}
        self._batch = _read(source, data, indices, tuple(sorted(modalities)), None)
        self._learner = self._prepare(name, learner, mesh, dtype)
        self._guides = [
            (self._prepare(heading, member, mesh, dtype), teacher.network.variables)
            for heading, member, teacher in zip(
                teacher_names(len(teachers)), members, teachers, strict=True
            )
        ]
        self._guided: list[Looking] | None = None

    def _prepare(self, name: str, member: Member, mesh: Mesh, dtype: DTypeLike) -> _Network:
        look = make_look(member, mesh, dtype)
        clips = self._batch[member.spec.modality]
        # Unlike device_put, this does not have several processes compare what they put.
        frames = jax.make_array_from_process_local_data(replicated(mesh), clips, clips.shape)
        sees = member.spec.sees if member.spec.stream else member.spec.modality
        heading = f"{name}: {member.spec.title} on {sees}"
        return _Network(heading, member.spec, lambda variables: look(variables, frames))

    def _looking(self, network: _Network, variables: Variables) -> Looking:
        scores, maps = jax.device_get(network.look(variables))
        frames = self._batch[network.spec.modality]
        if network.spec.stream is not None:
            frames = network.spec.stream.shown(frames)
        return Looking(network.heading, frames[:, frames.shape[1] // 2], maps, scores)

    def draw(self, step: int, network: Variables, writer: MetricsWriter) -> None:
        """Shows the learner after `step` steps beside its teachers, in the file and in TensorBoard."""
        if self._guided is None:
            self._guided = [self._looking(guide, variables) for guide, variables in self._guides]
        learner = self._looking(self._learner, network)
        if not is_main():
            return
        picture = activation_sheet(
            [*self._guided, learner],
            self._batch["label"].tolist(),
            self._class_names,
            title=f"{self._title}, and where the networks look after step {step}",
        )
        save_png(self._path, picture)
        writer.image(step, "test/activations", picture)


def teacher_names(teachers: int) -> list[str]:
    """Names for pictures: "teacher", or "teacher 1", "teacher 2" and so on."""
    return ["teacher"] if teachers == 1 else [f"teacher {k + 1}" for k in range(teachers)]


def _spread(source: ClipSource, count: int) -> list[int]:
    """Clips from all over a split; a class comes again only where there are too few others."""
    candidates = np.unique(np.linspace(0, len(source) - 1, 4 * count).round().astype(int))
    labels = [source[index]["label"] for index in candidates.tolist()]
    first = {label: place for place, label in reversed(list(enumerate(labels)))}.values()
    order = [*sorted(first), *(p for p in range(len(labels)) if p not in set(first))]
    return sorted(candidates[order[:count]].tolist())


def make_look(
    member: Member, mesh: Mesh, dtype: DTypeLike
) -> Callable[[Variables, UInt8[Array, "..."]], tuple[Array, dict[str, Any]]]:
    """Compiles what a network says of clips, and where it looks.

    The returned function takes the network's variables and uint8 frames (clip, time, side, side,
    channel) and returns, from evaluation mode, the softmax (clip, class) and, by stage, the mean
    over channels of the absolute activation at each clip's middle frame, (clip, height, width); all
    float32 and on every device.
    """

    def look(
        variables: Variables, frames: UInt8[Array, "clip time height width channel"]
    ) -> tuple[Float[Array, "clip classes"], dict[str, Float[Array, "clip _h _w"]]]:
        normalised = member.spec.normalise(frames, dtype)
        output = merge(member.graph, variables)(normalised, train=False)
        # Stages of networks that stride in time have fewer steps than the clip has frames.
        maps = {
            stage: jnp.mean(jnp.abs(x[:, x.shape[1] // 2].astype(jnp.float32)), axis=-1)
            for stage, x in output.stages.items()
        }
        return jax.nn.softmax(output.logits.astype(jnp.float32), axis=-1), maps

    return jax.jit(look, out_shardings=replicated(mesh))
