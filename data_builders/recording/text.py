"""Text files that come with footage, plain or in zip archives, as people save them."""

from pathlib import Path

from data_builders.recording.report import FootageError
from rgb2ir_jax.video.source import SourceError, VideoSource, opened

# Some hundred thousand lines. What is larger is something else, and would be read into memory.
MAX_BYTES = 16 * 2**20


def read_text(source: VideoSource) -> str:
    """Reads a text file of UTF-8, with or without a byte order mark.

    Args:
        source: The file, or the member of a zip archive.

    Raises:
        FootageError: it cannot be read, is in another encoding, or far too large.
    """
    try:
        with opened(source) as file:
            if isinstance(file, str):
                with Path(file).open("rb") as plain:
                    data = plain.read(MAX_BYTES + 1)
            else:
                data = file.read(MAX_BYTES + 1)
    except (OSError, SourceError) as error:
        raise FootageError(f"{source} cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise FootageError(
            f"{source} is larger than {MAX_BYTES >> 20} MiB; expected a text of one line a clip"
        )
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FootageError(f"{source} is UTF-16 text, expected UTF-8; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FootageError(
            f"{source} is no UTF-8 text: line {line} holds the byte 0x{data[error.start]:02x}"
        ) from error
