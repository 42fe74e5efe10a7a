"""Video files written and read back; what a person sees of broken ones."""

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.video.decode import FrameScaler, VideoDecodeError, open_video, scaled_size
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.jpeg import decode_jpeg, encode_jpeg


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2))


def read_frames(path, channels=3, short_side=None):
    scaler = FrameScaler(short_side, "rgb24" if channels == 3 else "gray")
    with open_video(path) as (_, frames):
        for frame in frames:
            picture = scaler(frame).to_ndarray()
            yield picture if channels == 3 else picture[:, :, None]


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


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ],
)
def test_a_playlist_in_a_videos_clothes_is_not_followed(tmp_path, content):
    path = tmp_path / "playlist.avi"
    path.write_bytes(content)
    with pytest.raises(VideoDecodeError, match="cannot be opened"):
        list(read_frames(path))


def test_a_cut_off_file_is_no_shorter_video(color_file):
    whole = color_file.read_bytes()
    color_file.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(VideoDecodeError, match=r"breaks off after \d+ of 12 frames"):
        list(read_frames(color_file))


def test_a_file_without_its_index_alone_is_whole(color_file):
    whole = color_file.read_bytes()
    color_file.write_bytes(whole[: whole.rindex(b"idx1")])
    assert len(list(read_frames(color_file))) == 12


def test_too_large_pictures_are_not_decoded(color_file):
    with (
        pytest.raises(VideoDecodeError, match=r"64x48.*max_pixels"),
        open_video(color_file, max_pixels=64 * 48 - 1),
    ):
        pass


def test_a_file_of_sound_alone_holds_no_video(tmp_path):
    with av.open(str(tmp_path / "sound.avi"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(VideoDecodeError, match="no video stream"):
        list(read_frames(tmp_path / "sound.avi"))


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


def test_equal_pictures_become_equal_bytes(tmp_path):
    noise = np.random.RandomState(0).randint(0, 255, (30, 12, 15, 1), np.uint8)
    pictures = noise.repeat(3, axis=1).repeat(3, axis=2)[:, :36, :44]
    for number in range(20):
        write_video(tmp_path / f"{number}.avi", pictures)
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1
