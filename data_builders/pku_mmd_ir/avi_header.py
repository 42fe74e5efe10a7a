"""How many frames AVI files announce, without decoding, or unpacking an archive's member."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from rgb2ir_jax.video.source import VideoSource

# The stream headers stand at the very beginning, before the index and the pictures.
_HEAD = 2**16
# Of a stream's header ("AVIStreamHeader" of the AVI specification), behind its name and size.
_TYPE_OFFSET, _LENGTH_OFFSET, _HEADER_SIZE = 8, 40, 44
_MEMBER_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    KeyError,
    RuntimeError,
)


def announced_frames(sources: Iterable[VideoSource]) -> dict[VideoSource, int]:
    """Reads the number of frames in the headers of AVI files.

    Args:
        sources: The files; members of zip archives are read as far as their header alone.

    Returns:
        The count of each file that tells one; files that cannot be read or are no AVI are left out:
        decoding them tells why.
    """
    by_path: dict[str, list[VideoSource]] = {}
    for source in sources:
        by_path.setdefault(source.path, []).append(source)
    return {
        source: frames
        for path, group in by_path.items()
        for source, head in _heads(path, group)
        if (frames := frames_in_header(head))
    }


def frames_in_header(head: bytes) -> int:
    """Returns the video stream's number of frames from a file's first bytes; 0: it tells none."""
    if head[:4] != b"RIFF" or head[8:12] != b"AVI ":
        return 0
    position = head.find(b"strh")
    while 0 <= position <= len(head) - _HEADER_SIZE:
        if head[position + _TYPE_OFFSET :][:4] == b"vids":
            return struct.unpack_from("<I", head, position + _LENGTH_OFFSET)[0]
        position = head.find(b"strh", position + 4)
    return 0


def _heads(path: str, sources: list[VideoSource]) -> Iterator[tuple[VideoSource, bytes]]:
    try:
        if sources[0].member is None:
            with Path(path).open("rb") as file:
                yield sources[0], file.read(_HEAD)
            return
        with zipfile.ZipFile(path) as archive:
            for source in sources:
                head = _member_head(archive, source.member or "")
                if head is not None:
                    yield source, head
    except (OSError, zipfile.BadZipFile):
        return


def _member_head(archive: zipfile.ZipFile, member: str) -> bytes | None:
    try:
        with archive.open(member) as file:
            return file.read(_HEAD)
    except _MEMBER_ERRORS:
        return None
