"""Text files as people and spreadsheets save them."""

from pathlib import Path

from data_builders.recording.report import FootageError

# About a million rows. What is larger is something else, and would be read into memory.
MAX_BYTES = 128 * 2**20


def read_utf8(path: Path) -> str:
    """Reads a text file of UTF-8, with or without a byte order mark.

    Raises:
        FootageError: it is in another encoding, or far too large.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise FootageError(
            f"{path} is larger than {MAX_BYTES >> 20} MiB; expected a text of one line a clip"
        )
    advice = 'Save it as UTF-8 (spreadsheets: "CSV UTF-8").'
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FootageError(f"{path} is UTF-16 text, expected UTF-8. {advice}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FootageError(
            f"{path} is no UTF-8 text: line {line} holds the byte 0x{data[error.start]:02x}. {advice}"
        ) from error
