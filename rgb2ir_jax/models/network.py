"""A network as the config describes it: architecture, modality, and what its input pixels mean."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

from rgb2ir_jax.models.output import STAGE_NAMES
from rgb2ir_jax.models.resnet import ARCHITECTURES, Bottleneck
from rgb2ir_jax.models.tsn import TSN

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
}


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """Everything that is needed to rebuild a network and feed it; stored beside its weights.

    Attributes:
        modality: name of the batch's entry that it sees, "rgb" or "ir".
        depth: of the ResNet: 18, 34, 50 or 101.
        width: channels of its stem (64: the published networks).
        in_channels: channels that the stem takes. One-channel frames are repeated to fill it.
        num_classes: number of logits.
        dropout: probability, before the classifier.
        zero_init_residual: see `ResNet`; of the fresh weights only.
        mean: of each input channel, in units of pixel value / 255.
        std: of each input channel, in the same unit.
        temporal_shift: see `ResNet`; descriptions from before it was there leave it out.
        stride_in_1x1: see `ResNet`; likewise.
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

    @classmethod
    def from_config(cls, config: ml_collections.ConfigDict, num_classes: int) -> "NetworkSpec":
        """Reads `config.teacher` or `config.student`."""
        return cls(
            modality=config.modality,
            depth=config.depth,
            width=config.width,
            in_channels=config.in_channels,
            num_classes=num_classes,
            dropout=config.dropout,
            zero_init_residual=config.zero_init_residual,
            mean=tuple(config.mean),
            std=tuple(config.std),
            temporal_shift=config.get("temporal_shift", False),
            stride_in_1x1=config.get("stride_in_1x1", False),
        )

    @classmethod
    def load(cls, path: Path) -> "NetworkSpec":
        """Reads what `save` wrote.

        Raises:
            ValueError: the file does not describe a network.
        """
        try:
            fields: Mapping[str, Any] = json.loads(path.read_text())
            spec = cls(**{**fields, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])})
            spec._check()
        except (ValueError, TypeError, KeyError) as error:
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
            if not all(isinstance(value, int | float) for value in getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected numbers")
        if self.depth not in ARCHITECTURES:
            raise ValueError(f"depth is {self.depth}, expected one of {sorted(ARCHITECTURES)}")

    def save(self, path: Path) -> None:
        """Writes the description as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @property
    def stage_channels(self) -> dict[str, int]:
        """The channels of each residual stage's output, by the stage's name."""
        widening = Bottleneck.expansion if ARCHITECTURES[self.depth].bottleneck else 1
        return {name: self.width * 2**i * widening for i, name in enumerate(STAGE_NAMES)}

    def build(self, seed: int, dtype: DTypeLike = jnp.float32) -> TSN:
        """A TSN with fresh weights that follow from `seed`, computing in `dtype`."""
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
            rngs=nnx.Rngs(params=jax.random.key(seed)),
        )

    def normalise(
        self, frames: UInt8[Array, "*batch height width channel"], dtype: DTypeLike = jnp.float32
    ) -> Float[Array, "*batch height width in_channel"]:
        """(frames / 255 - mean) / std, computed in float32, with grey frames repeated to `in_channels`.

        Raises:
            ValueError: the frames' channels are neither one nor `in_channels`.
        """
        channels = frames.shape[-1]
        if channels not in (1, self.in_channels):
            raise ValueError(
                f"the network takes {self.in_channels} channels, found {self.modality} frames with {channels}"
            )
        mean = jnp.asarray(self.mean, jnp.float32)
        std = jnp.asarray(self.std, jnp.float32)
        normalised = (frames.astype(jnp.float32) / 255.0 - mean) / std
        shape = (*frames.shape[:-1], self.in_channels)
        return jnp.broadcast_to(normalised, shape).astype(dtype)
