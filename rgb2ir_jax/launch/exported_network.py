"""An exported network, tested on a built data set."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from rgb2ir_jax.data.pipeline import eval_batches
from rgb2ir_jax.evaluation.inference import predict_split
from rgb2ir_jax.evaluation.protocol import Protocol
from rgb2ir_jax.prediction.exported import find_program
from rgb2ir_jax.prediction.student import Student, load_student

_BATCH_SIZE = 16


class ExportedNetwork(NamedTuple):
    """What the export command wrote, and the data set to test it on.

    Attributes:
        student: the opened network.
        folder: of its main file.
        data: a `config.data` for the frames that it wants.
    """

    student: Student
    folder: Path
    data: ConfigDict

    @property
    def name(self) -> str:
        """Which network of its run it was: "student" or "teacher"."""
        return self.student.description.name

    @property
    def modality(self) -> str:
        """What it sees."""
        return self.student.description.modality

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the logits."""
        return self.student.description.class_names

    @property
    def protocol(self) -> Protocol:
        """How the run that it comes from tests."""
        return Protocol(self.student.description.segments, self.student.description.crops)

    def score_split(
        self, split: str, protocol: Protocol
    ) -> tuple[Float[np.ndarray, "clip classes"], Int[np.ndarray, " clip"]]:
        """Logits and labels of every clip of a split, in its order.

        Raises:
            ValueError: the data set or split is not there, or the protocol does not suit the network.
        """
        described = self.student.description
        if described.temporal_shift and protocol.segments != described.segments:
            raise ValueError(
                f"{self.student.path} mixes the frames of a clip and is tested with {described.segments} "
                f"segments, found {protocol.segments}; evaluate its run with --run=DIR instead"
            )
        batches = eval_batches(
            self.data,
            split,
            _BATCH_SIZE,
            [self.modality],
            segments=protocol.segments,
            crops=protocol.crops,
        )

        def score(batch: Any) -> Any:
            return self.student.logits(list(batch[self.modality]))

        return predict_split(score, batches)


def open_exported(path: Path, data_set: str, folder: str) -> ExportedNetwork:
    """Opens an exported network.

    Args:
        path: the export's folder or main file.
        data_set: NAME/CONFIG of the data set, as its builder has them.
        folder: that the data set was built in.

    Raises:
        ValueError: there is no such network, or `data_set` is no such pair of names.
    """
    name, slash, config = data_set.partition("/")
    if not (name and slash and config):
        raise ValueError(
            f"--data_set is {data_set!r}, expected NAME/CONFIG such as ntu_rgbd_ir/ten_class_xsub"
        )
    program = find_program(path.expanduser())
    if program is None:
        raise ValueError(
            f"{path} is no exported network: expected what `python -m rgb2ir_jax.export` wrote; a run "
            "is tested by --run=DIR"
        )
    student = load_student(program)
    described = student.description
    data = ConfigDict(
        {
            "name": name,
            "config": config,
            "dir": folder,
            "train_split": "train",
            "test_split": "test",
            "segments": described.train_segments,
            "sampling": described.sampling,
            "frame_stride": described.frame_stride,
            "resize": described.resize,
            "crop": described.crop,
            # Of training alone.
            "train_reach": 1.0,
            "train_scales": (1.0,),
            "flip_probability": 0.0,
            "rgb_jitter": (0.0, 0.0),
            "ir_jitter": (0.0, 0.0),
            "cache": "",
            "workers": 0,
            "threads": 2,
            "prefetch": 2,
        }
    )
    return ExportedNetwork(student, program.parent, data)
