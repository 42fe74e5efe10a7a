"""Published weights by name: where they are, and how they get into the cache unspoilt."""

import hashlib
import http.client
import logging
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

BASE_URL = "https://download.pytorch.org/models/"
CACHE_VARIABLE = "RGB2IR_CACHE"

_TIMEOUT_SECONDS = 30
_BLOCK = 2**18
_log = logging.getLogger(__name__)


class Published(NamedTuple):
    """A file of torchvision's.

    Attributes:
        file: its name, which ends with the first eight hex digits of its SHA-256.
        mebibytes: its size to three decimals, as torchvision's weight metadata ("_file_size") has it.
    """

    file: str
    mebibytes: float

    @property
    def digest(self) -> str:
        """The first eight hex digits of its SHA-256."""
        return self.file.rpartition("-")[2].partition(".")[0]


# torchvision 0.13 and later, torchvision/models/resnet.py: ResNets by their depth.
PUBLISHED = {
    "imagenet1k_v1": {
        18: Published("resnet18-f37072fd.pth", 44.661),
        34: Published("resnet34-b627a593.pth", 83.275),
        50: Published("resnet50-0676ba61.pth", 97.781),
        101: Published("resnet101-63fe2227.pth", 170.511),
    },
    "imagenet1k_v2": {
        50: Published("resnet50-11ad3fa6.pth", 97.79),
        101: Published("resnet101-cd907fc2.pth", 170.53),
    },
}
# The same, torchvision/models/video/resnet.py: by the backbone's name.
PUBLISHED_VIDEO = {
    "kinetics400_v1": {"r2plus1d_18": Published("r2plus1d_18-91a641e6.pth", 120.318)},
}


def published_names() -> tuple[str, ...]:
    """The names of the catalogue."""
    return (*PUBLISHED, *PUBLISHED_VIDEO)


def is_published(source: str) -> bool:
    """Whether `source` is a name of the catalogue, in small letters or torchvision's capitals."""
    return source.lower() in published_names()


def published_file(name: str, network: int | str) -> Published:
    """The file of a name of the catalogue for a ResNet of so many layers, or for a backbone by its name.

    Raises:
        ValueError: there is none; the message says what there is.
    """
    name = name.lower()
    known: dict[str, Mapping[Any, Published]] = {**PUBLISHED, **PUBLISHED_VIDEO}
    files = known[name]
    if network not in files:
        offered = [other for other, networks in known.items() if network in networks]
        kind = "depth " if name in PUBLISHED else ""
        raise ValueError(
            f"{name!r} is published for {kind}{', '.join(map(str, files))}, not for {network}; for {network} "
            f"there is {' and '.join(offered) or 'none, so that a file must be named'}"
        )
    return files[network]


def default_cache() -> Path:
    """The folder for downloads: the environment's RGB2IR_CACHE, or ~/.cache/rgb2ir_jax."""
    return Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/rgb2ir_jax").expanduser()


def fetch(published: Published, *, cache: Path | None = None, base_url: str = BASE_URL) -> Path:
    """Downloads a file into the cache, unless it is there; either way its size and digest are checked.

    Args:
        published: what to fetch.
        cache: folder, by default `default_cache()`.
        base_url: of the server's folder, with a slash at its end.

    Returns:
        The file's path.

    Raises:
        ValueError: there is no network, the server does not have the file, or the file is not what its
            name says; the message says what to download by hand and where to put it.
        OSError: the cache cannot be written.
    """
    path = (cache or default_cache()) / published.file
    url = base_url + published.file
    if path.is_file():
        problem = _mismatch(path, published)
        if problem:
            raise ValueError(f"{path} {problem}; delete it, then it is downloaded again from {url}")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{published.file}.", suffix=".part")
    os.close(handle)
    draft = Path(name)
    try:
        _download(url, draft, path, limit=int((published.mebibytes + 1) * 2**20))
        problem = _mismatch(draft, published)
        if problem:
            raise ValueError(
                f"what came from {url} {problem}; something on the way changed it. {_by_hand(url, path)}"
            )
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _by_hand(url: str, path: Path) -> str:
    return (
        f"Download {url} on a machine that can, put the file at {path}, and start again "
        f"(the folder is ${CACHE_VARIABLE})"
    )


def _download(url: str, draft: Path, path: Path, *, limit: int) -> None:
    _log.info("downloading %s", url)
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
            announced = answer.headers.get("Content-Length", "")
            total = int(announced) if announced.isdecimal() else None
            received = _receive(answer, draft, total, limit)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as e:
        reason = e.reason if isinstance(e, urllib.error.URLError) else str(e) or type(e).__name__
        status = f"HTTP {e.code}, " if isinstance(e, urllib.error.HTTPError) else ""
        raise ValueError(f"{url} cannot be had ({status}{reason}). {_by_hand(url, path)}") from e
    if received > limit:
        raise ValueError(
            f"{url} goes on after {limit / 2**20:.3f} MiB, more than was published. {_by_hand(url, path)}"
        )
    if total is not None and received < total:
        raise ValueError(f"{url} ended after {received} of {total} bytes. {_by_hand(url, path)}")


def _receive(answer: http.client.HTTPResponse, draft: Path, total: int | None, limit: int) -> int:
    """Writes the answer's body, at most a little more than `limit` bytes; returns how many came."""
    console = Console(stderr=True)
    received = 0
    with (
        draft.open("wb") as file,
        Progress(
            "downloading",
            BarColumn(),
            DownloadColumn(binary_units=True),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        ) as progress,
    ):
        task = progress.add_task("", total=total)
        while received <= limit and (block := answer.read(_BLOCK)):
            file.write(block)
            received += len(block)
            progress.advance(task, len(block))
    return received


def _mismatch(path: Path, published: Published) -> str | None:
    """What speaks against `path` being the published file."""
    mebibytes = path.stat().st_size / 2**20
    # Published to three decimals.
    if abs(mebibytes - published.mebibytes) > 0.00051:
        return f"has {mebibytes:.3f} MiB, expected {published.mebibytes:.3f}"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(published.digest):
        return f"has a SHA-256 that begins with {found[:8]}, expected {published.digest}"
    return None
