"""Video files written and read back; what a person sees of broken ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.video.decode import VideoDecodeError, read_frames, scaled_size
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.jpeg import decode_jpeg, encode_jpeg
from rgb2ir_jax.video.recode import PairTask, recode_pair, recode_video


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2))


def color_clip(frames=12, height=48, width=64):
    y, x = np.mgrid[:height, :width]
    return [
        np.stack(
            [
                127 + 110 * np.sin(x / 9 + t / 5),
                127 + 110 * np.cos(y / 7 + t / 6),
                127 + 110 * np.sin((x + y) / 11),
            ],
            axis=-1,
        ).astype(np.uint8)
        for t in range(frames)
    ]


def gray_clip(frames=12, height=48, width=64):
    """Ramps over the whole range, so that a wrong range (16-235) shows."""
    x = np.linspace(0, 255, width)
    return [
        np.broadcast_to(np.roll(x, t), (height, width)).astype(np.uint8)[:, :, None]
        for t in range(frames)
    ]


@pytest.fixture
def color_file(tmp_path):
    assert write_video(tmp_path / "color.avi", color_clip(), fps=25, crf=10) == 12
    return tmp_path / "color.avi"


@pytest.fixture
def gray_file(tmp_path):
    write_video(tmp_path / "gray.avi", gray_clip(), crf=10)
    return tmp_path / "gray.avi"


def test_color_survives_the_round_trip(color_file):
    decoded = list(read_frames(color_file))
    assert len(decoded) == 12
    assert min(psnr(a, b) for a, b in zip(decoded, color_clip(), strict=True)) > 33


def test_gray_keeps_its_full_range(gray_file):
    decoded = list(read_frames(gray_file, channels=1))
    assert decoded[0].shape == (48, 64, 1)
    assert min(psnr(a, b) for a, b in zip(decoded, gray_clip(), strict=True)) > 33
    assert decoded[0].min() < 6
    assert decoded[0].max() > 249


def test_recoding_changes_little(color_file, gray_file):
    color = recode_video(color_file, channels=3, short_side=256, quality=95)
    assert color.fps == 25
    pictures = [decode_jpeg(jpeg, 3) for jpeg in color.frames]
    assert min(psnr(a, b) for a, b in zip(pictures, color_clip(), strict=True)) > 33
    gray = [
        decode_jpeg(jpeg, 1) for jpeg in recode_video(gray_file, channels=1, short_side=256).frames
    ]
    assert min(psnr(a, b) for a, b in zip(gray, gray_clip(), strict=True)) > 33


def test_scaling_while_decoding_averages(tmp_path):
    """A fine checkerboard shrinks to even gray; point or bilinear sampling would alias."""
    board = (np.indices((96, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    write_video(tmp_path / "board.avi", [board] * 3, crf=0)
    (picture, *_) = read_frames(tmp_path / "board.avi", channels=1, short_side=24)
    assert picture.shape == (24, 32, 1)
    assert np.abs(picture.astype(float) - 127.5).max() < 4


@given(
    width=st.integers(2, 4000),
    height=st.integers(2, 4000),
    short_side=st.one_of(st.none(), st.integers(8, 512)),
)
def test_scaled_sizes_are_even_and_keep_the_aspect(width, height, short_side):
    new_width, new_height = scaled_size(width, height, short_side)
    assert new_width % 2 == new_height % 2 == 0
    scale = min(1, (short_side or 10**9) / min(width, height))
    assert abs(new_width - width * scale) <= 2
    assert abs(new_height - height * scale) <= 2


def test_ntu_sizes_scale_as_expected():
    assert scaled_size(1920, 1080, 256) == (456, 256)
    assert scaled_size(512, 424, 256) == (310, 256)
    assert scaled_size(128, 72, 256) == (128, 72)


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 40])
def test_a_file_that_is_no_video_is_named(tmp_path, content):
    path = tmp_path / "broken.avi"
    path.write_bytes(content)
    with pytest.raises(VideoDecodeError, match=r"broken\.avi"):
        list(read_frames(path))


def test_a_pair_with_a_broken_half_gives_a_reason(color_file, tmp_path):
    (tmp_path / "ir.avi").write_bytes(b"RIFF")
    result = recode_pair(PairTask("pair", str(color_file), str(tmp_path / "ir.avi"), 256, 90))
    assert result.rgb is None
    assert "ir.avi" in result.problem


def test_writing_refuses_odd_or_changing_sizes(tmp_path):
    with pytest.raises(ValueError, match="even"):
        write_video(tmp_path / "a.avi", [np.zeros((47, 64, 3), np.uint8)])
    with pytest.raises(ValueError, match="32x48"):
        write_video(
            tmp_path / "b.avi", [np.zeros((48, 64, 3), np.uint8), np.zeros((48, 32, 3), np.uint8)]
        )
    with pytest.raises(ValueError, match="no frame"):
        write_video(tmp_path / "c.avi", [])


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_round_trip(channels):
    picture = color_clip(1)[0][:, :, :channels]
    assert psnr(decode_jpeg(encode_jpeg(picture, 95), channels), picture) > 33


def test_jpeg_refuses_two_channels():
    with pytest.raises(ValueError, match="2 channels"):
        encode_jpeg(np.zeros((8, 8, 2), np.uint8))
