"""Videos inside zip archives: read without unpacking, whatever the archive says."""

import pathlib
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from rgb2ir_jax.video import source as source_module
from rgb2ir_jax.video.decode import VideoDecodeError, open_video
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.source import SourceError, VideoSource, archive_members, opened


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "v.avi"
    rng = np.random.default_rng(0)
    write_video(path, [rng.integers(0, 256, (36, 64, 3), np.uint8) for _ in range(5)])
    return path


def read(source):
    with opened(source) as file:
        return file.read()


def frames(source):
    with open_video(source) as (_, decoded):
        return [frame.to_ndarray() for frame in decoded]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_member_decodes_like_the_file(video, tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("deep/", b"")
        archive.write(video, "deep/er/v.avi")
    assert archive_members(tmp_path / "a.zip") == ["deep/er/v.avi"]
    member = VideoSource(str(tmp_path / "a.zip"), "deep/er/v.avi")
    assert member.name == "v.avi"
    assert str(member) == f"{tmp_path / 'a.zip'}:deep/er/v.avi"
    for a, b in zip(frames(member), frames(video), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "name", ["../../escaped.avi", "/escaped.avi", "C:\\escaped.avi", "a/../../escaped.avi"]
)
def test_nothing_is_written_where_a_member_points(video, tmp_path, name):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    path = tmp_path / "in" / "deep" / "slip.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), video.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    source = VideoSource(str(path), archive_members(path)[0])
    assert source.name == "escaped.avi"
    assert len(frames(source)) == 5
    assert sorted(tmp_path.rglob("*")) == before
    assert not pathlib.Path("/escaped.avi").exists()


def test_a_bomb_is_stopped_by_its_ratio(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("v.avi", b"\0" * (200 * 2**20))
    tracemalloc.start()
    with pytest.raises(SourceError, match="more than 100 times its size"):
        read(VideoSource(str(tmp_path / "bomb.zip"), "v.avi"))
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_member_above_the_limit_is_refused(video, tmp_path, monkeypatch):
    monkeypatch.setattr(source_module, "MAX_MEMBER_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "large.zip", "w") as archive:
        archive.write(video, "v.avi")
    with pytest.raises(SourceError, match="the limit is 1000"):
        read(VideoSource(str(tmp_path / "large.zip"), "v.avi"))


def test_a_lie_about_the_size_is_found_out(tmp_path):
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("v.avi", b"\0" * (40 * 2**20))
    content = bytearray(path.read_bytes())
    declared = struct.pack("<I", 40 * 2**20)
    while (place := content.find(declared)) >= 0:
        content[place : place + 4] = struct.pack("<I", 1000)
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"liar\.zip:v\.avi"):
        read(VideoSource(str(path), "v.avi"))


def test_an_encrypted_member_is_named(video, tmp_path):
    path = tmp_path / "secret.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(video, "v.avi")
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(VideoDecodeError, match=r"secret\.zip:v\.avi: is encrypted"):
        frames(VideoSource(str(path), "v.avi"))


def test_damaged_bytes_are_named(video, tmp_path):
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(video, "v.avi")
    content = bytearray(path.read_bytes())
    content[2000] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"damaged\.zip:v\.avi.*CRC"):
        read(VideoSource(str(path), "v.avi"))


def test_a_truncated_archive_is_named(video, tmp_path):
    path = tmp_path / "cut.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(video, "v.avi")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match=r"cut\.zip.*download complete"):
        archive_members(path)


def test_missing_members_and_archives_are_named(video, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(video, "v.avi")
    with pytest.raises(SourceError, match="no such member"):
        read(VideoSource(str(tmp_path / "a.zip"), "w.avi"))
    with pytest.raises(SourceError, match=r"none\.zip"):
        read(VideoSource(str(tmp_path / "none.zip"), "v.avi"))


def test_a_replaced_archive_is_opened_anew(tmp_path):
    for content in (b"first", b"the second"):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("v.avi", content)
        assert read(VideoSource(str(tmp_path / "a.zip"), "v.avi")) == content
