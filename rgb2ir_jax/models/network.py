"""A network as the config describes it: architecture, modality, and what its input pixels mean."""

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

from rgb2ir_jax.models.enhancement.stage import Enhancement
from rgb2ir_jax.models.keys import KeysInTurn
from rgb2ir_jax.models.output import STAGE_NAMES
from rgb2ir_jax.models.r2plus1d import TEMPORAL_HEADS, VIDEO_ARCHITECTURES, R2Plus1D
from rgb2ir_jax.models.resnet import ARCHITECTURES, Bottleneck
from rgb2ir_jax.models.streams import Stream
from rgb2ir_jax.models.tsn import TSN

VideoNetwork: TypeAlias = TSN | R2Plus1D
"""What looks at clips: called as ``network(clips, train=...)``, with a `NetworkOutput` as answer."""

BACKBONES = {
    **{f"resnet{depth}": depth for depth in sorted(ARCHITECTURES)},
    **{f"r2plus1d_{depth}": depth for depth in sorted(VIDEO_ARCHITECTURES)},
}
"""What `config.teacher.backbone` and `config.student.backbone` may name, and how deep it is."""

_KINDS: dict[str, Any] = {
    "modality": str,
    "depth": int,
    "width": int,
    "in_channels": int,
    "num_classes": int,
    "dropout": int | float,
    "zero_init_residual": bool,
    "temporal_shift": bool,
    "stride_in_1x1": bool,
    "backbone": str,
    "temporal_head": str,
}


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """Everything that is needed to rebuild a network and feed it; stored beside its weights.

    Attributes:
        modality: name of the batch's entry that it sees, such as "rgb" or "ir".
        depth: of the network: 10, 18, 34, 50 or 101 of a ResNet, 18 or 34 of an R(2+1)D.
        width: channels of its stem (64: the published networks).
        in_channels: channels that the stem takes. One-channel frames are repeated to fill it; a stream
            fills it with what it stacks.
        num_classes: number of logits.
        dropout: probability, before the classifier.
        zero_init_residual: see `ResNet`; of the fresh weights only.
        mean: of each input channel, in units of pixel value / 255.
        std: of each input channel, in the same unit.
        temporal_shift: see `ResNet`; descriptions from before it was there leave it out.
        stride_in_1x1: see `ResNet`; likewise.
        backbone: "" of a ResNet, or the name of an R(2+1)D in `BACKBONES`; likewise.
        temporal_head: see `R2Plus1D`; "mean" of a ResNet; likewise.
        enhancement: what brightens its frames before they are normalised; None: nothing does.
        stream: what it sees instead of the frames, such as their differences; None: the frames.
    """

    modality: str
    depth: int
    width: int
    in_channels: int
    num_classes: int
    dropout: float
    zero_init_residual: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    temporal_shift: bool = False
    stride_in_1x1: bool = False
    backbone: str = ""
    temporal_head: str = "mean"
    enhancement: Enhancement | None = None
    stream: Stream | None = None

    @classmethod
    def from_config(cls, config: ml_collections.ConfigDict, num_classes: int) -> "NetworkSpec":
        """Reads `config.teacher` or `config.student`.

        A `backbone` says the depth too; where it is "" (or missing: runs of earlier versions), the
        network is a ResNet of `depth`. With a `stream`, `in_channels` are those of the frames that it is
        made of, as without.
        """
        backbone = config.get("backbone", "")
        stream = Stream.from_config(config)
        return cls(
            modality=config.modality,
            depth=BACKBONES[backbone] if backbone else config.depth,
            width=config.width,
            in_channels=stream.stem_channels(config.in_channels) if stream else config.in_channels,
            num_classes=num_classes,
            dropout=config.dropout,
            zero_init_residual=config.zero_init_residual,
            mean=tuple(config.mean),
            std=tuple(config.std),
            temporal_shift=config.get("temporal_shift", False),
            stride_in_1x1=config.get("stride_in_1x1", False),
            backbone=backbone if backbone.startswith("r2plus1d") else "",
            temporal_head=config.get("temporal_head", "mean"),
            enhancement=Enhancement.from_config(config),
            stream=stream,
        )

    @classmethod
    def load(cls, path: Path) -> "NetworkSpec":
        """Reads what `save` wrote.

        Raises:
            ValueError: the file does not describe a network.
        """
        try:
            fields: Mapping[str, Any] = json.loads(path.read_text())
            own: dict[str, Any] = {name: tuple(fields[name]) for name in ("mean", "std")}
            told = fields.get("enhancement")
            own["enhancement"] = None if told is None else Enhancement.load(told, path)
            own["stream"] = Stream.load(fields.get("stream"))
            spec = cls(**{**fields, **own})
            spec._check()
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise ValueError(f"{path} does not describe a network: {error}") from error
        return spec

    def _check(self) -> None:
        for name, expected in _KINDS.items():
            value = getattr(self, name)
            # To Python, True is a whole number too.
            if not isinstance(value, expected) or (
                isinstance(value, bool) and expected is not bool
            ):
                raise ValueError(f"{name} is {value!r}")
        for name in ("mean", "std"):
            # Of a whole number that is too large for a float, `isfinite` raises OverflowError.
            if not all(
                isinstance(value, int | float) and math.isfinite(value)
                for value in getattr(self, name)
            ):
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected numbers")
        if self.backbone and BACKBONES.get(self.backbone) != self.depth:
            raise ValueError(f"backbone is {self.backbone!r} and depth {self.depth}")
        if self.temporal_head not in TEMPORAL_HEADS:
            raise ValueError(
                f"temporal_head is {self.temporal_head!r}, expected one of {', '.join(TEMPORAL_HEADS)}"
            )
        if not self.is_video_network and self.depth not in ARCHITECTURES:
            raise ValueError(f"depth is {self.depth}, expected one of {sorted(ARCHITECTURES)}")
        if self.stream is not None:
            self.stream.frame_channels(self.in_channels)

    def save(self, path: Path) -> None:
        """Writes the description as JSON, and what enhances its frames beside it.

        Raises:
            ValueError: the enhancement's weights cannot be read, or others lie there.
        """
        fields = dataclasses.asdict(dataclasses.replace(self, enhancement=None))
        del fields["enhancement"]
        if self.stream is None:
            del fields["stream"]
        if self.enhancement is not None:
            fields["enhancement"] = self.enhancement.save(path)
        path.write_text(json.dumps(fields, indent=2) + "\n")

    @property
    def sees(self) -> str:
        """The modality and what was done to it: "ir", "rgb, enhanced by zero_dce", "ir, 5 stacked flows"."""
        light = f", enhanced by {self.enhancement}" if self.enhancement else ""
        return self.modality + light + (f", {self.stream}" if self.stream else "")

    @property
    def frame_channels(self) -> int:
        """Channels of the frames that it takes, if these have more than one."""
        return self.stream.frame_channels(self.in_channels) if self.stream else self.in_channels

    @property
    def stage_channels(self) -> dict[str, int]:
        """The channels of each residual stage's output, by the stage's name."""
        bottleneck = not self.is_video_network and ARCHITECTURES[self.depth].bottleneck
        widening = Bottleneck.expansion if bottleneck else 1
        return {name: self.width * 2**i * widening for i, name in enumerate(STAGE_NAMES)}

    @property
    def is_video_network(self) -> bool:
        """Whether it is an R(2+1)D, which convolves over time; a TSN looks at frames otherwise."""
        return self.backbone.startswith("r2plus1d")

    @property
    def mixes_time(self) -> bool:
        """Whether the frames of a clip see each other, so that clips must be as long as in training."""
        return self.temporal_shift or self.is_video_network

    @property
    def title(self) -> str:
        """For people, such as "ResNet50" or "R(2+1)D-34 with BERT head"."""
        return network_title(dataclasses.asdict(dataclasses.replace(self, enhancement=None)))

    def build(self, seed: int, dtype: DTypeLike = jnp.float32) -> VideoNetwork:
        """A network with fresh weights that follow from `seed`, computing in `dtype`."""
        if self.is_video_network:
            return R2Plus1D(
                self.depth,
                self.num_classes,
                width=self.width,
                in_channels=self.in_channels,
                dropout=self.dropout,
                zero_init_residual=self.zero_init_residual,
                temporal_head=self.temporal_head,
                dtype=dtype,
                rngs=KeysInTurn(jax.random.key(seed)),
            )
        return TSN(
            self.depth,
            self.num_classes,
            width=self.width,
            in_channels=self.in_channels,
            dropout=self.dropout,
            zero_init_residual=self.zero_init_residual,
            temporal_shift=self.temporal_shift,
            stride_in_1x1=self.stride_in_1x1,
            dtype=dtype,
            rngs=KeysInTurn(jax.random.key(seed)),
        )

    def shapes(self, dtype: DTypeLike = jnp.float32) -> VideoNetwork:
        """The network with shapes in place of arrays: nothing is computed.

        It is made once for each description and shared by all who ask: do not change it.
        """
        return _shapes(self, jnp.dtype(dtype))

    def normalise(
        self, frames: UInt8[Array, "*batch height width channel"], dtype: DTypeLike = jnp.float32
    ) -> Float[Array, "*seen height width in_channel"]:
        """(frames / 255 - mean) / std, computed in float32, with grey frames repeated to `in_channels`.

        With an enhancement, it sees frames / 255, and what it makes of them is normalised. With a stream,
        see `Stream.normalise`.

        Raises:
            ValueError: the frames' channels are neither one nor `in_channels`, or the enhancement's
                weights cannot be read.
        """
        if self.stream is not None:
            std = jnp.asarray(self.std, jnp.float32)
            return self.stream.normalise(frames, std, self.in_channels).astype(dtype)
        channels = frames.shape[-1]
        if channels not in (1, self.in_channels):
            raise ValueError(
                f"the network takes {self.in_channels} channels, found {self.modality} frames with {channels}"
            )
        mean = jnp.asarray(self.mean, jnp.float32)
        std = jnp.asarray(self.std, jnp.float32)
        pixels = frames.astype(jnp.float32) / 255.0
        if self.enhancement is not None:
            pixels = self.enhancement(pixels, dtype)
        normalised = (pixels - mean) / std
        shape = (*frames.shape[:-1], self.in_channels)
        return jnp.broadcast_to(normalised, shape).astype(dtype)


@functools.cache
def _shapes(spec: NetworkSpec, dtype: np.dtype) -> VideoNetwork:
    # Tracing a ResNet50's construction takes a fifth of a second, and a start asks for it three times.
    return nnx.eval_shape(lambda: spec.build(0, dtype))


def network_title(section: Mapping[str, Any]) -> str:
    """`NetworkSpec.title` of a network's section of a config, or of its description's fields."""
    backbone = section.get("backbone") or f"resnet{section['depth']}"
    depth = BACKBONES[backbone]
    if not backbone.startswith("r2plus1d"):
        return f"ResNet{depth}"
    return f"R(2+1)D-{depth}{' with BERT head' * (section.get('temporal_head') == 'bert')}"
