"""How a clip is looked at in testing: which frames, which crops, and what becomes of their scores.

Wang et al., "Temporal Segment Networks", ECCV 2016, section 4.1, and its published code: the frames
at the centres of 25 equal segments, ten crops of each, the network's class scores (logits, before
any softmax) averaged over crops and segments.
"""

import dataclasses

import ml_collections

from rgb2ir_jax.data.transforms import CROP_COUNTS

DENSE_SEGMENTS = 25


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Frames and crops of a test; the logits of all of them are averaged with equal weights.

    Attributes:
        segments: equal parts of a clip, whose middle frames are read.
        crops: squares of each frame: the middle one (1), three along the longer side (3), or the
            middle, the corners and their mirror images (10).

    Raises:
        ValueError: a number is out of range.
    """

    segments: int
    crops: int = 1

    def __post_init__(self) -> None:
        if self.segments < 1:
            raise ValueError(f"{self.segments} segments were asked for; expected at least 1")
        if self.crops not in CROP_COUNTS:
            raise ValueError(f"{self.crops} crops were asked for; expected one of {CROP_COUNTS}")

    @classmethod
    def from_config(cls, config: ml_collections.ConfigDict) -> "Protocol":
        """The protocol of a run's own tests: `config.evaluation.segments` and `.crops`.

        Where they are missing (runs of earlier versions) or 0, a clip is tested as it is trained
        on: `config.data.segments` frames, one crop.
        """
        section = config.evaluation
        return cls(section.get("segments", 0) or config.data.segments, section.get("crops", 0) or 1)

    def batch_size(self, single_view: int, train_segments: int, devices: int) -> int:
        """Clips of a batch that holds no more frames than one of single views.

        Args:
            single_view: `config.evaluation.batch_size`, clips.
            train_segments: `config.data.segments`, frames of such a clip.
            devices: the result is a multiple of it.

        Returns:
            At most `single_view` and at least `devices`. No figure depends on it.
        """
        views = max(1.0, self.segments * self.crops / train_segments)
        return max(1, int(single_view / views) // devices) * devices

    def sub_clips(self, train_segments: int, *, mixes_segments: bool) -> int:
        """Into how many clips the network gets the segments dealt out, see `inference.make_scorer`.

        A network that looks at each frame alone may see all segments at once: the mean is the same.
        One that mixes neighbouring segments (temporal shift) is to see clips as it was trained on,
        of as many segments and each over the whole time.

        Args:
            train_segments: `config.data.segments`.
            mixes_segments: whether the network does.

        Raises:
            ValueError: the segments cannot be dealt out equally.
        """
        if not mixes_segments:
            return 1
        if self.segments % train_segments:
            raise ValueError(
                f"{self.segments} segments were asked for; this network mixes the {train_segments} "
                f"segments of a clip, so that a multiple of {train_segments} is expected"
            )
        return self.segments // train_segments

    def __str__(self) -> str:
        """Returns for instance "25 segments, 10 crops (middle, corners, mirrored)"."""
        crops = {
            1: "middle crop",
            3: "3 crops (along the longer side)",
            10: "10 crops (middle, corners, mirrored)",
        }[self.crops]
        return f"{self.segments} segment{'s' * (self.segments > 1)}, {crops}"
