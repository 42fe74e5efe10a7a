"""Long videos whose brightness tells the frame."""

import ml_collections
import numpy as np
import pytest

from rgb2ir_jax.data.long_video import LongVideo
from rgb2ir_jax.video.decode import VideoDecodeError
from rgb2ir_jax.video.encode import write_video

DATA = ml_collections.ConfigDict({"resize": 36, "crop": 32})


def write(path, frames, channels=1):
    shades = (np.full((40, 56, channels), 20 + 2 * t, np.uint8) for t in range(frames))
    write_video(path, shades, crf=5)
    return path


@pytest.mark.parametrize(
    ("frames", "stride", "shown"),
    [
        (24, 8, [4, 12, 20]),
        (20, 8, [4, 12]),
        (21, 8, [4, 12, 20]),
        (5, 1, [0, 1, 2, 3, 4]),
        (3, 8, [2]),
        (1, 8, [0]),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_middle_of_each_stretch_is_seen(tmp_path, frames, stride, shown, channels):
    video = LongVideo(write(tmp_path / "a.avi", frames, channels), stride, channels, DATA)
    for _ in range(2):
        pictures = list(video)
        assert {picture.shape for picture in pictures} == {(32, 32, channels)}
        found = [(picture.mean() - 20) / 2 for picture in pictures]
        np.testing.assert_allclose(found, shown, atol=0.9)
        assert video.num_frames == frames
        assert video.fps == 30


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "a.avi").write_text("no video")
    with pytest.raises(VideoDecodeError, match="cannot be opened"):
        list(LongVideo(tmp_path / "a.avi", 8, 1, DATA))


def test_what_no_video_can_be_seen_by_is_refused(tmp_path):
    with pytest.raises(ValueError, match="stride is 0"):
        LongVideo(tmp_path / "a.avi", 0, 1, DATA)
    with pytest.raises(ValueError, match="pictures of 2 channels; those of a video have 1 or 3"):
        LongVideo(tmp_path / "a.avi", 8, 2, DATA)
