"""Annotated copies: every frame, in the same order, with a caption along the lower edge."""

import av
import numpy as np
import pytest

from rgb2ir_jax.prediction.annotation import AnnotatedCopy, copy_paths, draw_caption
from rgb2ir_jax.video.decode import open_video
from rgb2ir_jax.video.encode import write_video


def frames_of(path):
    with open_video(path) as (info, frames):
        return info, [frame.to_ndarray(format="gray") for frame in frames]


@pytest.mark.parametrize("size", [(240, 320), (424, 512), (1080, 1920)])
def test_a_caption_stays_in_its_strip(size) -> None:
    picture = np.full((*size, 3), 128, np.uint8)
    for label in ("drop", "standing up (from sitting position) " * 4, "größer"):
        drawn = draw_caption(picture, label, 0.5)
        changed = np.flatnonzero((drawn != picture).any(axis=(1, 2)))
        assert changed[-1] == size[0] - 1
        assert changed[0] > size[0] * 0.75
        assert (drawn[changed[0] :] > 180).any()
        # The bar is green and reaches the middle.
        green = (drawn[..., 1].astype(int) - drawn[..., 0] > 60).any(axis=0)
        assert np.flatnonzero(green)[-1] == pytest.approx(size[1] / 2, abs=2 + size[1] / 100)
    assert (picture == 128).all()


def test_a_copy_has_all_frames_in_order(tmp_path) -> None:
    source, copy = tmp_path / "small.avi", tmp_path / "copy.mp4"
    shades = [20 + 10 * n for n in range(20)]
    write_video(source, (np.full((48, 64, 1), shade, np.uint8) for shade in shades), 12, crf=5)
    with open_video(source) as (info, frames), AnnotatedCopy(copy) as writer:
        for frame in frames:
            writer.add(frame, info.fps, "throw", 0.8)
    info, found = frames_of(copy)
    assert (info.width, info.height, info.fps) == (320, 240, 12)
    assert [int(picture[50, 50]) for picture in found] == pytest.approx(shades, abs=6)
    assert [file.name for file in tmp_path.iterdir() if file != source] == ["copy.mp4"]


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path) -> None:
    frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")

    def nonsense() -> None:
        with AnnotatedCopy(tmp_path / "copy.nonsense") as writer:
            for _ in range(20):
                writer.add(frame, 10, "throw", None)

    with pytest.raises(OSError, match=r"copy\.nonsense cannot be written"):
        nonsense()

    def stopped() -> None:
        with AnnotatedCopy(tmp_path / "copy.mp4") as writer:
            writer.add(frame, 10, "throw", None)
            raise RuntimeError("elsewhere")

    with pytest.raises(RuntimeError, match="elsewhere"):
        stopped()
    # An error before the first frame is no video either.
    with AnnotatedCopy(tmp_path / "none.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_where_copies_go(tmp_path) -> None:
    out = tmp_path / "new" / "out.mp4"
    assert copy_paths(None, ["a.avi"]) == {}
    assert copy_paths(out, ["a.avi"]) == {"a.avi": out}
    assert out.parent.is_dir()
    assert copy_paths(tmp_path / "all", ["x/a.avi", "x/b.mkv"]) == {
        "x/a.avi": tmp_path / "all" / "a.mp4",
        "x/b.mkv": tmp_path / "all" / "b.mp4",
    }
    with pytest.raises(ValueError, match="one file for 2 videos"):
        copy_paths(out, ["a.avi", "b.avi"])
    with pytest.raises(ValueError, match="the same name"):
        copy_paths(tmp_path, ["x/a.avi", "y/a.avi"])
    video = tmp_path / "a.mp4"
    video.write_bytes(b"")
    with pytest.raises(ValueError, match="would overwrite the video"):
        copy_paths(video, [str(video)])
