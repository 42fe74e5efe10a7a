"""What is drawn for a clip of a training batch: its frames, its view, its change of light.

A pure function of the settings and (seed, epoch, clip), apart from the pixels, so that whoever cuts
the frames, the host or the device, does the same.
"""

from typing import NamedTuple

import numpy as np
from ml_collections import FrozenConfigDict

from rgb2ir_jax.data.sampling import FrameChoice, Sampling
from rgb2ir_jax.data.source import MODALITIES
from rgb2ir_jax.data.transforms import Jitter, View, draw_jitter, draw_view


class Draw(NamedTuple):
    """What a clip shows this time.

    Attributes:
        choose: The frames that are read.
        view: The crop and the flip, the same for all frames and modalities.
        jitters: The change of light of each modality that has one.
    """

    choose: FrameChoice
    view: View
    jitters: dict[str, Jitter]


class Augmentation(NamedTuple):
    """How training clips are drawn.

    Attributes:
        sampling: How frames are chosen.
        scales: Sides of the crop to choose from, shares of the short side.
        flip_probability: Chance of a horizontal flip, 0-1.
        reach: How far the crop goes to the sides, 0-1.
        strengths: Largest change of brightness and contrast, by modality.
    """

    sampling: Sampling
    scales: tuple[float, ...]
    flip_probability: float
    reach: float
    strengths: dict[str, tuple[float, float]]

    @classmethod
    def from_config(cls, data: FrozenConfigDict) -> "Augmentation":
        """Reads the checked `config.data`."""
        return cls(
            Sampling.from_config(data),
            tuple(map(float, data.train_scales)),
            float(data.flip_probability),
            float(data.train_reach),
            {m: _strengths(data[f"{m}_jitter"]) for m in MODALITIES},
        )

    def draw(self, seed: int, epoch: int, clip: int) -> Draw:
        """Draws what the clip of that index shows in an epoch of a run."""
        rng = np.random.default_rng((seed, epoch, clip))
        choose = self.sampling.draw(rng)
        view = draw_view(rng, self.scales, self.flip_probability, self.reach)
        # Both are drawn whichever is asked for: a student alone sees the very clips that a
        # distilled one does.
        return Draw(choose, view, {m: draw_jitter(rng, self.strengths[m]) for m in MODALITIES})


def _strengths(jitter: tuple[float | int, float | int]) -> tuple[float, float]:
    brightness, contrast = jitter
    return float(brightness), float(contrast)
