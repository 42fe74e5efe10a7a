"""Frame counts read from AVI headers, against a full decoding by PyAV."""

import zipfile

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_builders.pku_mmd_ir.avi_header import announced_frames, frames_in_header
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.source import VideoSource


def write(path, frames, **options):
    picture = np.arange(36 * 64, dtype=np.uint8).reshape(36, 64)
    write_video(path, (np.roll(picture, t) for t in range(frames)), **options)
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == frames
    return VideoSource(str(path))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("frames", [1, 17])
def test_headers_tell_what_decoding_gives(tmp_path, codec, frames):
    source = write(tmp_path / "video.avi", frames, codec=codec)
    assert announced_frames([source]) == {source: frames}


def test_archives_are_read_as_far_as_the_headers(tmp_path):
    files = [write(tmp_path / f"{frames}.avi", frames) for frames in (5, 9)]
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file.path, f"deep/{file.name}")
    members = [VideoSource(str(tmp_path / "a.zip"), f"deep/{file.name}") for file in files]
    missing = VideoSource(str(tmp_path / "a.zip"), "deep/1.avi")
    assert announced_frames([*members, missing, *files]) == dict(
        zip([*members, *files], [5, 9, 5, 9], strict=True)
    )


def test_what_is_no_avi_is_left_out(tmp_path):
    other = write(tmp_path / "other.mp4", 5)
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4")
    (tmp_path / "short.avi").write_bytes(b"RIFF")
    (tmp_path / "folder.avi").mkdir()
    sources = [
        VideoSource(str(tmp_path / name)) for name in ("short.avi", "gone.avi", "folder.avi")
    ]
    sources.append(VideoSource(str(tmp_path / "broken.zip"), "0002-L.avi"))
    assert announced_frames([other, *sources]) == {}


@given(st.binary(max_size=200), st.sampled_from([b"", b"strh", b"strhxxxxvids"]))
def test_any_bytes_give_a_count(data, inserted):
    assert frames_in_header(data) == 0
    count = frames_in_header(b"RIFF\0\0\0\0AVI " + inserted + data)
    assert 0 <= count < 2**32
