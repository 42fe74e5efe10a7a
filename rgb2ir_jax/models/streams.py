"""What a network sees of a clip instead of its frames: their differences, flow, or one image of all.

The streams of Liu et al., "Global temporal representation based CNNs for infrared action recognition", IEEE
Signal Processing Letters 25(6), 2018 (TSTDDs), in our reading (docs/tstdd.md): "frame" is the spatial
stream, "differences" or "flow" the local temporal one, "global_image" the global temporal one.

Differences and the global image are made of the uint8 frames on the device, in the program that runs the
network, in float32; flow is computed on the host (`data.flow`) and is only scaled here. Nothing learns.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from rgb2ir_jax.data.sampling import SNIPPETS

STREAMS = ("frame", "differences", "flow", "global_image")
"""What `config.student.stream` may be."""
LENGTHS = {"differences": (1, 32), "flow": (1, 32), "global_image": (2, 128)}
"""Least and greatest length of each, see `Stream`."""
LENGTH, GLOBAL_FRAMES = 5, 16
"""TSN's stacks (its published code); and frames of a global image, our choice."""

# What flow of no motion is stored as.
_STILL = 128
# Neighbouring frames differ by a fifth of what pixels do, and a global image is two fifths: measured on the
# synthetic footage, 30 frames a second. With these, inputs have about the spread of normalised pixels, which
# is what published weights expect; a stem that is followed by BatchNorm is indifferent to it.
_GAIN = {"differences": 4.0, "global_image": 2.0}


@dataclasses.dataclass(frozen=True)
class Stream:
    """What is made of a clip's frames before a network sees them.

    Attributes:
        name: one of `STREAMS` but "frame", which is no stage at all.
        length: differences or flows that are stacked to one picture, each of two frames in a row; of
            "global_image" the frames, spread over the clip, that its one picture is made of.

    Raises:
        ValueError: there is no such stream, or the length is out of range.
    """

    name: str
    length: int

    def __post_init__(self) -> None:
        if self.name not in LENGTHS:
            raise ValueError(f"stream is {self.name!r}, expected one of {', '.join(STREAMS)}")
        least, most = LENGTHS[self.name]
        if type(self.length) is not int or not least <= self.length <= most:
            raise ValueError(
                f"length of the stream {self.name!r} is {self.length!r}, expected {least} to {most}"
            )

    @classmethod
    def from_config(cls, section: ConfigDict) -> "Stream | None":
        """Reads `stream`, `stream_length` and `global_frames` of `config.student`; None of "frame".

        Runs of earlier versions, and teachers, have no such field and see frames.
        """
        name = section.get("stream", "frame")
        if name == "frame":
            return None
        if name == "global_image":
            return cls(name, section.get("global_frames", GLOBAL_FRAMES))
        return cls(name, section.get("stream_length", LENGTH))

    @classmethod
    def load(cls, fields: Any) -> "Stream | None":
        """Reads what a network's description holds of it.

        Raises:
            ValueError: it is no such thing.
        """
        if fields is None:
            return None
        if not isinstance(fields, Mapping) or set(fields) != {"name", "length"}:
            raise ValueError(f"its stream is {fields!r}")
        return cls(**fields)

    def __str__(self) -> str:
        """Returns for instance "5 stacked differences"."""
        if self.name == "global_image":
            return f"one image of {self.length} frames"
        return f"{self.length} stacked {'differences' if self.name == 'differences' else 'flows'}"

    def stem_channels(self, frame_channels: int) -> int:
        """Channels of a network's input, of frames of so many channels."""
        if self.name == "flow":
            return 2 * self.length
        return frame_channels * (self.length if self.name == "differences" else 1)

    def frame_channels(self, stem_channels: int) -> int:
        """Channels of the pictures that such an input is made of: of flow its own.

        Raises:
            ValueError: nothing gives an input of so many.
        """
        channels = stem_channels // (self.length if self.name == "differences" else 1)
        if not channels or self.stem_channels(channels) != stem_channels:
            raise ValueError(f"in_channels is {stem_channels}, and its stream is {self}")
        return channels

    @property
    def is_one_image(self) -> bool:
        """Whether a clip is one picture, of a number of frames that no test can change."""
        return self.name == "global_image"

    def pictures(self, segments: int) -> int:
        """How many inputs the network gets of a clip of so many segments."""
        return 1 if self.is_one_image else segments

    def segments(self, asked: int) -> int:
        """How many segments a clip has in a test that asks for so many: one image is always of all frames."""
        return self.length if self.is_one_image else asked

    def read(self, config: ConfigDict) -> ConfigDict:
        """Returns a run's config with the clips of this stream: which frames are read, and what of them.

        Args:
            config: of a run, with `data` and `evaluation`; stays as it is.
        """
        seen = config.copy_and_resolve_references()
        with seen.unlocked():
            if self.name == "global_image":
                # So many segments, of which each gives a frame; and no others in a test.
                seen.data.segments, seen.evaluation.segments = self.length, 0
            else:
                seen.data.sampling, seen.data.snippet = SNIPPETS, self.length + 1
                seen.data.flow = self.name == "flow"
        return seen

    def normalise(
        self,
        frames: UInt8[Array, "*clip frame height width channel"],
        std: Float[Array, " _std"],
        stem_channels: int,
    ) -> Float[Array, "*clip picture height width stem"]:
        """The network's inputs, float32: 0 where nothing moves, and about as spread as normalised pixels.

        A mean of pixels would cancel out of every difference.

        Args:
            frames: as the pipeline reads them for `read`'s config.
            std: of pixel value / 255, one number or one a channel; of flow their mean counts, as TSN's.
            stem_channels: of the network. Grey frames are repeated to what it takes.

        Raises:
            ValueError: the frames are not those.
        """
        *_, count, _, _, channels = frames.shape
        wanted = self.frame_channels(stem_channels)
        if self.name == "flow":
            if channels != wanted:
                raise ValueError(f"the network sees {self}, found frames of {channels} channels")
            return (frames.astype(jnp.float32) - _STILL) / (255 * jnp.mean(std))
        whole = (
            count == self.length if self.name == "global_image" else not count % (self.length + 1)
        )
        if channels not in (1, wanted) or not whole:
            raise ValueError(
                f"the network sees {self} of frames of {wanted} channels, found {count} frames of {channels}"
            )
        pixels = jnp.broadcast_to(frames, (*frames.shape[:-1], wanted)).astype(jnp.float32)
        if self.name == "global_image":
            change, repeats = dynamic_image(pixels)[..., None, :, :, :], 1
        else:
            change, repeats = frame_differences(pixels, self.length), self.length
        scale = jnp.tile(jnp.broadcast_to(std, (wanted,)), repeats)
        return change * (_GAIN[self.name] / 255) / scale

    def shown(
        self, frames: UInt8[np.ndarray, "clip frame height width _channel"]
    ) -> UInt8[np.ndarray, "clip picture height width _shown"]:
        """Its pictures of clips, to be looked at: grey is no change, and of flow red is u, green v.

        Of stacked differences their sum is shown, which is the last frame minus the first one.
        """
        if self.name == "flow":
            motion = [frames[..., k::2].mean(axis=-1) for k in range(2)]
            found = np.stack([*motion, np.full_like(motion[0], _STILL)], axis=-1)
        else:
            pixels = jnp.asarray(frames, jnp.float32)
            if self.name == "global_image":
                change = np.asarray(dynamic_image(pixels))[:, None]
            else:
                stacked = np.asarray(frame_differences(pixels, self.length))
                change = stacked.reshape(*stacked.shape[:-1], self.length, -1).sum(axis=-2)
            found = _STILL + change / 2
        return np.clip(np.rint(found), 0, 255).astype(np.uint8)


