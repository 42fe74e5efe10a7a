"""Where a video lies: a file, or a member of a zip archive, read without unpacking the archive."""

import contextlib
import functools
import lzma
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

# A member is spooled: small ones stay in memory, long videos go to a nameless temporary file.
_SPOOL_BYTES = 32 * 2**20
_BLOCK_BYTES = 2**20
# What a zip may claim: coded video hardly shrinks, so that a member that unpacks to far more than
# it takes in the archive is no video but a trap.
MAX_MEMBER_BYTES = 16 * 2**30
MAX_COMPRESSION_RATIO = 100
_RATIO_APPLIES_FROM_BYTES = 16 * 2**20

# Everything that zipfile and the decompressors raise for damaged input.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    MemoryError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


class VideoSource(NamedTuple):
    """A video file, or a video in a zip archive.

    Attributes:
        path: The file, or the archive.
        member: The member's full name in the archive; None for a plain file.
    """

    path: str
    member: str | None = None

    @property
    def name(self) -> str:
        """The base name of the file or member."""
        return (self.member or self.path).replace("\\", "/").rpartition("/")[2]

    def __str__(self) -> str:
        """Returns "path" or "archive.zip:member"."""
        return self.path if self.member is None else f"{self.path}:{self.member}"


class SourceError(ValueError):
    """An archive or a member cannot be read; the message names it and the reason."""


def as_source(source: VideoSource | str | os.PathLike[str]) -> VideoSource:
    """Returns a source as it is, and a path as the source of that file."""
    return source if isinstance(source, VideoSource) else VideoSource(os.fspath(source))


def archive_members(path: str | os.PathLike[str]) -> list[str]:
    """Lists the names of an archive's members (no folders) from its central directory alone.

    Args:
        path: The zip archive.

    Raises:
        SourceError: the file is no readable zip archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [info.filename for info in archive.infolist() if not info.is_dir()]
    except _ZIP_ERRORS as error:
        raise SourceError(
            f"{os.fspath(path)}: cannot be read as a zip archive, is the download complete? ({error})"
        ) from error


@contextlib.contextmanager
def opened(source: VideoSource) -> Iterator[str | IO[bytes]]:
    """Gives what PyAV opens: a plain file's path, or a seekable copy of an archive's member.

    The copy has no name: nothing is ever written to a place that the archive chooses.

    Args:
        source: The file or member.

    Yields:
        A path, or a binary file at its start.

    Raises:
        SourceError: the member is missing, encrypted, damaged or suspiciously large.
    """
    if source.member is None:
        yield source.path
        return
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as copy:
        try:
            _copy_member(source, copy)
        except _ZIP_ERRORS as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(f"{source}: cannot be read from its archive ({error})") from error
        copy.seek(0)
        yield copy


def _copy_member(source: VideoSource, copy: IO[bytes]) -> None:
    stat = Path(source.path).stat()
    archive = _archive(source.path, stat.st_mtime_ns, stat.st_size)
    try:
        info = archive.getinfo(source.member or "")
    except KeyError as error:
        raise SourceError(f"{source}: the archive has no such member") from error
    if info.flag_bits & 0x1:
        raise SourceError(f"{source}: is encrypted; unpack it with its password first")
    _check_size(source, info.file_size, info.compress_size)
    read = 0
    with archive.open(info) as member:
        while block := member.read(_BLOCK_BYTES):
            read += len(block)
            # The declared size may lie.
            _check_size(source, read, info.compress_size)
            copy.write(block)
    if read != info.file_size:
        raise SourceError(f"{source}: breaks off after {read} of {info.file_size} bytes")


def _check_size(source: VideoSource, size: int, compressed: int) -> None:
    if size > MAX_MEMBER_BYTES:
        raise SourceError(f"{source}: unpacks to {size} bytes; the limit is {MAX_MEMBER_BYTES}")
    if size > max(_RATIO_APPLIES_FROM_BYTES, MAX_COMPRESSION_RATIO * compressed):
        raise SourceError(
            f"{source}: unpacks to more than {MAX_COMPRESSION_RATIO} times its size "
            f"({size} bytes from {compressed}), as no video does"
        )


# Reading the directory of an archive of thousands of members takes a tenth of a second: too long
# for each of them. Time and size are in the key, so that a replaced archive is opened anew.
@functools.lru_cache(maxsize=4)
def _archive(path: str, _modified_ns: int, _size: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
