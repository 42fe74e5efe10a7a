"""A copy of a video in which the class and its probability are written."""

import concurrent.futures
import queue
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from jaxtyping import UInt8

from rgb2ir_jax.prediction.footage import USUAL_FPS
from rgb2ir_jax.video.decode import FrameScaler
from rgb2ir_jax.video.encode import write_video

_LEAST_SHORT_SIDE = 240
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _GREEN, _DARK = (255, 255, 255), (90, 200, 90), (20, 20, 20)


class AnnotatedCopy:
    """Takes a video's frames one by one and writes them with a caption, in a thread of its own.

    Leaving its `with` block finishes the file; when that happens for an exception, nothing is left.

    Args:
        path: the file; its ending chooses the container.
    """

    def __init__(self, path: Path):
        self.path = path
        self._draft = path.with_name(f".{path.stem}.part{path.suffix}")
        self._frames: queue.Queue[np.ndarray | None] = queue.Queue(maxsize=4)
        self._executor = concurrent.futures.ThreadPoolExecutor(1, "annotation")
        self._writing: concurrent.futures.Future[int] | None = None
        self._size: tuple[int, int] | None = None
        self._scale = FrameScaler(None, "rgb24")

    def __enter__(self) -> "AnnotatedCopy":
        """Returns itself."""
        return self

    def add(
        self, frame: av.VideoFrame, fps: float | int, label: str, probability: float | None
    ) -> None:
        """Appends a frame.

        Args:
            frame: in its own size; small ones are enlarged so that the caption can be read.
            fps: of the file, 0 where it does not tell; that of the first frame counts.
            label: the caption.
            probability: 0-1, drawn as a bar too; None where nothing is known yet.

        Raises:
            OSError: the file cannot be written.
        """
        picture: np.ndarray = self._scale(frame).to_ndarray()
        factor = -(-_LEAST_SHORT_SIDE // min(picture.shape[:2]))
        if self._size is None:
            self._size = (picture.shape[1] * factor, picture.shape[0] * factor)
            self._writing = self._executor.submit(
                write_video, self._draft, self._pictures(), fps or USUAL_FPS
            )
        # Also where pictures change their size on the way.
        if (picture.shape[1], picture.shape[0]) != self._size:
            enlarged: Any = cv2.resize(picture, self._size, interpolation=cv2.INTER_NEAREST)
            picture = enlarged
        self._put(draw_caption(picture, label, probability))

    def _put(self, picture: np.ndarray | None) -> None:
        while self._writing is not None:
            if self._writing.done():
                self._result()
            try:
                self._frames.put(picture, timeout=1)
            except queue.Full:
                continue
            break

    def _result(self) -> None:
        if self._writing is None:
            return
        try:
            self._writing.result()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise OSError(f"{self.path} cannot be written: {error}") from error

    def _pictures(self) -> Iterator[np.ndarray]:
        while (picture := self._frames.get()) is not None:
            yield picture

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finishes the file, or removes what there is of it."""
        try:
            if self._writing is not None and not self._writing.done():
                self._put(None)
            if kind is None:
                self._result()
            self._executor.shutdown()
            if kind in (None, KeyboardInterrupt) and self._draft.is_file():
                self._draft.replace(self.path)
        finally:
            self._executor.shutdown()
            self._draft.unlink(missing_ok=True)


def draw_caption(
    picture: UInt8[np.ndarray, "height width 3"], label: str, probability: float | None
) -> UInt8[np.ndarray, "height width 3"]:
    """Writes a line along the lower edge, on a dark strip, with a bar as long as the probability.

    Args:
        picture: RGB.
        label: letters other than ASCII become question marks.
        probability: 0-1, or None for the label alone.
    """
    picture = picture.copy()
    height, width = picture.shape[:2]
    text = label.encode("ascii", "replace").decode()
    if probability is not None:
        text += f"  {100 * probability:.0f}%"
    margin = max(4, height // 60)
    scale = height / 480 * 0.8
    (length, _), _ = cv2.getTextSize(text, _FONT, scale, 1)
    scale *= min(1.0, (width - 2 * margin) / max(1, length))
    thickness = max(1, round(scale * 1.6))
    (_, tall), below = cv2.getTextSize(text, _FONT, scale, thickness)
    bar = max(2, height // 120)
    top = height - tall - below - 3 * margin - bar
    strip = picture[max(0, top) :]
    strip[:] = strip // 3 + np.asarray(_DARK, np.uint8)
    if probability is not None:
        end = round(margin + (width - 2 * margin) * probability)
        cv2.rectangle(picture, (margin, top + margin), (end, top + margin + bar), _GREEN, -1)
    place = (margin, height - below - margin // 2)
    cv2.putText(picture, text, place, _FONT, scale, _WHITE, thickness, cv2.LINE_AA)
    return picture


def copy_paths(out: Path | None, names: Sequence[str]) -> dict[str, Path]:
    """Where the annotated copy of each video goes; its folder is made.

    Args:
        out: a file for one video, a folder for several; None makes no copies.
        names: the videos.

    Raises:
        ValueError: it is one file for several, two copies would have one name, or a copy would
            replace its own video.
    """
    if out is None or not names:
        return {}
    out = out.expanduser()
    if not out.suffix or out.is_dir():
        copies = {name: out / f"{Path(name).stem}.mp4" for name in names}
    elif len(names) == 1:
        copies = {names[0]: out}
    else:
        raise ValueError(f"--annotate={out} is one file for {len(names)} videos; name a folder")
    if len(set(copies.values())) < len(copies):
        raise ValueError("--annotate: two of the videos have the same name; take them one by one")
    for name, copy in copies.items():
        if copy.exists() and Path(name).exists() and copy.samefile(name):
            raise ValueError(f"--annotate={out} would overwrite the video {name} itself")
        copy.parent.mkdir(parents=True, exist_ok=True)
    return copies
