"""A trained network behind one call: frames in, class names and probabilities out."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rgb2ir_jax.data.transforms import crop_views
from rgb2ir_jax.prediction.description import StudentDescription
from rgb2ir_jax.prediction.scoring import Score


class Prediction(NamedTuple):
    """What a network says of a clip.

    Attributes:
        labels: names of all classes, the most probable first.
        probabilities: theirs, in the same order.
    """

    labels: tuple[str, ...]
    probabilities: Float[np.ndarray, " classes"]


class Student:
    """A trained network, ready to look at clips. Made by `load_student`.

    Attributes:
        path: what it was loaded from.
        description: what it sees and what it tells apart.
    """

    def __init__(self, path: Path, description: StudentDescription, score: Score):
        self.path, self.description = path, description
        self._score = score

    def __call__(self, frames: np.ndarray) -> Prediction:
        """Says what happens in a clip, looking at it as the run's test does.

        Args:
            frames: all pictures of the clip in order, uint8, 0-255, of any number and size: (time,
                height, width) or with one channel for infrared, three (RGB) for colour. Colour
                pictures are turned grey for an infrared network.

        Raises:
            ValueError: they are not that.
        """
        return self.prediction(self.logits([self.clip(self._pictures(frames))])[0])

    def clip(
        self, pictures: Sequence[np.ndarray] | np.ndarray
    ) -> UInt8[np.ndarray, "*view time crop crop channel"]:
        """Chooses and crops what the network looks at: the frames of the run's test, fixed squares.

        Args:
            pictures: all pictures of a clip, uint8 (height, width, channel) with the network's
                channels; only those chosen are touched.

        Raises:
            ValueError: there is no picture.
        """
        told = self.description
        chosen = told.frames.centre(told.segments)(len(pictures)).tolist()
        squares = {
            index: crop_views(pictures[index], told.resize, told.crop, told.crops)
            for index in set(chosen)
        }
        views = np.stack([squares[index] for index in chosen], axis=1)
        return views[0] if told.crops == 1 else views

    def logits(
        self, clips: Sequence[UInt8[np.ndarray, "*view time crop crop channel"]]
    ) -> Float[np.ndarray, "clip classes"]:
        """The class scores of what `clip` made of clips."""
        return self._score(np.stack(clips))

    def prediction(self, logits: Float[np.ndarray, " classes"]) -> Prediction:
        """Names and probabilities (softmax) of logits.

        Raises:
            ValueError: they are not finite: the weights are of no use.
        """
        if not np.isfinite(logits).all():
            raise ValueError(f"the network in {self.path} gives logits that are not finite")
        exact = np.exp(logits.astype(np.float64) - logits.max())
        shares = exact / exact.sum()
        # Stable, so that of equals the lower class number comes first, as the metrics count.
        order = np.argsort(-shares, kind="stable")
        names = self.description.class_names
        return Prediction(tuple(names[index] for index in order), shares[order])

    def _pictures(self, frames: np.ndarray) -> Sequence[np.ndarray]:
        wanted = self.description.channels
        if frames.dtype != np.uint8 or frames.ndim not in (3, 4):
            raise ValueError(
                f"frames are {frames.dtype} of shape {frames.shape}, expected uint8 (time, height, "
                "width) or (time, height, width, channel)"
            )
        if frames.size == 0:
            raise ValueError(f"frames of shape {frames.shape} hold no pixel")
        frames = frames[..., None] if frames.ndim == 3 else frames
        if frames.shape[-1] == wanted:
            return list(frames)
        if frames.shape[-1] == 3:
            return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None] for frame in frames]
        if frames.shape[-1] == 1:
            return list(np.repeat(frames, wanted, axis=-1))
        raise ValueError(f"frames have {frames.shape[-1]} channels, expected 1 or 3")


def load_student(path: str | PathLike[str], *, network: str | None = None) -> Student:
    """Loads a trained network.

    Args:
        path: a run's `--workdir` or one network's folder in it; or what `python -m
            rgb2ir_jax.export` wrote, the folder or its main file.
        network: "student" or "teacher" of a run; None takes the student where there is one.

    Raises:
        ValueError: there is no trained network, or a file is not what it has to be.
    """
    from rgb2ir_jax.prediction import exported

    place = Path(path).expanduser()
    program = exported.find_program(place)
    if program is not None:
        if network is not None:
            raise ValueError(f"{place} holds one network; leave the choice of {network!r} out")
        return Student(place, *exported.open_program(program))
    if place.is_file():
        raise ValueError(
            f"{place} is no exported network: expected a name that ends with "
            f"{', '.join(exported.SUFFIXES)}, as `python -m rgb2ir_jax.export` writes them"
        )
    from rgb2ir_jax.prediction.run_folder import open_run

    return Student(place, *open_run(place, network))
