"""What a program must know of a trained network to feed it clips and to name its classes."""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rgb2ir_jax.data.sampling import SAMPLINGS, Sampling
from rgb2ir_jax.prediction.own_test import OwnTest
from rgb2ir_jax.video.modalities import CHANNELS

if TYPE_CHECKING:
    # Not needed to run an ONNX graph, and most of the time that it would take to load one.
    from rgb2ir_jax.models.network import NetworkSpec

KEY = "rgb2ir_jax"
"""Under which the description stands in the metadata of safetensors and ONNX files."""

_MOST_CHARACTERS = 2**20
# Of one clip, of each channel: a ten-crop test of 25 frames of 224 pixels in colour has 2**25.
_MOST_PIXELS = 2**28
_MOST_RESIZE = 4096


@dataclasses.dataclass(frozen=True)
class StudentDescription:
    """How a network is to be fed, and what its logits mean; lies beside or in exported files.

    Attributes:
        name: "student" or "teacher".
        modality: "ir", "rgb", or another one, whose channels are then told.
        class_names: in the order of the logits.
        segments: frames of a clip in the run's own test.
        crops: squares cut out of each frame there, see `data.transforms.crop_views`.
        train_segments: frames of a clip in training.
        temporal_shift: whether frames of a clip see each other, by temporal shift or by convolutions
            over time; clips must then have `train_segments` frames.
        resize: short side in pixels before the crop.
        crop: side of the square input in pixels.
        in_channels: of the network.
        mean: of each input channel, in units of pixel value / 255.
        std: likewise.
        preprocessing: whether the exported program takes uint8 frames; otherwise normalised ones.
        frame_channels: of the frames, one or `in_channels`, where the modality's name does not tell
            it; otherwise 0.
        sampling: how frames are chosen, see `data.sampling`.
        frame_stride: of dense sampling.
        own_test: of the run that trained it; None: not known.

    Raises:
        ValueError: a value is out of range.
    """

    name: str
    modality: str
    class_names: tuple[str, ...]
    segments: int
    crops: int
    train_segments: int
    temporal_shift: bool
    resize: int
    crop: int
    in_channels: int
    mean: tuple[float | int, ...]
    std: tuple[float | int, ...]
    preprocessing: bool = True
    frame_channels: int = 0
    sampling: str = "segments"
    frame_stride: int = 1
    own_test: OwnTest | None = None

    def __post_init__(self) -> None:
        for holds, what in self._conditions():
            if not holds:
                raise ValueError(what)

    def _conditions(self) -> Iterator[tuple[bool, str]]:
        """Each is looked at when those before it hold: numbers are numbers before they are used."""
        numbers = (self.segments, self.train_segments, self.resize, self.crop, self.in_channels)
        yield isinstance(self.name, str), f"name is {self.name!r}"
        yield (
            all(type(number) is int and 1 <= number < 2**16 for number in numbers),
            f"segments, train_segments, resize, crop, in_channels are {numbers}: too small or large",
        )
        yield (
            type(self.crops) is int and self.crops in (1, 3, 10),
            f"crops is {self.crops!r}, expected 1, 3 or 10",
        )
        yield type(self.frame_channels) is int, f"frame_channels is {self.frame_channels!r}"
        yield (
            isinstance(self.modality, str)
            and bool(self.frame_channels or self.modality in CHANNELS),
            f"modality is {self.modality!r}, expected {', '.join(CHANNELS)}, or frame_channels",
        )
        yield (
            self.channels in (1, self.in_channels)
            and self.frame_channels != CHANNELS.get(self.modality),
            (
                f"frame_channels is {self.frame_channels} of {self.modality!r} frames, in_channels "
                f"{self.in_channels}; expected 0 where the modality tells it, else 1 or in_channels"
            ),
        )
        yield (
            bool(self.class_names) and all(isinstance(c, str) for c in self.class_names),
            "class_names is no list of names",
        )
        yield (
            self.crop <= self.resize <= _MOST_RESIZE
            and self.segments * self.crops * self.crop**2 * self.channels <= _MOST_PIXELS,
            (
                f"crop is {self.crop} and resize {self.resize}, with {self.segments} frames of a clip, "
                f"{self.crops} crops and {self.channels} channels"
            ),
        )
        yield (
            isinstance(self.temporal_shift, bool) and isinstance(self.preprocessing, bool),
            "temporal_shift or preprocessing is neither true nor false",
        )
        yield (
            self.sampling in SAMPLINGS
            and type(self.frame_stride) is int
            and 1 <= self.frame_stride < 2**16
            and (self.sampling != "dense" or self.segments % self.train_segments == 0),
            f"sampling is {self.sampling!r}, frame_stride {self.frame_stride!r}, segments {self.segments}",
        )
        yield (
            all(
                isinstance(number, int | float) and math.isfinite(number)
                for values in (self.mean, self.std)
                for number in values
            )
            and all(number > 0 for number in self.std)
            and len(self.mean) == len(self.std) == self.in_channels,
            f"mean and std are {self.mean!r} and {self.std!r}, not {self.in_channels} numbers each",
        )

    @classmethod
    def of_run(
        cls,
        spec: "NetworkSpec",
        config: Mapping[str, Any],
        phase: Mapping[str, Any],
        *,
        preprocessing: bool = True,
    ) -> "StudentDescription":
        """Reads a run's files.

        Args:
            spec: of the network.
            config: the run's `config.json`.
            phase: the network's own `result.json`.
            preprocessing: see the class.

        Raises:
            ValueError: a field is missing or out of range.
        """
        try:
            data, evaluation = config["data"], config["evaluation"]
            channels = frame_channels(spec, phase)
            return cls(
                name=phase["network"],
                modality=spec.modality,
                class_names=tuple(phase["class_names"]),
                # As `Protocol.from_config`: 0, or none in runs of earlier versions, is as trained.
                segments=evaluation.get("segments", 0) or data["segments"],
                crops=evaluation.get("crops", 0) or 1,
                train_segments=data["segments"],
                temporal_shift=spec.mixes_time,
                resize=data["resize"],
                crop=data["crop"],
                in_channels=spec.in_channels,
                mean=tuple(spec.mean),
                std=tuple(spec.std),
                preprocessing=preprocessing,
                frame_channels=0 if channels == CHANNELS.get(spec.modality) else channels,
                sampling=data.get("sampling", "segments"),
                frame_stride=data.get("frame_stride", 1),
                own_test=OwnTest.of_run(config, phase),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no run of this project wrote this: {error!r}") from error

    @classmethod
    def from_json(cls, text: str, where: object) -> "StudentDescription":
        """Reads what `to_json` wrote.

        Raises:
            ValueError: it is no such description; names `where`.
        """
        try:
            if len(text) > _MOST_CHARACTERS:
                raise ValueError(f"it has more than {_MOST_CHARACTERS} characters")
            fields = json.loads(text)
            lists = {name: tuple(fields[name]) for name in ("class_names", "mean", "std")}
            noted = fields.get("own_test")
            own_test = None if noted is None else OwnTest(**noted)
            return cls(**{**fields, **lists, "own_test": own_test})
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise ValueError(f"{where} does not describe an exported network: {error}") from error

    def to_json(self) -> str:
        """As indented JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @property
    def channels(self) -> int:
        """Of the frames that it is given: one of infrared, three of colour."""
        return self.frame_channels or CHANNELS[self.modality]

    @property
    def frames(self) -> Sampling:
        """How the frames of a clip are chosen."""
        return Sampling(self.train_segments, self.sampling, self.frame_stride)

    @property
    def needed_frames(self) -> int:
        """Frames that a video must have so that none is shown twice to make up for others."""
        return self.frames.span if self.sampling == "dense" else self.segments

    @property
    def sub_clips(self) -> int:
        """Into how many clips the frames of a test are dealt out, see `Protocol.sub_clips`.

        Raises:
            ValueError: they cannot be dealt out equally.
        """
        from rgb2ir_jax.evaluation.protocol import Protocol

        return Protocol(self.segments, self.crops).sub_clips(
            self.train_segments, mixes_segments=self.temporal_shift
        )


def frame_channels(spec: "NetworkSpec", phase: Mapping[str, Any]) -> int:
    """The channels of the frames that a run's network was trained on.

    Runs of earlier versions do not tell: theirs go by the modality's name, or are the network's own.

    Args:
        spec: of the network.
        phase: the network's own `result.json`.

    Raises:
        ValueError: the network does not take frames of so many channels.
    """
    usual = CHANNELS.get(spec.modality, spec.in_channels)
    channels = phase.get("frame_channels", usual)
    if type(channels) is not int or channels not in (1, spec.in_channels):
        raise ValueError(
            f"the network takes {spec.in_channels} channels, and its {spec.modality} frames have "
            f"{channels!r}; expected 1 or {spec.in_channels}"
        )
    return channels
