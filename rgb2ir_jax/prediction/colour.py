"""Whether a video is one of colours, by the saturation of some of its frames."""

import av
import numpy as np

from rgb2ir_jax.video.decode import FrameScaler

_EVERY = 15
_MOST_LOOKS = 20
_SHORT_SIDE = 64
# Mean of (largest - smallest channel), 0 to 255. Grey video that went through lossy coding stays
# below 1; see docs/deployment.md for what real footage has.
COLOUR_FROM = 3.0
GREY_UP_TO = 1.0


class ColourWatch:
    """Looks at every fifteenth frame, twenty times at most."""

    def __init__(self) -> None:
        self._scale = FrameScaler(_SHORT_SIDE, "rgb24")
        self._looks: list[float] = []

    def look(self, frame: av.VideoFrame, number: int) -> None:
        """Takes a frame; `number` counts from 0."""
        if number % _EVERY or len(self._looks) >= _MOST_LOOKS:
            return
        picture = self._scale(frame).to_ndarray().astype(np.int16)
        self._looks.append(float(np.mean(picture.max(axis=2) - picture.min(axis=2))))

    @property
    def saturation(self) -> float:
        """Mean of (largest - smallest channel) over pixels and frames, 0 (grey) to 255."""
        return float(np.mean(self._looks)) if self._looks else 0.0

    def warning(self, modality: str) -> str | None:
        """What is wrong with these colours for a network of that modality, if anything."""
        if not self._looks:
            return None
        if modality == "ir" and self.saturation >= COLOUR_FROM:
            return (
                "is a colour video, but the network has learned from infrared pictures, which are grey; "
                "what it says is of little use"
            )
        if modality == "rgb" and self.saturation <= GREY_UP_TO:
            return "is grey, but the network has learned from colour pictures; is it an infrared video?"
        return None
