"""The door through which weights from elsewhere come into a network."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from flax import nnx

from rgb2ir_jax.models.network import NetworkSpec, VideoNetwork
from rgb2ir_jax.models.pretrained import catalogue
from rgb2ir_jax.models.pretrained.names import to_torchvision_names
from rgb2ir_jax.models.pretrained.safetensors_file import read_safetensors
from rgb2ir_jax.models.pretrained.torch_file import read_torch_file
from rgb2ir_jax.models.pretrained.torchvision_layout import (
    load_torchvision_tensors,
    named_module,
    torchvision_shapes,
)
from rgb2ir_jax.models.pretrained.video_layout import HEAD
from rgb2ir_jax.models.pretrained.video_layout import STEM as _VIDEO_STEM
from rgb2ir_jax.models.resnet import ARCHITECTURES

TENSORS_FILE = "model.safetensors"
NETWORK_FILE = "network.json"

_STEM = "conv1.weight"
_CLASSIFIER = ("fc.weight", "fc.bias")
# What the published weights were trained with: of ImageNet, and of Kinetics in torchvision's recipe.
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))

ReadCheckpoint = Callable[[Path], Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Report:
    """What `initialise` did.

    Attributes:
        source: what was asked for.
        path: the file or folder that was read.
        sha256: of the file, None of a checkpoint's folder.
        tensors: how many the file gave to the network.
        changes: a sentence about each tensor that is not the file's own.
    """

    source: str
    path: Path
    sha256: str | None
    tensors: int
    changes: tuple[str, ...]

    def __str__(self) -> str:
        """One line for the log."""
        digest = f", SHA-256 {self.sha256[:8]}..." if self.sha256 else ""
        changes = "".join(f"; {change}" for change in self.changes)
        return f"{self.tensors} tensors from {self.path}{digest}{changes}"


def initialise(
    network: VideoNetwork,
    source: str,
    *,
    spec: NetworkSpec,
    read_checkpoint: ReadCheckpoint | None = None,
    cache: Path | None = None,
) -> Report:
    """Puts weights from a file, a checkpoint or the catalogue into a network.

    A classifier for another number of classes, or none, leaves the network's own as it is. The kernels
    of the first convolution are summed over the input channels for a network of one channel (what the
    three-channel network computes of a grey image stored three times), and averaged and repeated for
    other numbers of channels (Wang et al., TSN, sec. 4.2: cross-modality pre-training). A network with
    a BERT head takes head and classifier from a file that has both, and keeps its own otherwise.

    Args:
        network: with fresh weights; changed in place, and untouched when an error is raised. An
            abstract one (`nnx.eval_shape`) will do to find out whether a source fits.
        source: the path of a `.pth` or `.safetensors` file, of a folder that the export command wrote,
            or of a phase's folder with checkpoints of this project; or a name of `catalogue.PUBLISHED`.
        spec: of the network.
        read_checkpoint: the tensors of a phase's folder under torchvision's names, see
            `torchvision_tensors`; the training knows how to read one.
        cache: folder for downloads, by default `catalogue.default_cache()`.

    Raises:
        ValueError: the source is not there, is damaged, asks for anything but tensors, or does not
            fit, with every tensor that is missing, unexpected or misshapen.
    """
    path = _locate(source, spec, cache)
    try:
        tensors = to_torchvision_names(_read(path, read_checkpoint))
    except ValueError as error:
        # Readers name the file themselves; what lies between its tensors does not.
        raise error if str(path) in str(error) else ValueError(f"{path}: {error}") from error
    _check_alive(tensors, path)
    module = named_module(network)
    shapes = torchvision_shapes(module)
    changes = []
    stem = _VIDEO_STEM if _VIDEO_STEM in shapes else _STEM
    if stem in tensors:
        tensors[stem], change = _fit_stem(tensors[stem], shapes[stem][1])
        changes += [change] if change else []
    fresh: tuple[str, ...] = _CLASSIFIER if _is_for_other_classes(tensors, shapes) else ()
    head = tuple(name for name in shapes if name.startswith(HEAD))
    if head and not any(name.startswith(HEAD) for name in tensors):
        # The file's classifier is for the mean of the time steps.
        fresh = (*head, *_CLASSIFIER)
        changes.append("the BERT head and the classifier stay fresh (the file has no such head)")
    elif fresh:
        found = tensors["fc.weight"].shape[0] if "fc.weight" in tensors else "no"
        changes.append(
            f"the classifier stays fresh (the file's has {found} classes, this one {spec.num_classes})"
        )
    try:
        load_torchvision_tensors(module, tensors, keep=fresh)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if catalogue.is_published(source):
        changes += _notes_on_normalisation(spec)
    return Report(source, path, _digest(path), len(shapes) - len(fresh), tuple(changes))


def read_network(path: Path) -> tuple[NetworkSpec, VideoNetwork]:
    """Reads back what the export command wrote: the description and the network.

    Args:
        path: the folder, or the `.safetensors` file with its description (`.json`) beside it.

    Raises:
        ValueError: there is no such pair, or it does not fit together.
    """
    if path.is_dir():
        description, weights = path / NETWORK_FILE, path / TENSORS_FILE
    else:
        description, weights = path.with_suffix(".json"), path
    for file in (description, weights):
        if not file.is_file():
            raise ValueError(
                f"{file} is not there; expected what `python -m rgb2ir_jax.export` wrote"
            )
    spec = NetworkSpec.load(description)
    # Its own, not the shared one of `spec.shapes()`: it is written to.
    network = nnx.eval_shape(lambda: spec.build(seed=0))
    try:
        load_torchvision_tensors(named_module(network), read_safetensors(weights))
    except ValueError as error:
        raise ValueError(f"{weights}: {error}") from error
    return spec, network


def _locate(source: str, spec: NetworkSpec, cache: Path | None) -> Path:
    if catalogue.is_published(source):
        if spec.width != 64:
            raise ValueError(
                f"{source!r} is published for networks of width 64, this one's is {spec.width}"
            )
        bottleneck = not spec.is_video_network and ARCHITECTURES[spec.depth].bottleneck
        if spec.stride_in_1x1 and bottleneck:
            raise ValueError(
                f"{source!r} was trained with the stride in the 3x3 convolutions; leave stride_in_1x1 False"
            )
        return catalogue.fetch(
            catalogue.published_file(source, spec.backbone or spec.depth), cache=cache
        )
    path = Path(source).expanduser()
    if not path.exists():
        raise ValueError(
            f"{source!r} is neither a file or folder that exists nor one of the names "
            f"{', '.join(catalogue.published_names())}"
        )
    return path


def _read(path: Path, read_checkpoint: ReadCheckpoint | None) -> Mapping[str, np.ndarray]:
    if path.is_dir():
        if (path / TENSORS_FILE).is_file():
            return read_safetensors(path / TENSORS_FILE)
        if read_checkpoint is None:
            raise ValueError(f"{path} is a folder without {TENSORS_FILE}; name a file of weights")
        return read_checkpoint(path)
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    return read_torch_file(path)


def _digest(path: Path) -> str | None:
    file = path / TENSORS_FILE if path.is_dir() else path
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_alive(tensors: Mapping[str, np.ndarray], path: Path) -> None:
    kernels = [tensor for tensor in tensors.values() if tensor.ndim in (4, 5)]
    if kernels and not any(kernel.any() for kernel in kernels):
        raise ValueError(f"{path}: every convolution in it is zero; it holds no trained weights")


def _fit_stem(kernel: np.ndarray, channels: int) -> tuple[np.ndarray, str | None]:
    """The first convolution (OIHW or OIDHW) for `channels` input channels, and what was done to it."""
    if kernel.ndim not in (4, 5) or kernel.shape[1] in (0, channels):
        return kernel, None
    found = kernel.shape[1]
    exact = kernel.astype(np.float64)
    if channels == 1:
        summed = exact.sum(axis=1, keepdims=True)
        return summed, f"the first convolution is summed over its {found} input channels"
    mean = exact.mean(axis=1, keepdims=True).repeat(channels, axis=1)
    return (
        mean,
        f"the first convolution is the mean of its {found} input channels, {channels} times",
    )


def _is_for_other_classes(
    tensors: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> bool:
    """Whether the classifier is all that differs: other rows over the same features, or no classifier."""
    present = [name in tensors for name in _CLASSIFIER]
    if not any(present):
        return True
    if not all(present):
        return False
    weight, bias = (tensors[name].shape for name in _CLASSIFIER)
    return (
        len(weight) == 2
        and weight[1] == shapes["fc.weight"][1]
        and bias == weight[:1]
        and weight[0] != shapes["fc.weight"][0]
    )


def _notes_on_normalisation(spec: NetworkSpec) -> list[str]:
    """The published weights expect the mean and standard deviation that they were trained with."""
    mean, std = _KINETICS if spec.is_video_network else _IMAGENET

    def near(values: tuple[float, ...], expected: tuple[float, ...]) -> bool:
        if len(values) == 1:  # One for all channels: their average, to two decimals.
            return abs(values[0] - sum(expected) / 3) < 0.01
        return len(values) == 3 and all(
            math.isclose(a, b, abs_tol=1e-6) for a, b in zip(values, expected, strict=True)
        )

    if near(spec.mean, mean) and near(spec.std, std):
        return []
    note = (
        f"they were trained with the mean {mean} and standard deviation {std}, this "
        f"network's are {spec.mean} and {spec.std}"
    )
    return [note]
