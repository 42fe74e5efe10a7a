"""Ways to store the frames of clips, and to read a few of them."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# TensorFlow, which TFDS serializes with, is to keep its greetings to itself.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import av
import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from benchmarks.footage import Pair
from benchmarks.peers import write_jpeg_files
from rgb2ir_jax.data import sampling
from rgb2ir_jax.data.frame_file import FrameFile, FrameIndex, write_frame_file
from rgb2ir_jax.data.source import CHANNELS, MODALITIES
from rgb2ir_jax.video.decode import FrameScaler, open_video
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.jpeg import decode_jpeg

Clip = dict[str, list[bytes]]

_FEATURES = tfds.features.FeaturesDict(
    {
        "rgb": tfds.features.Sequence(
            tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
        ),
        "ir": tfds.features.Sequence(
            tfds.features.Image(shape=(None, None, 1), encoding_format="jpeg")
        ),
        "label": tfds.features.Scalar(np.int32),
    }
)


class _KeepEncoded(tfds.decode.SkipDecoding):
    def decode_batch_example_np(self, batch: Any) -> Any:
        return batch


_DECODERS = {modality: _KeepEncoded() for modality in MODALITIES}


class Stored(NamedTuple):
    """Clips in some layout: how a clip's frames are read, and the bytes on disk."""

    read: Callable[[int, np.ndarray], Any]
    size: int


def clip_records(clips: list[Clip], path: Path, options: str = "group_size:1") -> Stored:
    """One record a clip, as TFDS writes and reads them."""
    writer = ArrayRecordWriter(str(path), options)
    for clip in clips:
        writer.write(_FEATURES.serialize_example(_FEATURES.encode_example({**clip, "label": 0})))
    writer.close()
    reader = ArrayRecordReader(str(path), "readahead_buffer_size:0", file_reader_buffer_size=32768)

    def read(clip: int, positions: np.ndarray) -> list[np.ndarray]:
        record = _FEATURES.deserialize_example_np(reader.read([clip])[0], decoders=_DECODERS)
        return [
            decode_jpeg(record[m][i], CHANNELS[m])
            for m in MODALITIES
            for i in sampling.frame_indices(positions, len(record[m]))
        ]

    return Stored(read, path.stat().st_size)


def frame_records(clips: list[Clip], path: Path) -> Stored:
    """One record a frame; an index in memory knows where a clip begins."""
    writer = ArrayRecordWriter(str(path), "group_size:1")
    first: list[dict[str, int]] = []
    count = 0
    for clip in clips:
        first.append({})
        for modality in MODALITIES:
            first[-1][modality] = count
            for jpeg in clip[modality]:
                writer.write(jpeg)
            count += len(clip[modality])
    writer.close()
    reader = ArrayRecordReader(str(path), "readahead_buffer_size:0", file_reader_buffer_size=32768)
    lengths = [{m: len(clip[m]) for m in MODALITIES} for clip in clips]

    def read(clip: int, positions: np.ndarray) -> list[np.ndarray]:
        pictures = []
        for m in MODALITIES:
            wanted = sampling.frame_indices(positions, lengths[clip][m]) + first[clip][m]
            pictures += [decode_jpeg(jpeg, CHANNELS[m]) for jpeg in reader.read(wanted.tolist())]
        return pictures

    return Stored(read, path.stat().st_size)


def files(clips: list[Clip], folder: Path) -> Stored:
    """One file a frame, as image data sets are often kept."""
    write_jpeg_files([{**clip} for clip in clips], folder)
    names = [
        {m: sorted((folder / f"{number:05}" / m).iterdir()) for m in MODALITIES}
        for number in range(len(clips))
    ]

    def read(clip: int, positions: np.ndarray) -> list[np.ndarray]:
        return [
            decode_jpeg(names[clip][m][i].read_bytes(), CHANNELS[m])
            for m in MODALITIES
            for i in sampling.frame_indices(positions, len(names[clip][m]))
        ]

    # A file takes whole blocks.
    return Stored(
        read, sum(path.stat().st_blocks * 512 for one in names for m in one for path in one[m])
    )


def video(pairs: list[Pair], folder: Path, side: int, crf: int) -> Stored:
    """H.264 at the records' size, decoded up to the last sampled frame."""
    folder.mkdir(exist_ok=True)
    held: list[dict[str, bytes]] = []
    for pair in pairs:
        held.append({})
        for modality, channels in CHANNELS.items():
            path = folder / f"{pair.name}_{modality}.mp4"
            scaler = FrameScaler(side, "rgb24" if channels == 3 else "gray")
            with open_video(getattr(pair, modality)) as (_, frames):
                write_video(path, (scaler(frame).to_ndarray() for frame in frames), crf=crf)
            held[-1][modality] = path.read_bytes()

    def read(clip: int, positions: np.ndarray) -> list[np.ndarray]:
        pictures = []
        for modality, channels in CHANNELS.items():
            with av.open(io.BytesIO(held[clip][modality]), "r") as container:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1
                wanted = set(sampling.frame_indices(positions, stream.frames).tolist())
                for number, frame in enumerate(container.decode(stream)):
                    if number in wanted:
                        pictures.append(
                            frame.to_ndarray(format="rgb24" if channels == 3 else "gray")
                        )
                    if number == max(wanted):
                        break
        return pictures

    return Stored(read, sum(len(data) for one in held for data in one.values()))


def decoded_frames(clips: list[Clip], folder: Path) -> Stored:
    """The frame cache: all pictures decoded, memory-mapped."""
    mapped: dict[str, FrameFile] = {}
    for modality, channels in CHANNELS.items():
        shapes = [[decode_jpeg(j, channels).shape[:2] for j in clip[modality]] for clip in clips]
        heights, widths = np.array([shape for clip in shapes for shape in clip], np.int32).T
        counts = np.array([len(clip) for clip in shapes], np.int32)
        index = FrameIndex(np.zeros(len(clips), np.int32), counts, heights, widths)
        path = folder / f"{modality}.frames"
        with write_frame_file(path, index, channels, {}) as writer:
            for number, clip in enumerate(clips):
                for frame, jpeg in enumerate(clip[modality]):
                    writer.write(number, frame, decode_jpeg(jpeg, channels))
        mapped[modality] = FrameFile(path)

    def read(clip: int, positions: np.ndarray) -> list[np.ndarray]:
        return [
            np.array(frames[i])
            for frames in (mapped[m][clip] for m in MODALITIES)
            for i in sampling.frame_indices(positions, len(frames))
        ]

    return Stored(read, sum(file.path.stat().st_size for file in mapped.values()))
