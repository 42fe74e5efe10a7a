"""The same sampling done by others: PyAV from video files, OpenCV and PyTorch from JPEG files."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from rgb2ir_jax.data import sampling
from rgb2ir_jax.data.transforms import View, draw_view

CHANNELS = {"rgb": 3, "ir": 1}

# One core is what is measured; where several are, worker processes fill them.
cv2.setNumThreads(0)


def sample_video(
    path: Path, positions: np.ndarray, channels: int, short_side: int
) -> list[np.ndarray]:
    """Decodes a video up to the last sampled frame, and scales and converts the sampled ones alone.

    It does not seek: a clip of a few seconds has few key frames (1-5 in most of the synthetic colour
    videos, about 10 in the noisy infrared ones), and eight samples lie in nearly all of its groups.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        wanted = sampling.frame_indices(positions, stream.frames).tolist()
        pictures: dict[int, np.ndarray] = {}
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                scale = min(1.0, short_side / min(frame.width, frame.height))
                picture = frame.reformat(
                    width=round(frame.width * scale / 2) * 2,
                    height=round(frame.height * scale / 2) * 2,
                    format="rgb24" if channels == 3 else "gray",
                ).to_ndarray()
                pictures[number] = picture.reshape(*picture.shape[:2], channels)
            if number == wanted[-1]:
                break
    return [pictures[number] for number in wanted]


def cut(picture: np.ndarray, view: View, size: int) -> np.ndarray:
    """Crop, bilinear scaling and flip as loaders on OpenCV do them."""
    height, width = picture.shape[:2]
    side = round(min(height, width) * view.scale)
    top, left = round((height - side) * view.top), round((width - side) * view.left)
    square = cv2.resize(picture[top : top + side, left : left + side], (size, size))
    if view.flip:
        square = cv2.flip(square, 1)
    return square.reshape(size, size, -1)


def write_jpeg_files(clips: Any, folder: Path) -> None:
    """Lays the JPEGs of a split out as a file a frame, `FOLDER/CLIP/MODALITY/NUMBER.jpg`."""
    for number in range(len(clips)):
        record = clips[number]
        for modality in CHANNELS:
            place = folder / f"{number:05}" / modality
            place.mkdir(parents=True, exist_ok=True)
            for frame, jpeg in enumerate(record[modality]):
                (place / f"{frame:05}.jpg").write_bytes(jpeg)


def _read(path: str, flags: int) -> np.ndarray:
    picture = cv2.imread(path, flags)
    if picture is None:
        raise ValueError(f"{path} is no picture that OpenCV reads")
    return picture


class JpegFolder:
    """A map-style data set for PyTorch's DataLoader: TSN sampling and augmentation on OpenCV.

    Args:
        folder: What `write_jpeg_files` made.
        segments: Frames a clip.
        size: Side of the square pictures.
        scales: Sides of the crop as shares of the short side.
    """

    def __init__(self, folder: Path, segments: int, size: int, scales: tuple[float, ...]):
        self._clips = [
            {m: sorted(map(str, (clip / m).iterdir())) for m in CHANNELS}
            for clip in sorted(folder.iterdir())
        ]
        self._segments, self._size, self._scales = segments, size, scales
        self._rng = np.random.default_rng()

    def __len__(self) -> int:
        """Returns the number of clips."""
        return len(self._clips)

    def decode(self, clip: int) -> dict[str, list[np.ndarray]]:
        """Reads and decodes the sampled frames of a clip."""
        positions = sampling.random_positions(self._rng, self._segments)
        pictures: dict[str, list[np.ndarray]] = {}
        for modality, files in self._clips[clip].items():
            sampled = [files[i] for i in sampling.frame_indices(positions, len(files))]
            if modality == "rgb":
                decoded = [_read(path, cv2.IMREAD_COLOR) for path in sampled]
                pictures[modality] = [cv2.cvtColor(p, cv2.COLOR_BGR2RGB) for p in decoded]
            else:
                pictures[modality] = [_read(path, cv2.IMREAD_GRAYSCALE) for path in sampled]
        return pictures

    def __getitem__(self, clip: int) -> dict[str, np.ndarray]:
        """Returns `rgb` (T,H,W,3) and `ir` (T,H,W,1)."""
        pictures = self.decode(clip)
        view = draw_view(self._rng, self._scales, 0.5)
        return {
            modality: np.stack([cut(picture, view, self._size) for picture in frames])
            for modality, frames in pictures.items()
        }


class Epochs:
    """Indices of a data set, epoch after epoch: DataLoader then never drains its workers."""

    def __init__(self, length: int, epochs: int):
        self._length, self._epochs = length, epochs

    def __len__(self) -> int:
        """Returns the number of indices."""
        return self._length * self._epochs

    def __iter__(self) -> Iterator[int]:
        """Yields the indices."""
        return (i for _ in range(self._epochs) for i in range(self._length))


def torch_loader(dataset: JpegFolder, batch_size: int, workers: int, epochs: int) -> Any:
    """Returns PyTorch's DataLoader over a data set; None where PyTorch is not installed."""
    try:
        torch_data = importlib.import_module("torch.utils.data")
    except ImportError:
        return None
    return torch_data.DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=Epochs(len(dataset), epochs),
        num_workers=workers,
        drop_last=True,
        multiprocessing_context="spawn" if workers else None,
    )