def check_sees_frames(stream: Stream | None, what: str) -> None:
    """Raises ValueError if a network sees a stream, for whoever can only show it frames.

    Args:
        stream: of the network.
        what: is refused, such as "prediction from videos".
    """
    if stream is not None:
        raise ValueError(
            f"this network sees {stream} of a clip, and {what} is of networks that see its frames; its run "
            "is tested by `python -m rgb2ir_jax.evaluate --run=DIR`"
        )


def frame_differences(
    frames: Float[Array, "*clip frame height width channel"], length: int
) -> Float[Array, "*clip snippet height width stacked"]:
    """The differences of neighbouring frames of each snippet, later minus earlier, stacked as channels.

    Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2 (RGB differences).

    Args:
        frames: snippets of `length + 1` frames, one after the other.
        length: differences of a snippet.

    Returns:
        All channels of the first difference, then those of the second, and so on.
    """
    *clip, count, height, width, channels = frames.shape
    shape = (*clip, count // (length + 1), length + 1, height, width, channels)
    changes = jnp.moveaxis(jnp.diff(frames.reshape(shape), axis=-4), -4, -2)
    return changes.reshape(*changes.shape[:-2], length * channels)


def dynamic_image(
    frames: Float[Array, "*clip frame height width channel"],
) -> Float[Array, "*clip height width channel"]:
    """One image of a whole clip: a weighted sum of the differences of its frames.

    Bilen et al., "Dynamic image networks for action recognition", CVPR 2016: approximate rank pooling,
    without the mean over time, is the sum of (2t - T - 1) I_t over the T frames, which is the sum of
    t (T - t) (I_{t+1} - I_t) over their differences: the middle of the clip counts most. It is scaled so
    that a steady change keeps its size: of I_t = a + b t comes b (T - 1), the last frame minus the first.

    Args:
        frames: spread evenly over the clip, two at least.
    """
    count = frames.shape[-4]
    t = np.arange(1, count)
    weights = 6.0 * t * (count - t) / (count * (count + 1))
    # Differences first: of a clip that stands still comes exactly 0. A product of matrices would round to
    # fewer digits on some devices.
    changes = jnp.diff(frames, axis=-4) * jnp.asarray(weights, frames.dtype)[:, None, None, None]
    return jnp.sum(changes, axis=-4)
