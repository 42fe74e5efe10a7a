"""Enhancement as a stage in front of a network: frozen, on the device, before normalisation."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from rgb2ir_jax.models.enhancement.gamma import GAMMA, gamma_correction
from rgb2ir_jax.models.enhancement.weights import (
    Tensors,
    build_zero_dce,
    digest,
    read_zero_dce,
    write_zero_dce,
)
from rgb2ir_jax.models.enhancement.zero_dce import multiply_accumulates

ENHANCEMENTS = ("zero_dce", "gamma")
_LARGEST = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True)
class Enhancement:
    """What is done to a network's pictures before they are normalised; nothing of it learns.

    Zero-DCE's weights become constants of the compiled program: no optimizer, average or checkpoint
    ever holds them. They are read when they are first needed, and copied beside the description of
    each network that is saved (`save`), so that a run no longer needs the file it was given.

    Attributes:
        name: one of `ENHANCEMENTS`.
        gamma: of "gamma", see `gamma_correction`.
        weights: file of Zero-DCE's weights; two enhancements are equal whatever files they have.

    Raises:
        ValueError: there is no such enhancement, or gamma is out of range.
    """

    name: str
    gamma: float | int = GAMMA
    weights: Path | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.name not in ENHANCEMENTS:
            raise ValueError(f"enhancement is {self.name!r}, expected one of {ENHANCEMENTS}")
        number = isinstance(self.gamma, int | float) and not isinstance(self.gamma, bool)
        # The power is computed in float32. Whole numbers of any size compare without overflow.
        if not (number and 0 < self.gamma <= _LARGEST and 1 / self.gamma <= _LARGEST):
            raise ValueError(f"gamma is {self.gamma!r:.40}, expected a finite number above 0")

    @classmethod
    def from_config(cls, section: ConfigDict) -> "Enhancement | None":
        """Reads `enhance`, `gamma` and `enhance_weights` of `config.teacher` or `config.student`."""
        if not section.get("enhance", None):
            return None
        weights = section.get("enhance_weights", "") if section.enhance == "zero_dce" else ""
        return cls(
            section.enhance,
            section.get("gamma", GAMMA) if section.enhance == "gamma" else GAMMA,
            Path(weights).expanduser() if weights else None,
        )

    @classmethod
    def of_tensors(cls, tensors: Tensors) -> "Enhancement":
        """Zero-DCE with weights that are in memory; it can be looked at, not saved."""
        enhancement = cls("zero_dce")
        enhancement.__dict__["tensors"] = tensors
        return enhancement

    def __str__(self) -> str:
        """Returns "zero_dce", or for instance "gamma 1.8"."""
        return f"gamma {self.gamma:g}" if self.name == "gamma" else self.name

    def __call__(
        self, pixels: Float[Array, "*batch height width channel"], dtype: DTypeLike = jnp.float32
    ) -> Float[Array, "*batch height width channel"]:
        """Enhanced pictures of as many channels, float32, without gradient.

        Of a picture of one channel, Zero-DCE sees that channel three times, and the mean of what it
        makes of them comes back.

        Args:
            pixels: in [0, 1].
            dtype: compute dtype of Zero-DCE's convolutions.

        Raises:
            ValueError: the weights cannot be read, or Zero-DCE does not take these channels.
        """
        if self.name == "gamma":
            return jax.lax.stop_gradient(gamma_correction(pixels, self.gamma))
        enhanced, _ = build_zero_dce(self.tensors, dtype)(pixels)
        if pixels.shape[-1] == 1:
            enhanced = jnp.mean(enhanced, axis=-1, keepdims=True)
        return jax.lax.stop_gradient(enhanced)

    def pictures(
        self, frames: UInt8[np.ndarray, "*batch height width channel"]
    ) -> UInt8[np.ndarray, "*batch height width channel"]:
        """Enhanced pictures to be looked at, rounded to 8 bits; in float32, one after the other."""
        flat = frames.reshape(-1, *frames.shape[-3:])
        shown = [np.asarray(self._eight_bits(picture), np.float32) for picture in flat]
        return np.clip(np.stack(shown), 0, 255).astype(np.uint8).reshape(frames.shape)

    @functools.cached_property
    def _eight_bits(self) -> Callable[[np.ndarray], jax.Array]:
        return jax.jit(lambda picture: jnp.rint(255 * self(picture.astype(jnp.float32) / 255)))

    @functools.cached_property
    def tensors(self) -> Tensors:
        """Zero-DCE's weights; empty for others.

        Raises:
            ValueError: no file was named, or it is not what it has to be.
        """
        if self.name != "zero_dce":
            return {}
        if self.weights is None:
            raise ValueError(
                "enhance is 'zero_dce', and no file of its weights is named: give enhance_weights, such as "
                "the zero_dce.safetensors of a run of configs/zero_dce.py"
            )
        return read_zero_dce(self.weights)

    def multiply_accumulates(self, height: int, width: int) -> int:
        """Of one picture, as `models.cost` counts them."""
        return multiply_accumulates(height, width) if self.name == "zero_dce" else 0

    def save(self, description: Path) -> dict[str, Any]:
        """Writes the weights beside a network's description, and returns what that is to say.

        Weights that lie there already stay: a run goes on with those that it began with.

        Args:
            description: the file that describes the network.

        Raises:
            ValueError: the weights cannot be read, or others lie there.
        """
        if self.name == "gamma":
            return {"name": self.name, "gamma": self.gamma}
        copy = recorded_weights(description)
        if copy.is_file():
            self.check_unchanged(description)
        else:
            write_zero_dce(copy, self.tensors, {"enhancement": self.name})
        return {"name": self.name, "sha256": digest(read_zero_dce(copy))}

    def check_unchanged(self, description: Path) -> None:
        """Raises ValueError if the file of the weights is there, and holds others than were recorded."""
        copy = recorded_weights(description)
        if self.weights is None or not self.weights.is_file() or not copy.is_file():
            return
        if digest(self.tensors) != digest(read_zero_dce(copy)):
            raise ValueError(
                f"{self.weights} has changed since {copy} was copied from it; choose another --workdir, or "
                "restore the file to go on with that run"
            )

    @classmethod
    def load(cls, fields: Mapping[str, Any], description: Path) -> "Enhancement":
        """Reads what `save` returned, the weights lying beside the description.

        Raises:
            ValueError: it is no such thing, or the weights are not there or others.
        """
        found = dict(fields)
        wanted = found.pop("sha256", None)
        if set(found) - {"name", "gamma"} or "name" not in found:
            raise ValueError(f"its enhancement is {dict(fields)!r}")
        if found["name"] != "zero_dce":
            return cls(**found)
        enhancement = cls(**found, weights=recorded_weights(description))
        if digest(enhancement.tensors) != wanted:
            raise ValueError(f"{enhancement.weights} holds other weights than the network was with")
        return enhancement


def recorded_weights(description: Path) -> Path:
    """Where the weights lie that go with a description: network.zero_dce.safetensors."""
    return description.with_name(f"{description.stem}.zero_dce.safetensors")
